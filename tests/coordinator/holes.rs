//! The holes of the original, each provoked as it was there, where no acceptance case does so already.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Rig, body, failed, frame, ok, take_message, unix};
use crate::support::{self, PATIENCE, Place, Wrapper, eventually, free_port};
use crate::wrapped::up;

const NONE: &str = "no providers available for task";

fn request(id: &str, hook: Value) -> Value {
    json!({ "id": id, "task": "foo", "responsehook": hook })
}

/// How many descriptors a process has open.
fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn resident_kib(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn k03_a_request_to_a_reserved_name_does_not_go_round() {
    let rig = Rig::start();
    let hook = Hook::start();
    let _ = rig.ask(&request("warm", unix("/x")));
    let before = descriptors(rig.wrapper.pid());
    for task in ["coordinator", "response"] {
        let mut asked = request("a", hook.url("/"));
        asked["task"] = task.into();
        assert_eq!(rig.ask(&asked), failed("a", NONE));
        assert_eq!(rig.post(&asked), failed("a", NONE));
    }
    eventually("nothing stays open", || descriptors(rig.wrapper.pid()) <= before);
    assert!(hook.posts.all().is_empty());
}

#[test]
fn k05_no_provider_is_sent_to_a_socket_that_somebody_outside_names() {
    let rig = Rig::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let victim = rig.place.path().join("victim.sock");
    let listener = UnixListener::bind(&victim).unwrap();
    listener.set_nonblocking(true).unwrap();
    let path = victim.to_str().unwrap();
    for hook in
        [unix(path), format!("unix://{path}").into(), json!({ "SCHEME": "UNIX", "path": path })]
    {
        assert_eq!(rig.post(&request("a", hook)), failed("a", "response hook is not allowed"));
    }
    assert!(f.requests.all().is_empty());
    assert!(listener.accept().is_err(), "somebody came");
}

#[test]
fn k09_those_who_announce_much_and_send_little_cost_little() {
    let rig = Rig::with(&[("max_message", "2KiB")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let mut exact = request("a", unix("/x"));
    let room = 2048 - exact.to_string().len() - ",\"args\":\"\"".len();
    exact["args"] = "x".repeat(room).into();
    assert_eq!(exact.to_string().len(), 2048);
    assert_eq!(rig.ask(&exact), ok("a"));
    exact["args"] = "x".repeat(room + 1).into();
    assert_eq!(rig.ask(&exact), failed("", "message too large"));
    // Within what is taken, from many at once.
    let rig = Rig::start();
    let _ = rig.ask(&request("warm", unix("/x")));
    let before = resident_kib(rig.wrapper.pid());
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = UnixStream::connect(rig.internal()).unwrap();
            stream.write_all(&[0, 0xff, 0xff, 0xff, b'{']).unwrap();
            stream
        })
        .collect();
    // Who comes after them is served after them.
    let _ = rig.ask(&request("next", unix("/x")));
    let more = resident_kib(rig.wrapper.pid()).saturating_sub(before);
    assert!(more < 8 << 10, "{more} KiB for {} connections", crowd.len());
}

#[test]
fn k10_acks_and_responses_may_come_in_pieces() {
    let rig = Rig::start();
    let hook = Hook::start();
    fs::create_dir_all(rig.at("foo")).unwrap();
    let listener = UnixListener::bind(rig.at("foo/1-slow.sock")).unwrap();
    let slow = |stream: &mut UnixStream, message: &Value| {
        for byte in frame(message.to_string().as_bytes()) {
            stream.write_all(&[byte]).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    };
    let response_socket = rig.response();
    let provider = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = take_message(&mut stream).unwrap();
        let hop = request["id"].as_str().unwrap();
        slow(&mut stream, &ok(hop));
        let mut stream = UnixStream::connect(response_socket).unwrap();
        slow(&mut stream, &json!({ "id": hop, "result": "in pieces" }));
        let mut ack = Vec::new();
        stream.read_to_end(&mut ack).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(body(&ack)).unwrap(), ok(""));
    });
    assert_eq!(rig.post(&request("a", hook.url("/"))), ok("a"));
    assert_eq!(hook.posts.nth(0).body["result"], "in pieces");
    provider.join().unwrap();
}

#[test]
fn k11_idle_peers_of_every_entrance_are_let_go() {
    let mut rig = Rig::with(&[("read_timeout", "300ms"), ("stop_timeout", "20s")]);
    let closed = |mut stream: Box<dyn Read>| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    };
    for socket in [rig.internal(), rig.response()] {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        closed(Box::new(stream));
    }
    for said in [&b""[..], b"POST / HTTP/1.1\r\nHo"] {
        let mut stream = TcpStream::connect(("127.0.0.1", rig.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(said).unwrap();
        closed(Box::new(stream));
    }
    // A body that does not come is told so.
    let mut stream = TcpStream::connect(("127.0.0.1", rig.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.contains("the message did not come in time"), "{answer}");
    assert_eq!(rig.wrapper.stop(), 0);
}

#[test]
fn k15_what_is_missing_is_said_and_the_next_request_is_served() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(
        rig.post(&json!({ "id": "1", "task": "foo" })),
        failed("1", "missing response hook")
    );
    // Two without an id do not share one.
    for _ in 0..2 {
        let without = json!({ "task": "foo", "responsehook": hook.url("/") });
        assert_eq!(rig.post(&without), failed("", "missing id"));
    }
    assert!(f.requests.all().is_empty());
    assert_eq!(rig.post(&request("1", hook.url("/"))), ok("1"));
}

#[test]
fn k16_a_strangers_socket_in_the_place_of_ones_own_stays() {
    let mut rig = Rig::start();
    for path in [rig.internal(), rig.response()] {
        fs::remove_file(&path).unwrap();
    }
    let strangers = [rig.internal(), rig.response()].map(|path| UnixListener::bind(path).unwrap());
    assert_eq!(rig.wrapper.stop(), 0);
    assert!(rig.internal().exists() && rig.response().exists());
    drop(strangers);
}

#[test]
fn k17_without_its_port_it_ends_by_itself_and_leaves_nothing_behind() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert_eq!(Rig::launch(&place, port, &[]).wait(), 1);
    for folder in ["coordinator", "response"] {
        assert_eq!(
            fs::read_dir(place.path().join("d").join(folder)).unwrap().count(),
            0,
            "{folder}"
        );
    }
    drop(taken);
    let mut rig = Rig { wrapper: Rig::launch(&place, port, &[]), place, port };
    rig.wait_until_up();
    assert_eq!(rig.wrapper.stop(), 0);
}

#[test]
fn k18_sockets_and_folders_are_those_of_the_group() {
    if !support::is_root() {
        return support::skipped("only root can give files away");
    }
    let rig = Rig::with(&[("group", "4242"), ("dir_mode", "0770")]);
    for name in
        ["", "coordinator", "response", "streams", "coordinator/coord.sock", "response/coord.sock"]
    {
        let metadata = fs::metadata(rig.at(name)).unwrap();
        let expected = if name.ends_with(".sock") { 0o660 } else { 0o770 };
        assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (4242, expected), "{name}");
    }
}

#[test]
fn k23_a_hook_that_fails_is_tried_again_and_one_that_has_it_is_not() {
    let rig = Rig::with(&[("request_timeout", "20s")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let busy = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    let hook = Hook::answering(&[busy, "HTTP/1.1 202 Yes\r\nContent-Length: 4\r\n\r\nfine"]);
    assert_eq!(rig.post(&request("a", hook.url("/"))), ok("a"));
    let (first, second) = (hook.posts.nth(0), hook.posts.nth(1));
    assert_eq!((&first.body["result"], &first.body), (&json!(1), &second.body));
    // One that breaks off may have it.
    let torn = Hook::answering(&[""]);
    assert_eq!(rig.post(&request("torn", torn.url("/"))), ok("torn"));
    eventually("what was lost is logged", || {
        rig.wrapper.stderr().contains("the response to `torn` did not reach")
    });
    assert_eq!((hook.posts.all().len(), torn.posts.all().len()), (2, 1));
}

#[test]
fn k28_an_order_to_stop_is_heard_however_early_it_comes() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM] {
        let place = Place::new();
        let (folder, port) = (place.at("d"), free_port().to_string());
        let words = ["coordinator", "-n", "coord", "-s", &folder, "-p", &port];
        let mut wrapper = Wrapper::start(place.command(&words));
        let socket = place.path().join("d/response/coord.sock");
        // This is the first that is bound.
        eventually("it has begun", || socket.exists());
        wrapper.signal(signal);
        assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
        assert!(!socket.exists());
    }
}

#[test]
fn k24_requests_with_a_hook_of_their_own_are_counted() {
    let mut rig = up("");
    let hook = Hook::start();
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    // The same id twice: nobody keeps it, so that nobody can mind.
    for _ in 0..2 {
        assert_eq!(rig.ask(&request("a", unix("/x"))), ok("a"));
    }
    assert_eq!(rig.post(&request("b", hook.url("/"))), ok("b"));
    let mut nope = request("c", unix("/x"));
    nope["task"] = "nope".into();
    assert_eq!(rig.ask(&nope), failed("c", NONE));
    let output = rig.place.coproc(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = &status["coordinator"]["figures"];
    for (name, count) in
        [("taken", 3), ("direct", 2), ("tracked", 1), ("refused", 1), ("waiting", 1), ("sent", 0)]
    {
        assert_eq!(figures[name], count, "{name} in {figures}");
    }
    let output = rig.place.coproc(&["status"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains(": 1 waiting, 3 taken, 1 refused\n  foo by f\n"), "{table}");
    assert_eq!(rig.post(&request("b", hook.url("/"))), failed("b", "request id already traacked"));
    let hop = _f.requests.all().last().unwrap()["id"].clone();
    rig.respond(&json!({ "id": hop, "result": 1 }));
    hook.posts.nth(0);
    assert_eq!(rig.wrapper.stop(), 0);
}
