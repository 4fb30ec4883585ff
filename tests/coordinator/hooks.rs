//! Responses on their way back: rewritten, in time, once, and what hooks answer.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Rig, body, failed, ok};
use crate::support::{eventually, free_port};

fn request(id: &str, hook: Value) -> Value {
    json!({ "id": id, "task": "foo", "responsehook": hook, "args": { "k": 1 } })
}

const BARE: &[u8] = br#"{"error":"","id":"","result":null,"stream_url":null}"#;

#[test]
fn c04_a_response_goes_to_its_hook() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&request("a2", hook.url("/cb?x=1"))), ok("a2"));
    let hop = f.requests.nth(0)["id"].clone();
    let response = json!({ "id": hop, "result": { "r": 1 }, "error": "" });
    assert_eq!(body(&rig.respond(&response)), BARE);
    let posted = hook.posts.nth(0);
    assert!(posted.head.starts_with("POST /cb?x=1 HTTP/1.1\r\n"), "{}", posted.head);
    assert!(posted.head.to_lowercase().contains("content-type: application/json"));
    let expected = json!({ "error": "", "id": "a2", "result": { "r": 1 }, "stream_url": null });
    assert_eq!(posted.body, expected);
}

#[test]
fn c05_a_second_response_is_acked_and_nobody_hears_of_it() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&request("a2", hook.url("/"))), ok("a2"));
    let response = json!({ "id": f.requests.nth(0)["id"], "result": 1 });
    for _ in 0..2 {
        assert_eq!(body(&rig.respond(&response)), BARE);
    }
    assert_eq!(hook.posts.nth(0).body["result"], 1);
    // What comes after it shows that it did not come.
    assert_eq!(rig.post(&request("a3", hook.url("/"))), ok("a3"));
    rig.respond(&json!({ "id": f.requests.nth(1)["id"], "result": 2 }));
    assert_eq!(hook.posts.nth(1).body["result"], 2);
    assert_eq!(hook.posts.all().len(), 2);
}

#[test]
fn c08_an_id_is_free_again_once_it_was_answered() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    for n in 0..2 {
        assert_eq!(rig.post(&request("a2", hook.url("/"))), ok("a2"));
        rig.respond(&json!({ "id": f.requests.nth(n)["id"], "result": n }));
        assert_eq!(hook.posts.nth(n).body["result"], n);
    }
}

#[test]
fn c06_what_is_not_answered_in_time() {
    let rig = Rig::start();
    let hook = Hook::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let started = Instant::now();
    assert_eq!(rig.post(&request("a2", hook.url("/"))), ok("a2"));
    let posted = hook.posts.nth(0);
    assert_eq!(posted.body, failed("a2", "response timeout"));
    let after = posted.at - started;
    assert!(after >= Duration::from_millis(2900), "{after:?}");
}

#[test]
fn c40_k23_what_hooks_answer() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let plain = Hook::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
    let empty = Hook::answering(&["HTTP/1.1 204 No Content\r\n\r\n"]);
    let busy = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    let third = Hook::answering(&[busy, busy, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let never = Hook::answering(&["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"]);
    for (id, hook) in [("a", &plain), ("b", &empty), ("c", &third), ("d", &never)] {
        assert_eq!(rig.post(&request(id, hook.url("/"))), ok(id));
    }
    assert_eq!(third.posts.nth(2).body["id"], "c");
    // A hook that is not there yet.
    let port = free_port();
    let late = json!({ "Scheme": "http", "Host": format!("127.0.0.1:{port}"), "Path": "/" });
    assert_eq!(rig.post(&request("e", late)), ok("e"));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (stream, _) = listener.accept().unwrap();
    drop(stream);
    eventually("what is given up is logged", || {
        rig.wrapper.stderr().contains("the response to `d` did not reach")
    });
    for hook in [&plain, &empty, &never] {
        assert_eq!(hook.posts.all().len(), 1);
    }
    assert_eq!(third.posts.all().len(), 3);
}

#[test]
fn c40_k23_a_hook_that_is_never_there_is_logged() {
    let rig = Rig::with(&[("request_timeout", "500ms")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let hook = json!({ "Scheme": "http", "Host": format!("127.0.0.1:{}", free_port()) });
    assert_eq!(rig.post(&request("gone", hook)), ok("gone"));
    eventually("it is logged", || {
        rig.wrapper.stderr().contains("the response to `gone` did not reach")
    });
}

#[test]
fn c41_a_hook_may_refuse() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let no = r#"{"error":"no"}"#;
    let hook =
        Hook::answering(&[&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{no}", no.len())]);
    assert_eq!(rig.post(&request("a", hook.url("/"))), ok("a"));
    eventually("it is logged", || rig.wrapper.stderr().contains("it says: no"));
    assert_eq!(hook.posts.all().len(), 1);
}

#[test]
fn c42_k06_redirects_are_not_followed() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let inner = Hook::start();
    let moved = format!(
        "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n",
        inner.port
    );
    let hook = Hook::answering(&[&moved]);
    assert_eq!(rig.post(&request("a", hook.url("/"))), ok("a"));
    eventually("it is logged", || rig.wrapper.stderr().contains("it answered 307"));
    assert!(inner.posts.all().is_empty());
}

#[test]
fn k06_only_hosts_that_are_allowed() {
    let rig = Rig::with(&[("hook_allow", "10.0.0.0/8 hooks.example")]);
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let hook = Hook::start();
    let refused = failed("a", "response hook is not allowed");
    assert_eq!(rig.post(&request("a", hook.url("/"))), refused);
    let rig_of_all = Rig::start();
    let metadata = json!({ "Scheme": "http", "Host": "169.254.169.254", "Path": "/" });
    assert_eq!(rig_of_all.post(&request("a", metadata)), refused);
    // A name that leads to an address that is not allowed is found out when it is called.
    let rig = Rig::with(&[("hook_allow", "10.0.0.0/8")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let host = format!("localhost:{}", hook.port);
    let named = json!({ "Scheme": "http", "Host": host, "Path": "/" });
    assert_eq!(rig.post(&request("b", named)), ok("b"));
    eventually("it is logged", || rig.wrapper.stderr().contains("is not allowed"));
    assert!(hook.posts.all().is_empty() && f.requests.all().is_empty());
}

#[test]
fn c46_a_response_with_error_and_result_passes_as_it_is() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&request("a", hook.url("/"))), ok("a"));
    rig.respond(&json!({ "id": f.requests.nth(0)["id"], "error": "half", "result": [1] }));
    let posted = hook.posts.nth(0).body;
    assert_eq!((&posted["error"], &posted["result"]), (&json!("half"), &json!([1])));
}

#[test]
fn an_http_hook_may_be_named_from_this_machine_too() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Result(json!(3)));
    // Without a host it is this one, as the original's own client says it.
    let own = json!({ "Scheme": "http", "Host": format!(":{}", hook.port), "Path": "/response" });
    assert_eq!(rig.ask(&request("a", own)), ok("a"));
    assert_eq!(f.requests.nth(0)["responsehook"]["Scheme"], "unix");
    assert_eq!(hook.posts.nth(0).body["result"], 3);
}

#[test]
fn hooks_that_lead_nowhere_are_refused_at_once() {
    let rig = Rig::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let host = |host: &str| json!({ "Scheme": "http", "Host": host, "Path": "/" });
    let port = |port: &str| format!("response hook has the port `{port}`, not one from 1 to 65535");
    let scheme =
        |scheme: &str| format!("response hook has the scheme `{scheme}`, not `unix` or `http`");
    for (hook, why) in [
        (json!("ftp://h/x"), scheme("ftp")),
        (json!({}), scheme("")),
        (json!({ "Scheme": "\u{1b}[2J" }), scheme("\\u{1b}[2J")),
        (host("h:0"), port("0")),
        (host("h:99999"), port("99999")),
        (host("[::1]:web"), port("web")),
    ] {
        for ack in [rig.post(&request("a", hook.clone())), rig.ask(&request("a", hook.clone()))] {
            assert_eq!(ack, failed("a", &why));
        }
    }
    let mut stream = request("a", Hook::start().url("/"));
    stream["stream_url"] = host("h:0");
    let why = "stream has the port `0`, not one from 1 to 65535";
    assert_eq!(rig.post(&stream), failed("a", why));
    assert!(f.requests.all().is_empty());
}
