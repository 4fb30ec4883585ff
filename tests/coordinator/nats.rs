//! Coordinators that share tasks through a real NATS server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Provider, Rig, failed, ok, unix};
use crate::support::{PATIENCE, Place, eventually, free_port};

const NONE: &str = "no providers available for task";

/// A server on a port of its own, ended with the test.
pub(crate) struct Server {
    port: u16,
    child: Option<Child>,
    words: Vec<String>,
}

impl Server {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut server = Self::absent(words);
        server.begin();
        server
    }

    /// One that is not there yet.
    fn absent(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { port: free_port(), child: None, words }
    }

    #[allow(clippy::disallowed_methods)]
    fn begin(&mut self) {
        let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"];
        let installed = program.into_iter().find(|path| std::path::Path::new(path).exists());
        let child = Command::new(installed.unwrap_or("nats-server"))
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string()])
            .args(&self.words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is installed by .ci/install");
        self.child = Some(child);
        let up = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        eventually("the NATS server is up", up);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A coordinator that shares over this server, with these keys more.
    pub(crate) fn rig(&self, keys: &[(&str, &str)]) -> Rig {
        let url = self.url();
        Rig::with(&[&[("nats__url", url.as_str()), ("request_timeout", "5s")], keys].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a coordinator's task is taken for another.
pub(crate) fn wait_until_shared(from: &Rig, task: &str) {
    let hook = Hook::start();
    let mut number = 0;
    eventually(&format!("`{task}` is shared\n{}", from.wrapper.dump()), || {
        number += 1;
        let id = format!("first{number}");
        let request = json!({ "id": id, "task": task, "responsehook": hook.url("/") });
        from.post(&request) == ok(&id)
    });
}

pub(crate) fn request(id: &str, task: &str, hook: &Value) -> Value {
    json!({ "id": id, "task": task, "responsehook": hook, "args": { "k": id } })
}

#[test]
fn a_task_goes_to_who_has_a_provider_and_its_response_comes_back() {
    let server = Server::start(&[]);
    let (a, b, c) = (server.rig(&[]), server.rig(&[]), server.rig(&[]));
    let f = b.provider("odd task.*", "1-f.sock", Answer::Result(json!({ "r": [1] })));
    wait_until_shared(&a, "odd task.*");
    wait_until_shared(&c, "odd task.*");
    // Over HTTP, and to a hook that is a socket of the requester's machine.
    let hook = Hook::start();
    assert_eq!(c.post(&request("x", "odd task.*", &hook.url("/cb"))), ok("x"));
    let posted = hook.posts.nth(0).body;
    let expected = json!({ "error": "", "id": "x", "result": { "r": [1] }, "stream_url": null });
    assert_eq!(posted, expected);
    let socket = a.provider("responses", "1-own.sock", Answer::Ack);
    let own = unix(a.at("responses/1-own.sock").to_str().unwrap());
    assert_eq!(a.ask(&request("y", "odd task.*", &own)), ok("y"));
    assert_eq!(socket.requests.nth(0)["id"], "y");
    assert_eq!(socket.requests.nth(0)["result"], json!({ "r": [1] }));
    let last = f.requests.all().pop().unwrap();
    assert_eq!(last["args"], json!({ "k": "y" }));
    // Nobody has it, or nobody has it any more.
    assert_eq!(a.post(&request("z", "nope", &hook.url("/"))), failed("z", NONE));
    drop(f);
    let gone = || a.post(&request("z", "odd task.*", &hook.url("/"))) == failed("z", NONE);
    eventually("it is not shared any more", gone);
}

#[test]
fn a_provider_of_ones_own_comes_first_and_refusals_come_back() {
    let server = Server::start(&[]);
    let (a, b) = (server.rig(&[]), server.rig(&[]));
    let near = a.provider("foo", "1-near.sock", Answer::Ack);
    let far = b.provider("foo", "1-far.sock", Answer::Ack);
    let busy = b.provider("bar", "1-busy.sock", Answer::Refuse("busy".into()));
    let hook = Hook::start();
    let refused = || a.post(&request("r", "bar", &hook.url("/"))) == failed("r", "busy");
    eventually("a refusal comes back", refused);
    assert_eq!(a.post(&request("1", "foo", &hook.url("/"))), ok("1"));
    assert_eq!((near.requests.all().len(), far.requests.all().len()), (1, 0));
    // A stale socket is no provider, and the word of it is the requester's.
    drop(busy);
    std::fs::remove_dir_all(b.at("bar")).unwrap();
    std::fs::create_dir_all(b.at("baz")).unwrap();
    drop(UnixListener::bind(b.at("baz/1-dead.sock")).unwrap());
    let why =
        format!("dial unix {}: connect: connection refused", b.at("baz/1-dead.sock").display());
    let stale = || a.post(&request("s", "baz", &hook.url("/"))) == failed("s", &why);
    eventually("a stale socket's word comes back", stale);
    // Nobody can name a coordinator as a hook from outside.
    let forged = json!({ "Scheme": "nats", "Opaque": "coproc.to.00" });
    for ack in [a.ask(&request("f", "foo", &forged)), a.post(&request("f", "foo", &forged))] {
        assert_eq!(ack, failed("f", "response hook is not allowed"));
    }
}

#[test]
fn streams_are_read_through_the_coordinators() {
    let server = Server::start(&[]);
    let (a, b) = (server.rig(&[]), server.rig(&[]));
    let f = b.provider("foo", "1-f.sock", Answer::Ack);
    wait_until_shared(&a, "foo");
    let before = f.requests.all().len();
    let hook = Hook::start();
    // What the provider offers is read at the requester's coordinator.
    assert_eq!(a.post(&request("x", "foo", &hook.url("/"))), ok("x"));
    let hop = f.requests.nth(before)["id"].clone();
    let source = b.at("streams/foo/f/1.sock");
    let data = offer(&source, b"from afar");
    let stream = unix(source.to_str().unwrap());
    b.respond(&json!({ "error": "", "id": hop, "result": 1, "stream_url": stream }));
    let url = hook.posts.nth(0).body["stream_url"].clone();
    assert_eq!(url["Host"], format!("127.0.0.1:{}", a.port), "{url}");
    let target = format!("/stream?{}", url["RawQuery"].as_str().unwrap());
    assert_eq!(a.http("GET", &target, "", b""), (200, b"from afar".to_vec()));
    data.join().unwrap();
    // And what the requester offers, by a socket of the provider's machine.
    let source = a.at("streams/own/1.sock");
    let data = offer(&source, b"to afar");
    let mut asked = request("y", "foo", &unix("/x/none.sock"));
    asked["stream_url"] = unix(source.to_str().unwrap());
    assert_eq!(a.ask(&asked), ok("y"));
    let url = f.requests.nth(before + 1)["stream_url"].clone();
    assert_eq!(url["Scheme"], "unix", "{url}");
    let mut read = Vec::new();
    let mut socket =
        std::os::unix::net::UnixStream::connect(url["Path"].as_str().unwrap()).unwrap();
    socket.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"to afar");
    data.join().unwrap();
}

#[test]
fn coproc_task_reads_a_stream_that_comes_from_elsewhere() {
    let server = Server::start(&[]);
    let (a, b) = (server.rig(&[]), server.rig(&[]));
    let f = b.provider("foo", "1-f.sock", Answer::Ack);
    wait_until_shared(&a, "foo");
    let before = f.requests.all().len();
    let socket = a.internal().display().to_string();
    let mut asking =
        crate::support::Wrapper::start(a.place.command(&["task", "--socket", &socket, "foo"]));
    let hop = f.requests.nth(before)["id"].clone();
    let source = b.at("streams/foo/f/1.sock");
    let data = offer(&source, b"from afar\n");
    let stream = unix(source.to_str().unwrap());
    b.respond(&json!({ "error": "", "id": hop, "result": 1, "stream_url": stream }));
    assert_eq!(asking.wait(), 0, "{}", asking.dump());
    assert_eq!(asking.lines(), ["from afar"]);
    data.join().unwrap();
}

/// A socket that gives its first reader these bytes.
fn offer(path: &std::path::Path, bytes: &'static [u8]) -> thread::JoinHandle<()> {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(bytes).unwrap();
    })
}

/// How often each id was answered.
fn answers(hook: &Hook) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for posted in hook.posts.all() {
        *seen.entry(posted.body["id"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    seen
}

/// Asks many times while `disturb` runs; then each request that was taken has one answer, within its
/// time, and no provider got one twice.
fn under_load(from: &Arc<Rig>, providers: &[&Provider], disturb: impl FnOnce()) -> (usize, usize) {
    const ASKING: usize = 8;
    const EACH: usize = 40;
    let hook = Arc::new(Hook::start());
    let asking: Vec<_> = (0..ASKING)
        .map(|worker| {
            let (from, hook) = (from.clone(), hook.clone());
            thread::spawn(move || {
                let mut taken = Vec::new();
                for number in 0..EACH {
                    let id = format!("l{worker}.{number}");
                    let ack = from.post(&request(&id, "foo", &hook.url("/")));
                    if ack["error"] == "" {
                        taken.push((id, Instant::now()));
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                taken
            })
        })
        .collect();
    // Some are on their way.
    hook.posts.nth(10);
    disturb();
    let taken: Vec<_> = asking.into_iter().flat_map(|one| one.join().unwrap()).collect();
    eventually("each that was taken is answered", || answers(&hook).len() >= taken.len());
    let posts = hook.posts.all();
    let seen = answers(&hook);
    for (id, at) in &taken {
        assert_eq!(seen.get(id), Some(&1), "{id}");
        let answer = posts.iter().find(|posted| posted.body["id"] == **id).unwrap();
        let late = answer.at.saturating_duration_since(*at);
        assert!(late < Duration::from_secs(20), "{id} was answered after {late:?}");
    }
    assert_eq!(seen.len(), taken.len(), "what was refused is answered as well");
    let mut ran = BTreeMap::new();
    for request in providers.iter().flat_map(|provider| provider.requests.all()) {
        *ran.entry(request["args"]["k"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    ran.remove("");
    assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    let failed = posts.iter().filter(|posted| posted.body["error"] != "").count();
    (taken.len(), failed)
}

/// A member of the group that speaks to the server itself.
struct Member {
    lines: BufReader<TcpStream>,
}

impl Member {
    fn join(server: &Server, task: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let words = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\n\
             SUB coproc.task.{task} coordinators 1\r\nSUB member.inbox 2\r\nPING\r\n"
        );
        stream.write_all(words.as_bytes()).unwrap();
        let mut member = Self { lines: BufReader::new(stream) };
        while member.line() != "PONG" {}
        member
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the server closed");
        line.trim_end().to_owned()
    }

    /// The next message: where its answer goes, and what it says.
    fn message(&mut self) -> (String, String) {
        loop {
            let line = self.line();
            let words: Vec<_> = line.split(' ').collect();
            if words[0] == "PING" {
                self.lines.get_mut().write_all(b"PONG\r\n").unwrap();
            }
            if matches!(words[0], "MSG" | "HMSG") {
                let mut payload = vec![0; words.last().unwrap().parse::<usize>().unwrap() + 2];
                self.lines.read_exact(&mut payload).unwrap();
                // Of one with headers the length of those stands before that of all.
                let headers = match words[0] {
                    "HMSG" => words[words.len() - 2].parse().unwrap(),
                    _ => 0,
                };
                let payload = String::from_utf8(payload.split_off(headers)).unwrap();
                let payload = payload.trim_end().to_owned();
                return (words.get(3).copied().unwrap_or_default().to_owned(), payload);
            }
        }
    }

    fn say(&mut self, subject: &str, payload: &str) {
        let words = format!("PUB {subject} member.inbox {}\r\n{payload}\r\n", payload.len());
        self.lines.get_mut().write_all(words.as_bytes()).unwrap();
    }

    /// Says it, and gives the answer.
    fn ask(&mut self, subject: &str, payload: &str) -> String {
        self.say(subject, payload);
        self.message().1
    }
}

#[test]
fn a_request_is_claimed_once_and_not_after_it_was_given_up() {
    let server = Server::start(&[]);
    let a = Arc::new(server.rig(&[("nats__ack_timeout", "500ms"), ("request_timeout", "20s")]));
    let mut member = Member::join(&server, "foo");
    let hook = Hook::start();
    let ask = |id: &'static str| {
        let (a, url) = (a.clone(), hook.url("/"));
        thread::spawn(move || a.post(&request(id, "foo", &url)))
    };
    eventually("it is connected", || a.wrapper.stderr().contains("NATS: connected"));
    let seen = |message: &str| {
        let request: Value = serde_json::from_str(message).unwrap();
        let home = request["responsehook"]["Opaque"].as_str().unwrap().to_owned();
        (home, request["id"].as_str().unwrap().to_owned())
    };
    // Nobody claims the first one, until it is too late.
    let first = ask("1");
    let (home, hop) = seen(&member.message().1);
    assert_eq!(first.join().unwrap(), failed("1", "ack timeout"));
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "no");
    // The second is claimed, taken and answered, each once, whatever is said twice.
    let second = ask("2");
    let (reply, message) = member.message();
    let (home, hop) = seen(&message);
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "yes");
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "no");
    member.say(&reply, &ok(&hop).to_string());
    assert_eq!(second.join().unwrap(), ok("2"));
    let response = json!({ "error": "", "id": hop, "result": 7 }).to_string();
    for _ in 0..2 {
        let ack: Value =
            serde_json::from_str(&member.ask(&format!("{home}.response"), &response)).unwrap();
        assert_eq!(ack, ok(""));
    }
    assert_eq!(hook.posts.nth(0).body["result"], 7);
    // What is answered before it is acknowledged is taken, and no error follows.
    let third = ask("3");
    let (home, hop) = seen(&member.message().1);
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "yes");
    let response = json!({ "error": "", "id": hop, "result": 8 }).to_string();
    member.ask(&format!("{home}.response"), &response);
    assert_eq!(third.join().unwrap(), ok("3"));
    assert_eq!(hook.posts.nth(1).body["result"], 8);
    assert_eq!(hook.posts.all().len(), 2);
}

#[test]
fn a_request_that_cannot_be_claimed_reaches_no_provider() {
    let server = Server::start(&[]);
    let b = server.rig(&[("nats__ack_timeout", "500ms")]);
    let f = b.provider("foo", "1-f.sock", Answer::Ack);
    let mut member = Member::join(&server, "other");
    let mut offer = |home: &str| {
        let hook = json!({ "Scheme": "nats", "Opaque": home });
        let request = json!({ "id": "x", "task": "foo", "responsehook": hook });
        let ack = member.ask("coproc.task.foo", &request.to_string());
        serde_json::from_str::<Value>(&ack).ok()
    };
    let given_up = failed("x", "the request was given up");
    // Nobody is at that home, which is heard of only once the task is shared.
    eventually("it is offered", || offer("coproc.to.00").as_ref() == Some(&given_up));
    assert_eq!(offer("member.inbox"), Some(failed("x", "response hook is not allowed")));
    assert!(f.requests.all().is_empty());
}

#[test]
fn a_coordinator_that_dies_loses_nothing_silently() {
    let server = Server::start(&[]);
    let keys = [("nats__ack_timeout", "1s")];
    let (a, b, c) = (Arc::new(server.rig(&keys)), server.rig(&keys), server.rig(&keys));
    let near = b.provider("foo", "1-b.sock", Answer::Result(json!("b")));
    // This one takes and never answers.
    let dying = c.provider("foo", "1-c.sock", Answer::Ack);
    wait_until_shared(&a, "foo");
    let idle = || dying.requests.all().is_empty();
    if idle() {
        let mut number = 0;
        let hook = Hook::start();
        eventually("both are asked", || {
            number += 1;
            a.post(&request(&format!("w{number}"), "foo", &hook.url("/")));
            !idle()
        });
    }
    let (taken, failed) = under_load(&a, &[&near, &dying], || {
        let before = dying.requests.all().len();
        dying.requests.nth(before + 3);
        c.wrapper.signal(Signal::SIGKILL);
    });
    // Those that were with the dead one, at least.
    assert!(failed >= 3 && taken > failed, "{failed} of {taken}");
}

#[test]
fn a_server_that_dies_loses_nothing_silently_and_comes_back() {
    let mut server = Server::start(&[]);
    let keys = [("nats__ack_timeout", "1s")];
    let (a, b) = (Arc::new(server.rig(&keys)), server.rig(&keys));
    let f = b.provider("foo", "1-b.sock", Answer::Result(json!("b")));
    wait_until_shared(&a, "foo");
    under_load(&a, &[&f], || server.kill());
    let hook = Hook::start();
    assert_eq!(a.post(&request("away", "foo", &hook.url("/"))), failed("away", NONE));
    server.begin();
    wait_until_shared(&a, "foo");
    // What was refused in between never runs.
    assert!(f.requests.all().iter().all(|request| request["args"]["k"] != "away"));
}

#[test]
fn a_server_that_comes_later_is_found_and_knows_who_asks() {
    let mut server = Server::absent(&["--user", "u", "--pass", "a-secret-password"]);
    let keys = [("nats__user", "u"), ("nats__password", "a-secret-password")];
    let (a, b) = (server.rig(&keys), server.rig(&keys));
    let f = b.provider("foo", "1-b.sock", Answer::Result(json!(1)));
    // Meanwhile each serves its own.
    let hook = Hook::start();
    assert_eq!(a.post(&request("1", "foo", &hook.url("/"))), failed("1", NONE));
    assert_eq!(b.post(&request("2", "foo", &hook.url("/"))), ok("2"));
    server.begin();
    wait_until_shared(&a, "foo");
    assert!(f.requests.all().len() >= 2);
    for rig in [&a, &b] {
        assert!(!rig.wrapper.stderr().contains("a-secret"), "{}", rig.wrapper.stderr());
    }
}

#[test]
fn what_came_from_another_is_finished_before_the_end() {
    let server = Server::start(&[]);
    let (a, mut b) = (server.rig(&[]), server.rig(&[]));
    let f = b.provider("foo", "1-b.sock", Answer::Ack);
    wait_until_shared(&a, "foo");
    for request in f.requests.all() {
        b.respond(&json!({ "id": request["id"], "result": 0 }));
    }
    let before = f.requests.all().len();
    let hook = Hook::start();
    assert_eq!(a.post(&request("x", "foo", &hook.url("/"))), ok("x"));
    let hop = f.requests.nth(before)["id"].clone();
    b.wrapper.signal(Signal::SIGTERM);
    let mut number = 0;
    eventually("nothing new is taken", || {
        number += 1;
        let id = format!("y{number}");
        a.post(&request(&id, "foo", &hook.url("/"))) == failed(&id, NONE)
    });
    b.respond(&json!({ "id": hop, "result": "late" }));
    assert_eq!(hook.posts.nth(0).body["result"], "late");
    assert_eq!(b.wrapper.wait(), 0);
}

#[test]
fn who_refuses_is_passed_over_for_another() {
    let server = Server::start(&[]);
    let (a, b, c) = (server.rig(&[]), server.rig(&[]), server.rig(&[]));
    let busy = b.provider("foo", "1-b.sock", Answer::Refuse("busy".into()));
    let free = c.provider("foo", "1-c.sock", Answer::Result(json!("c")));
    wait_until_shared(&a, "foo");
    let hook = Hook::start();
    let before = free.requests.all().len();
    let mut number = 0;
    eventually("the one that refuses was asked", || {
        let id = format!("p{number}");
        assert_eq!(a.post(&request(&id, "foo", &hook.url("/"))), ok(&id));
        number += 1;
        number >= 10 && !busy.requests.all().is_empty()
    });
    hook.posts.nth(number - 1);
    assert_eq!(free.requests.all().len(), before + number);
    assert_eq!(hook.posts.all().len(), number);
    // Where all refuse, theirs is the word.
    drop(free);
    let _also = c.provider("foo", "2-c.sock", Answer::Refuse("busy too".into()));
    let ack = a.post(&request("last", "foo", &hook.url("/")));
    assert!(ack["error"].as_str().unwrap().starts_with("busy"), "{ack}");
    assert_eq!(hook.posts.all().len(), number);
}

#[test]
fn who_may_have_begun_is_not_passed_over() {
    let server = Server::start(&[]);
    let (a, b, c) = (server.rig(&[]), server.rig(&[]), server.rig(&[]));
    let silent = b.provider("foo", "1-b.sock", Answer::Bytes(vec![]));
    let free = c.provider("foo", "1-c.sock", Answer::Ack);
    let hook = Hook::start();
    let mut number = 0;
    eventually("both were asked", || {
        number += 1;
        let id = format!("u{number}");
        let ack = a.post(&request(&id, "foo", &hook.url("/")));
        assert!([ok(&id), failed(&id, "EOF"), failed(&id, NONE)].contains(&ack), "{ack}");
        !silent.requests.all().is_empty() && !free.requests.all().is_empty()
    });
    let ids = |provider: &Provider| -> BTreeSet<String> {
        let all = provider.requests.all();
        all.iter().map(|request| request["args"]["k"].as_str().unwrap().to_owned()).collect()
    };
    assert!(ids(&silent).is_disjoint(&ids(&free)));
}

#[test]
fn a_server_may_ask_for_a_token() {
    let server = Server::start(&["--auth", "a-secret-token"]);
    let keys = [("nats__token", "a-secret-token")];
    let (a, b) = (server.rig(&keys), server.rig(&keys));
    let stranger = server.rig(&[("nats__token", "another")]);
    let _f = b.provider("foo", "1-b.sock", Answer::Result(json!(1)));
    wait_until_shared(&a, "foo");
    let hook = Hook::start();
    assert_eq!(stranger.post(&request("s", "foo", &hook.url("/"))), failed("s", NONE));
    eventually("it is told why", || {
        stranger.wrapper.stderr().to_lowercase().contains("authorization violation")
    });
    for rig in [&a, &b, &stranger] {
        assert!(!rig.wrapper.stderr().contains("a-secret"), "{}", rig.wrapper.stderr());
    }
}

#[test]
fn servers_may_be_a_cluster_of_which_one_dies() {
    let (near, far) = (free_port().to_string(), free_port().to_string());
    let cluster = |own: &str, other: &str| {
        let (own, other) = (format!("nats://127.0.0.1:{own}"), format!("nats://127.0.0.1:{other}"));
        Server::start(&["--cluster_name", "c", "--cluster", &own, "--routes", &other])
    };
    let (mut one, two) = (cluster(&near, &far), cluster(&far, &near));
    let both = format!("{} {}", one.url(), two.url());
    let keys = [("nats__ack_timeout", "1s"), ("nats__url", both.as_str())];
    let (a, b, c) = (Arc::new(one.rig(&keys)), two.rig(&[]), one.rig(&[]));
    let far = b.provider("foo", "1-b.sock", Answer::Result(json!("b")));
    wait_until_shared(&a, "foo");
    // Who refuses at the nearer server keeps nobody from being asked at the other.
    let _busy = c.provider("foo", "1-c.sock", Answer::Refuse("busy".into()));
    wait_until_shared(&a, "foo");
    under_load(&a, &[&far], || one.kill());
    wait_until_shared(&a, "foo");
}

#[test]
fn what_is_too_large_for_nats_is_said() {
    let server = Server::start(&[]);
    let (a, b) = (server.rig(&[]), server.rig(&[]));
    let _f = b.provider("foo", "1-b.sock", Answer::Result(json!("x".repeat(2 << 20))));
    wait_until_shared(&a, "foo");
    let hook = Hook::start();
    assert_eq!(a.post(&request("x", "foo", &hook.url("/"))), ok("x"));
    let error = hook.posts.nth(0).body["error"].clone();
    assert!(error.as_str().unwrap().contains("NATS takes 1048576"), "{error}");
    let mut large = request("y", "foo", &hook.url("/"));
    large["args"] = "x".repeat(2 << 20).into();
    assert_eq!(a.post(&large), failed("y", "message too large"));
}

#[test]
fn the_password_is_shown_nowhere() {
    let place = Place::new();
    place.write(
        "c.toml",
        "[coordinator]\nservice_name = \"c\"\n[coordinator.nats]\nurl = \"nats://127.0.0.1\"\n\
         user = \"u\"\npassword = \"a-secret-password\"\n[main]\nexec = \"true\"\n",
    );
    for words in [["debug", "-c", "c.toml"], ["check", "-c", "c.toml"]] {
        let output = place.coproc(&words);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("a-secret"), "{text}");
    }
    let bad = "[coordinator]\nservice_name = \"c\"\n[coordinator.nats]\nurl = \"http://h\"\n";
    place.write("c.toml", bad);
    let output = place.coproc(&["check", "-c", "c.toml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("is not the URL of a NATS server"), "{text}");
    assert!(text.contains("c.toml:4:"), "{text}");
}
