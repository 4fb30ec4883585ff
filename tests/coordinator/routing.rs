//! The way of a request: from its entrance to a provider, and what is said against it.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Provider, Rig, call, failed, frame, ok, unix};
use crate::support::eventually;

/// A request with a hook on this machine.
fn plain(id: &str, task: &str) -> Value {
    json!({ "id": id, "task": task, "responsehook": unix("/x/none.sock") })
}

fn hooked(id: &str, hook: &Hook) -> Value {
    json!({ "id": id, "task": "foo", "responsehook": hook.url("/cb?x=1"), "args": { "k": 1 } })
}

#[test]
fn c01_sockets_and_port_are_there() {
    let rig = Rig::start();
    assert!(rig.internal().exists() && rig.response().exists());
    assert_eq!(rig.http("GET", "/", "", b"").0, 200);
}

#[test]
fn c02_a_request_with_a_unix_hook_passes_untouched() {
    let rig = Rig::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let mut request = plain("a1", "foo");
    request["args"] = json!({ "k": [1, 2] });
    let reply = call(&rig.internal(), &frame(request.to_string().as_bytes())).unwrap();
    let expected = br#"{"error":"","id":"a1","result":null,"stream_url":null}"#;
    assert_eq!(reply, [&[0, 0, 0, 0x36][..], expected].concat());
    let seen = f.requests.nth(0);
    assert_eq!((&seen["id"], &seen["task"]), (&json!("a1"), &json!("foo")));
    assert_eq!(seen["args"], json!({ "k": [1, 2] }));
    assert_eq!(seen["responsehook"]["Path"], "/x/none.sock");
}

#[test]
fn c03_a_request_with_an_http_hook_comes_back_through_the_coordinator() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let (status, ack) = rig.http("POST", "/", "", hooked("a2", &hook).to_string().as_bytes());
    assert_eq!((status, ack.as_slice()), (200, ok("a2").to_string().as_bytes()));
    let seen = f.requests.nth(0);
    assert_eq!(seen["responsehook"]["Scheme"], "unix");
    assert_eq!(seen["responsehook"]["Path"], rig.response().to_str().unwrap());
    assert_eq!(seen["args"], json!({ "k": 1 }));
}

#[test]
fn c07_an_id_is_taken_once() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    assert_eq!(rig.post(&hooked("a2", &hook)), ok("a2"));
    assert_eq!(rig.post(&hooked("a2", &hook)), failed("a2", "request id already traacked"));
    assert_eq!(f.requests.all().len(), 1);
}

#[test]
fn c09_nobody_answers_for_the_task() {
    let rig = Rig::start();
    let expected = failed("n", "no providers available for task");
    assert_eq!(rig.ask(&plain("n", "nope")), expected);
    let hook = Hook::start();
    let mut request = hooked("n", &hook);
    request["task"] = "nope".into();
    assert_eq!(rig.post(&request), expected);
}

#[test]
fn c10_k15_a_request_has_a_task() {
    let rig = Rig::start();
    let no_task = json!({ "id": "1", "responsehook": Hook::start().url("/") });
    assert_eq!(rig.post(&no_task), failed("1", "request missing task"));
    assert_eq!(rig.ask(&no_task), failed("1", "missing task"));
}

#[test]
fn c11_k15_on_the_socket_it_has_an_id_and_a_hook() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let no_id = json!({ "task": "foo", "responsehook": Hook::start().url("/") });
    assert_eq!(rig.ask(&no_id), failed("", "missing id"));
    let no_hook = json!({ "id": "1", "task": "foo" });
    assert_eq!(rig.ask(&no_hook), failed("1", "missing response hook"));
}

#[test]
fn c12_k15_over_http_it_has_an_id() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let no_id = json!({ "task": "foo", "responsehook": Hook::start().url("/") });
    assert_eq!(rig.post(&no_id), failed("", "missing id"));
}

#[test]
fn c13_k15_over_http_it_has_a_hook() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let no_hook = json!({ "id": "1", "task": "foo" });
    assert_eq!(rig.post(&no_hook), failed("1", "missing response hook"));
}

#[test]
fn c14_what_is_no_request() {
    let rig = Rig::start();
    for text in ["{bad", "", "[]", r#"{"id":5}"#] {
        for ack in [rig.post_text(text.as_bytes()), rig.ask_text(text.as_bytes())] {
            assert_eq!(ack["id"], "", "{text}");
            assert_ne!(ack["error"], "", "{text}");
        }
    }
    assert_eq!(rig.ask_text(b""), failed("", "unexpected end of JSON input"));
}

#[test]
fn c15_a_hook_may_be_a_text() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Result(json!(7)));
    let url = format!("http://127.0.0.1:{}/cb", hook.port);
    assert_eq!(rig.post(&json!({ "id": "1", "task": "foo", "responsehook": url })), ok("1"));
    f.requests.nth(0);
    assert_eq!(hook.posts.nth(0).body["result"], 7);
}

#[test]
fn c16_keys_in_any_case_and_others() {
    let rig = Rig::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let request = json!({
        "ID": "a", "Task": "foo", "more": [1], "args": null,
        "ResponseHook": { "scheme": "unix", "path": "/x/none.sock", "other": 1 },
    });
    assert_eq!(rig.ask(&request), ok("a"));
    let seen = f.requests.nth(0);
    assert_eq!(seen["id"], "a");
    assert_eq!(seen["responsehook"]["Path"], "/x/none.sock");
}

#[test]
fn c17_further_keys_and_arguments_that_are_null_or_not_there() {
    let rig = Rig::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let mut null = plain("a", "foo");
    null["args"] = Value::Null;
    null["further"] = json!([1]);
    assert_eq!(rig.ask(&null), ok("a"));
    assert_eq!(rig.ask(&plain("b", "foo")), ok("b"));
    for n in 0..2 {
        let seen = f.requests.nth(n);
        assert!(seen.as_object().unwrap().contains_key("args") && seen["args"].is_null(), "{seen}");
    }
}

#[test]
fn c18_any_path_is_a_request() {
    let rig = Rig::start();
    let (status, ack) = rig.http("GET", "/any/path", "", b"");
    assert_eq!(status, 200);
    let ack: Value = serde_json::from_slice(&ack).unwrap();
    assert_eq!(ack, failed("", "unexpected end of JSON input"));
}

#[test]
fn c24_k12_providers_are_asked_by_their_priority_as_a_number() {
    let rig = Rig::start();
    let names = ["5-a", "9-e", "10-b", "50-c", "100-d", "test"];
    let start = |name: &&str| rig.provider("foo", name, Answer::Refuse(format!("busy {name}")));
    let providers: Vec<_> = names.iter().rev().map(start).collect();
    let hidden = start(&".hid");
    assert_eq!(rig.ask(&plain("a", "foo")), failed("a", "busy test"));
    let asked: Vec<_> =
        providers.iter().map(|one| one.requests.nth(0)["number"].as_u64()).collect();
    assert!(asked.is_sorted_by(|earlier, later| earlier > later), "{asked:?}");
    assert!(hidden.requests.all().is_empty());
    drop(providers);
    let _first = rig.provider("foo", "9-e", Answer::Ack);
    let second = rig.provider("foo", "10-b", Answer::Ack);
    assert_eq!(rig.ask(&plain("b", "foo")), ok("b"));
    assert!(second.requests.all().is_empty());
}

#[test]
fn c25_k13_a_stale_socket_is_passed_over() {
    let rig = Rig::start();
    std::fs::create_dir_all(rig.at("foo")).unwrap();
    drop(UnixListener::bind(rig.at("foo/1-dead.sock")).unwrap());
    let alive = rig.provider("foo", "2-ok.sock", Answer::Ack);
    for id in ["a", "b"] {
        assert_eq!(rig.ask(&plain(id, "foo")), ok(id));
    }
    assert_eq!(alive.requests.all().len(), 2);
    drop(alive);
    let dead = rig.ask(&plain("c", "foo"));
    let path = rig.at("foo/1-dead.sock");
    let expected = format!("dial unix {}: connect: connection refused", path.display());
    assert_eq!(dead, failed("c", &expected));
}

#[test]
fn c26_k08_a_provider_that_closes_without_a_word_may_have_begun() {
    let rig = Rig::start();
    let first = rig.provider("foo", "1-a.sock", Answer::Bytes(vec![]));
    let second = rig.provider("foo", "2-b.sock", Answer::Ack);
    assert_eq!(rig.ask(&plain("a", "foo")), failed("a", "EOF"));
    first.requests.nth(0);
    assert!(second.requests.all().is_empty());
}

#[test]
fn c27_k11_a_provider_that_says_nothing_is_not_waited_for_for_ever() {
    let mut rig = Rig::with(&[("ack_timeout", "300ms"), ("stop_timeout", "5s")]);
    let first = rig.provider("foo", "1-a.sock", Answer::Silence(Duration::from_secs(20)));
    let second = rig.provider("foo", "2-b.sock", Answer::Ack);
    assert_eq!(rig.ask(&plain("a", "foo")), failed("a", "ack timeout"));
    first.requests.nth(0);
    assert!(second.requests.all().is_empty());
    assert_eq!(rig.wrapper.stop(), 0);
}

#[test]
fn c28_a_provider_may_refuse() {
    let rig = Rig::start();
    let first = rig.provider("foo", "1-a.sock", Answer::Refuse("busy".into()));
    let second = rig.provider("foo", "2-b.sock", Answer::Ack);
    assert_eq!(rig.ask(&plain("a", "foo")), ok("a"));
    assert_eq!((first.requests.all().len(), second.requests.all().len()), (1, 1));
}

#[test]
fn c29_an_ack_that_is_none() {
    let rig = Rig::start();
    let garbage = frame(b"garbage");
    let _f = rig.provider("foo", "1-a.sock", Answer::Bytes(garbage));
    let ack = rig.ask(&plain("a", "foo"));
    assert_eq!(ack["id"], "a");
    assert_ne!(ack["error"], "");
}

#[test]
fn c30_k14_nothing_follows_a_refusal_and_the_id_is_free() {
    let rig = Rig::with(&[("request_timeout", "300ms")]);
    let hook = Hook::start();
    let refusing = rig.provider("foo", "1-a.sock", Answer::Refuse("busy".into()));
    for _ in 0..2 {
        assert_eq!(rig.post(&hooked("a", &hook)), failed("a", "busy"));
    }
    drop(refusing);
    let _f = rig.provider("foo", "1-b.sock", Answer::Result(json!(1)));
    let started = Instant::now();
    assert_eq!(rig.post(&hooked("a", &hook)), ok("a"));
    assert_eq!(hook.posts.nth(0).body["result"], 1);
    // Longer than a request that was left behind would have lived.
    while started.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(hook.posts.all().len(), 1);
}

#[test]
fn c31_k02_a_task_is_one_name() {
    let rig = Rig::start();
    let outside = Provider::start(&rig.place.path().join("outside"), "1-x.sock", Answer::Ack);
    let _inside = rig.provider("a/b", "1-x.sock", Answer::Ack);
    let none = "no providers available for task";
    let long = "x".repeat(200);
    for task in ["../outside", "a/b", ".", "..", "/", "foo/../../outside", &long, "a\0b", ".x"] {
        assert_eq!(rig.ask(&plain("a", task)), failed("a", none), "{task:?}");
    }
    assert_eq!(rig.ask(&plain("a", "")), failed("a", "missing task"));
    assert!(outside.requests.all().is_empty());
}

#[test]
fn c32_k03_reserved_names_are_no_tasks() {
    let rig = Rig::start();
    let none = "no providers available for task";
    for task in ["coordinator", "response", "streams"] {
        assert_eq!(rig.ask(&plain("a", task)), failed("a", none), "{task}");
    }
}

#[test]
fn c33_links_are_not_followed() {
    let rig = Rig::start();
    let elsewhere = rig.place.path().join("elsewhere");
    let outside = Provider::start(&elsewhere, "1-x.sock", Answer::Ack);
    std::os::unix::fs::symlink(&elsewhere, rig.at("foo2")).unwrap();
    let none = "no providers available for task";
    assert_eq!(rig.ask(&plain("a", "foo2")), failed("a", none));
    assert!(outside.requests.all().is_empty());
}

#[test]
fn c43_k05_requests_over_http_name_no_sockets() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&plain("a", "foo")), failed("a", "response hook is not allowed"));
    let mut request = hooked("b", &hook);
    request["stream_url"] = unix("/etc/x.sock");
    assert_eq!(rig.post(&request), failed("b", "stream is not allowed"));
    assert!(f.requests.all().is_empty());
    let rig = Rig::with(&[("allow_unix_hooks_from_http", "true")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&plain("a", "foo")), ok("a"));
}

#[test]
fn c69_keys_of_the_second_dialect() {
    let rig = Rig::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let request = json!({
        "id": "a", "task": "foo", "responseHook": unix("/x/none.sock"),
        "streamURL": unix("/x/stream.sock"), "taskURL": { "Scheme": "http", "Host": "h" },
    });
    assert_eq!(rig.ask(&request), ok("a"));
    assert_eq!(f.requests.nth(0)["stream_url"]["Path"], "/x/stream.sock");
}

#[test]
fn k04_only_who_was_asked_can_answer() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    assert_eq!(rig.post(&hooked("victim", &hook)), ok("victim"));
    let hop = f.requests.nth(0)["id"].clone();
    assert_ne!(hop, "victim");
    rig.respond(&json!({ "id": "victim", "result": "forged" }));
    rig.respond(&json!({ "id": hop, "result": "true" }));
    assert_eq!(hook.posts.nth(0).body["result"], "true");
    assert_eq!(hook.posts.nth(0).body["id"], "victim");
    // With the key set, ids pass as they are.
    let rig = Rig::with(&[("keep_ids", "true")]);
    let f = rig.provider("foo", "50-f.sock", Answer::Ack);
    assert_eq!(rig.post(&hooked("victim", &hook)), ok("victim"));
    assert_eq!(f.requests.nth(0)["id"], "victim");
}

#[test]
fn k07_a_token_may_be_asked_for() {
    let rig = Rig::with(&[("tokens", "one two")]);
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let hook = Hook::start();
    let request = hooked("a", &hook).to_string();
    for headers in ["", "Authorization: Bearer three\r\n", "Authorization: two\r\n"] {
        assert_eq!(rig.http("POST", "/", headers, request.as_bytes()).0, 401, "{headers}");
    }
    let headers = "Authorization: Bearer two\r\n";
    assert_eq!(rig.http("POST", "/", headers, request.as_bytes()).0, 200);
    // By default nothing but loopback hears of it.
    let listens = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X} 00000000:0000 0A", rig.port);
    let line = listens.lines().find(|line| line.contains(&port)).unwrap();
    assert!(line.contains("0100007F:"), "{line}");
}

#[test]
fn k32_hooks_with_credentials_are_refused_and_any_socket_can_be_named() {
    let rig = Rig::start();
    let _f = rig.provider("foo", "50-f.sock", Answer::Ack);
    let mut request = json!({ "id": "a", "task": "foo", "responsehook": "http://u:p@127.0.0.1/" });
    let refused = failed("a", "response hook has credentials, which cannot be sent");
    assert_eq!(rig.post(&request), refused);
    request["responsehook"] = json!({ "Scheme": "http", "Host": "127.0.0.1", "User": {} });
    assert_eq!(rig.post(&request), refused);
    let odd = Provider::start(&rig.at("o d%d"), "5-ü?#.sock", Answer::Ack);
    assert_eq!(rig.ask(&plain("b", "o d%d")), ok("b"));
    odd.requests.nth(0);
}

#[test]
fn k19_neither_payloads_nor_long_names_are_logged() {
    let rig = Rig::start();
    let long = "x".repeat(100_000);
    let ack = rig.ask(&json!({
        "id": long, "task": "nope", "responsehook": unix("/x"), "args": "a-secret-argument",
    }));
    assert_eq!(ack["error"], "no providers available for task");
    rig.respond(&json!({ "id": long, "result": "a-secret-result" }));
    call(&rig.response(), &frame(b"{\"result\": \"a-secret-result\", ")).unwrap();
    eventually("the log tells", || rig.wrapper.stderr().contains("cannot be understood"));
    let log = rig.wrapper.stderr();
    assert!(log.len() < 4096, "{} bytes", log.len());
    assert!(!log.contains("a-secret"), "{log}");
}
