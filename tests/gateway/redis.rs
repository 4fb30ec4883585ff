//! The whole gateway over a real redis-server, which is a coprocess of the same wrapper.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::auth::let_in;
use crate::plugin::{Plugin, request};
use crate::rig::{Rig, checked, hook, keyed};
use crate::support::{coprocess, eventually};
use crate::upstream::Upstream;

/// A redis-server's place.
struct Redis(tempfile::TempDir);

impl Redis {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap())
    }

    fn socket(&self) -> std::path::PathBuf {
        self.0.path().join("redis.sock")
    }

    /// It as a coprocess, and the store in it.
    fn tables(&self) -> String {
        let (folder, socket) = (self.0.path().display(), self.socket());
        let socket = socket.display();
        let exec = format!(
            "redis-server --port 0 --save '' --daemonize no --dir {folder} --unixsocket {socket}"
        );
        let rest = format!("background = true\nready = {{ unix = \"{socket}\" }}");
        let redis = coprocess("redis", &format!("\"{exec}\""), &rest);
        format!("{redis}\n{}", self.store())
    }

    fn store(&self) -> String {
        let socket = self.socket();
        format!("[gateway.store]\nredis = \"redis+unix://{}\"\ntimeout = \"2s\"", socket.display())
    }

    /// What one command is answered, as text; a missing value is empty.
    fn ask(&self, words: &[&str]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(command.as_bytes()).unwrap();
        reply(&mut BufReader::new(stream))
    }
}

fn reply(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    let (kind, rest) = line.trim_end().split_at(1);
    match (kind, rest) {
        ("$", "-1") => String::new(),
        ("$", length) => {
            let mut value = vec![0; length.parse::<usize>().unwrap() + 2];
            from.read_exact(&mut value).unwrap();
            String::from_utf8_lossy(&value[..value.len() - 2]).into_owned()
        }
        ("*", count) => {
            let mut all: Vec<_> =
                (0..count.parse::<usize>().unwrap()).map(|_| reply(from)).collect();
            all.sort();
            all.join(" ")
        }
        (_, rest) => rest.to_owned(),
    }
}

fn ready(rig: &Rig) {
    eventually(&format!("Redis is up\n{}", rig.wrapper.dump()), || {
        rig.place.coproc(&["keys", "list"]).status.success()
    });
}

fn with_key(rig: &Rig, key: &str) -> u16 {
    rig.request("GET", "/api/").header("Authorization", key).send().status()
}

#[test]
fn keys_and_quotas_are_in_redis_and_shared_by_gateways() {
    let (redis, upstream) = (Redis::new(), Upstream::start());
    let apis = [keyed(upstream.port, json!({}))];
    let one = Rig::with("", &redis.tables(), &apis);
    ready(&one);
    let other = Rig::with("", &redis.store(), &apis);
    one.coproc(&["keys", "add", "--key", "abc", "--quota", "3", "--quota-period", "3600"]);
    let stored: Value = serde_json::from_str(&redis.ask(&["GET", "apikey-abc"])).unwrap();
    assert_eq!(stored["quota_max"], 3);
    assert_eq!(other.coproc(&["keys", "list"]), "abc\n");
    let statuses = [&one, &other, &one, &other, &one].map(|rig| with_key(rig, "abc"));
    assert_eq!(statuses, [200, 200, 200, 403, 403]);
    assert_eq!(redis.ask(&["GET", "quota-abc"]), "5");
    let left: i64 = redis.ask(&["TTL", "quota-abc"]).parse().unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
    // What Tyk put there is a key as any other.
    redis.ask(&["SET", "apikey-tyks-own", "{\"allowance\": 1, \"access_rights\": null}"]);
    assert_eq!(with_key(&one, "tyks-own"), 200);
    one.coproc(&["keys", "delete", "abc"]);
    assert_eq!(redis.ask(&["KEYS", "*"]), "apikey-tyks-own");
}

#[test]
fn hashes_alone_are_in_redis_where_keys_are_hashed() {
    let (redis, upstream) = (Redis::new(), Upstream::start());
    let plugin = Plugin::start(|mut object| {
        let key = request(&mut object).headers.get("Authorization").cloned().unwrap_or_default();
        let_in(&mut object, &key);
        object.session.as_mut().unwrap().quota_max = 1;
        object
    });
    let keys = format!("grpc = \"{}\"\nhash_keys = true", plugin.address);
    let api = checked(upstream.port, json!({ "auth_check": hook("h") }));
    let rig = Rig::with(&keys, &redis.tables(), &[api]);
    ready(&rig);
    assert_eq!([with_key(&rig, "some-token"), with_key(&rig, "some-token")], [200, 403]);
    let names = redis.ask(&["KEYS", "*"]);
    let (session, quota) = names.split_once(' ').unwrap();
    let hash = session.strip_prefix("apikey-").unwrap();
    assert_eq!(quota, format!("quota-{hash}"));
    assert!(!names.contains("some-token"));
    assert_eq!(rig.coproc(&["keys", "list"]), format!("{hash}\n"));
    rig.coproc(&["keys", "delete", "--hashed", hash]);
    assert_eq!(redis.ask(&["KEYS", "*"]), "");
    assert_eq!(with_key(&rig, "some-token"), 200);
}

#[test]
fn while_redis_is_away_unknown_keys_fail_and_nothing_else() {
    let (redis, upstream) = (Redis::new(), Upstream::start());
    let rig = Rig::with("", &redis.tables(), &[keyed(upstream.port, json!({}))]);
    ready(&rig);
    rig.key("abc", &json!({}));
    assert_eq!(with_key(&rig, "abc"), 200);
    rig.coproc(&["stop", "redis"]);
    assert!(!Path::new(&redis.socket()).exists() || UnixStream::connect(redis.socket()).is_err());
    assert_eq!(with_key(&rig, "other"), 500);
    rig.coproc(&["start", "redis"]);
    ready(&rig);
    // It kept nothing, and what is remembered counts on for a while.
    assert_eq!(with_key(&rig, "other"), 403);
    rig.key("other", &json!({}));
    assert_eq!(with_key(&rig, "other"), 200);
}
