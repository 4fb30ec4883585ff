//! Frames in pieces, too large, too late, or several on one connection.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Rig, body, frame, ok, unix};
use crate::support::PATIENCE;

fn request(id: &str, args: Value) -> Value {
    json!({ "id": id, "task": "foo", "responsehook": unix("/x"), "args": args })
}

/// Sends pieces with pauses; gives the ack.
fn in_pieces(rig: &Rig, pieces: &[&[u8]], pause: Duration) -> Value {
    let mut stream = UnixStream::connect(rig.internal()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
        sleep(pause);
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    serde_json::from_slice(body(&answer)).unwrap()
}

#[test]
fn c19_k10_messages_may_come_in_pieces() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let bytes = frame(request("a", json!([1, 2])).to_string().as_bytes());
    let pause = Duration::from_millis(100);
    assert_eq!(in_pieces(&rig, &[&bytes[..2], &bytes[2..]], pause), ok("a"));
    assert_eq!(in_pieces(&rig, &[&bytes[..4], &bytes[4..]], pause), ok("a"));
    assert_eq!(in_pieces(&rig, &[&bytes[..20], &bytes[20..]], pause), ok("a"));
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(in_pieces(&rig, &single, Duration::ZERO), ok("a"));
}

#[test]
fn c20_large_arguments_pass() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    for (number, megabytes) in [1, 10].into_iter().enumerate() {
        let args = "x".repeat(megabytes << 20);
        assert_eq!(rig.ask(&request("a", args.clone().into())), ok("a"));
        assert!(f.requests.nth(number)["args"] == args.as_str());
    }
    let args = "x".repeat(5 << 20);
    let mut posted = request("b", args.clone().into());
    posted["responsehook"] = hook.url("/");
    assert_eq!(rig.post(&posted), ok("b"));
    assert!(f.requests.nth(2)["args"] == args.as_str());
}

/// The memory of a process in use, in kB.
fn resident(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn c21_k09_what_is_announced_is_not_set_aside() {
    let rig = Rig::start();
    let _ = rig.ask(&request("warm", Value::Null));
    let (before, log) = (resident(rig.wrapper.pid()), rig.wrapper.stderr().len());
    let started = Instant::now();
    let mut stream = UnixStream::connect(rig.internal()).unwrap();
    stream.write_all(b"\xff\xff\xff\xff{}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    let ack: Value = serde_json::from_slice(body(&answer)).unwrap();
    assert_eq!(ack["error"], "message too large");
    assert!(resident(rig.wrapper.pid()) < before + 1024);
    assert!(rig.wrapper.stderr().len() < log + 2048);
    // And what is too large over HTTP.
    let rig = Rig::with(&[("max_message", "1KiB"), ("strict_http", "true")]);
    let (status, ack) = rig.http("POST", "/", "", &vec![b' '; 2000]);
    assert_eq!(status, 413);
    assert_eq!(serde_json::from_slice::<Value>(&ack).unwrap()["error"], "message too large");
    assert_eq!(rig.http("POST", "/", "", b"{bad").0, 400);
}

#[test]
fn c22_one_message_a_connection() {
    let rig = Rig::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let mut stream = UnixStream::connect(rig.internal()).unwrap();
    let one = frame(request("a", Value::Null).to_string().as_bytes());
    stream.write_all(&[one.clone(), one].concat()).unwrap();
    let mut answer = vec![0; 4 + ok("a").to_string().len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(body(&answer)).unwrap(), ok("a"));
    // Nothing more comes, be it an end or a reset.
    assert!(!matches!(stream.read(&mut [0; 1]), Ok(length) if length > 0));
    assert_eq!(f.requests.all().len(), 1);
}

#[test]
fn c23_k11_who_sends_nothing_is_not_waited_for() {
    let rig = Rig::with(&[("read_timeout", "300ms")]);
    for bytes in [&b""[..], b"\0\0", b"\0\0\0\x09{"] {
        let mut stream = UnixStream::connect(rig.internal()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn c44_what_is_no_response_is_not_acked() {
    let rig = Rig::start();
    for text in ["{bad", r#"{"id":"z","error":5}"#] {
        let reply = crate::rig::call(&rig.response(), &frame(text.as_bytes())).unwrap();
        assert!(reply.is_empty(), "{text}");
    }
}

#[test]
fn c45_a_response_without_an_error_text_is_acked() {
    let rig = Rig::start();
    let reply = rig.respond(&json!({ "id": "z", "error": null }));
    let bare = br#"{"error":"","id":"","result":null,"stream_url":null}"#;
    assert_eq!(body(&reply), bare);
}
