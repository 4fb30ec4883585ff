//! Who may connect to the coordinator's sockets, and which sockets requests may name.

use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Rig, body, call, failed, frame, ok, unix};
use crate::support::{eventually, is_root, skipped};
use crate::wrapped::up;

/// A user who is nobody in these tests.
pub(crate) const STRANGER: &str = "54321";

/// Connects as somebody else, in these groups besides, and sends a text; gives what comes back. `None`
/// where there is no setpriv.
#[allow(clippy::disallowed_methods)]
pub(crate) fn call_as(user: &str, groups: &str, socket: &Path, text: &[u8]) -> Option<Vec<u8>> {
    let script = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; \
                  connect(S, sockaddr_un($ARGV[0])) or die; $| = 1; \
                  $SIG{PIPE} = 'IGNORE'; send(S, pack('H*', $ARGV[1]), 0); \
                  print while <S>";
    let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", user, "--regid", user, "--groups", groups, "perl", "-e", script])
        .arg(socket)
        .arg(hex)
        .output();
    output.ok().map(|output| output.stdout)
}

fn request(id: &str, hook: Value) -> Value {
    json!({ "id": id, "task": "foo", "responsehook": hook })
}

#[test]
fn k07_only_peers_that_are_named_may_connect() {
    let me = nix::unistd::geteuid().to_string();
    let group = nix::unistd::getegid().to_string();
    for (keys, served) in [
        (&[("peer_users", me.as_str())][..], true),
        (&[("peer_users", STRANGER)], false),
        (&[("peer_users", STRANGER), ("peer_groups", &group)], true),
    ] {
        let rig = Rig::with(keys);
        let f = rig.provider("foo", "1-f.sock", Answer::Ack);
        let asked = frame(request("a", unix("/x")).to_string().as_bytes());
        let answer = call(&rig.internal(), &asked).unwrap_or_default();
        let response = frame(json!({ "id": "z" }).to_string().as_bytes());
        let bare = call(&rig.response(), &response).unwrap_or_default();
        assert_eq!((!answer.is_empty(), !bare.is_empty()), (served, served), "{keys:?}");
        assert_eq!(f.requests.all().len(), usize::from(served));
        if served {
            assert_eq!(serde_json::from_slice::<Value>(body(&answer)).unwrap(), ok("a"));
        } else {
            rig.says(&format!("uid {me} and gid {group} may not connect"));
        }
    }
}

#[test]
fn k07_a_supplementary_group_may_connect() {
    if !is_root() {
        return skipped("only root can be in any group");
    }
    let keys = [("socket_mode", "0666"), ("dir_mode", "0755"), ("peer_groups", "54322")];
    let rig = Rig::with(&keys);
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let asked = frame(request("a", unix("/x")).to_string().as_bytes());
    for (groups, served) in [("54321,54322", true), ("54321", false)] {
        let Some(answer) = call_as(STRANGER, groups, &rig.internal(), &asked) else {
            return skipped("there is no setpriv");
        };
        assert_eq!(!answer.is_empty(), served, "{groups}");
    }
}

#[test]
fn k07_tasks_of_coprocs_own_are_answered_whoever_is_named() {
    let rig = up(&format!("coprocess = true\npeer_users = [{STRANGER}]"));
    rig.wrapper.wait_for("coproc's own tasks are offered");
    let hook = Hook::start();
    let mut asked = request("a", hook.url("/"));
    asked["task"] = "coprocess".into();
    asked["args"] = json!({ "action": "status" });
    assert_eq!(rig.post(&asked), ok("a"));
    assert_eq!(hook.posts.nth(0).body["error"], "");
}

#[test]
fn k07_who_is_named_has_to_be_there() {
    let place = crate::support::Place::new();
    let keys = [("peer_users", "nobody-of-this-name")];
    let mut wrapper = Rig::launch(&place, crate::support::free_port(), &keys);
    assert_eq!(wrapper.wait(), 1);
    let said = wrapper.stderr();
    assert!(said.contains("there is no user `nobody-of-this-name`"), "{said}");
    assert!(!place.path().join("d/coordinator/coord.sock").exists());
}

#[test]
fn k05_hooks_can_be_kept_below_the_folder_of_sockets() {
    let rig = Rig::with(&[("unix_hooks", "socket_dir")]);
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let outside = rig.place.path().join("victim.sock");
    let _victim = UnixListener::bind(&outside).unwrap();
    let link = rig.at("response/link.sock");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let around = format!("{}/../victim.sock", text(&rig.at("")));
    for path in [text(&outside), text(&link), around, "/x/none.sock".into()] {
        let hook = rig.ask(&request("a", unix(path.clone())));
        assert_eq!(hook, failed("a", "response hook is not allowed"), "{path}");
        let mut asked = request("b", unix(text(&rig.at("response/own.sock"))));
        asked["stream_url"] = unix(path.clone());
        assert_eq!(rig.ask(&asked), failed("b", "stream is not allowed"), "{path}");
    }
    assert!(f.requests.all().is_empty());
    // One's own, be it there already or not.
    let _own = UnixListener::bind(rig.at("response/own.sock")).unwrap();
    for name in ["response/own.sock", "response/later.sock"] {
        assert_eq!(rig.ask(&request("c", unix(text(&rig.at(name))))), ok("c"), "{name}");
    }
    eventually("both came", || f.requests.all().len() == 2);
}
