//! Where a request goes, and how its response and its streams come back.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::json;

use super::{NONE, Server, request, wait_until_shared};
use crate::rig::{Answer, Hook, Provider, failed, ok, unix};
use crate::support::eventually;

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
    let refused = a.post(&large)["error"].as_str().unwrap().to_owned();
    assert!(refused.starts_with("the request has 209"), "{refused}");
    assert!(refused.ends_with(" bytes, NATS takes 1048576"), "{refused}");
}
