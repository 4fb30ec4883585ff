//! Hooks that fail: the error policy and nothing else.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::Message;
use crate::plugin::{Answer, Plugin};
use crate::rig::{Rig, api, checked, hook, one, with};
use crate::support::free_port;
use crate::upstream::Upstream;

/// What three kinds of hooks make of a plugin: pre, auth, response.
fn three(address: &str, keys: &str, change: fn(Value) -> Value) -> [Message; 3] {
    let upstream = Upstream::start();
    let hook = change(hook("h"));
    let path = |api: Value, id: &str| {
        let mut api = with(api, json!({ "api_id": id, "name": id }));
        api["proxy"]["listen_path"] = format!("/{id}/").into();
        api
    };
    let apis = [
        path(api(upstream.port, json!({ "pre": [hook] })), "pre"),
        path(checked(upstream.port, json!({ "auth_check": hook })), "auth"),
        path(api(upstream.port, json!({ "response": [hook] })), "response"),
    ];
    let rig = Rig::with(&format!("grpc = \"{address}\"\n{keys}"), "", &apis);
    ["/pre/", "/auth/", "/response/"].map(|path| rig.get(path))
}

#[track_caller]
fn assert_usual(answers: &[Message; 3]) {
    let statuses = answers.each_ref().map(Message::status);
    assert_eq!(statuses, [500, 403, 500]);
    assert!(answers[0].text().contains("Middleware error"));
    assert!(answers[1].text().contains("Key not authorised"));
    assert!(answers[2].text().contains("Middleware error"));
}

fn same(hook: Value) -> Value {
    hook
}

#[test]
fn t72_a_server_that_is_not_there() {
    let address = format!("tcp://127.0.0.1:{}", free_port());
    assert_usual(&three(&address, "", same));
}

#[test]
fn a_plugin_that_says_no() {
    let plugin = Plugin::start(|_| Answer::Status(13, "internal"));
    assert_usual(&three(&plugin.address, "", same));
}

#[test]
fn an_answer_that_is_none() {
    let plugin = Plugin::start(|_| Answer::Bytes(Bytes::from_static(b"\xff\xff\xff")));
    assert_usual(&three(&plugin.address, "", same));
}

#[test]
fn an_answer_that_breaks_off() {
    let plugin = Plugin::start(|_| Answer::Cut);
    assert_usual(&three(&plugin.address, "", same));
}

#[test]
fn an_answer_that_is_too_large() {
    let plugin = Plugin::start(|mut object| {
        crate::plugin::request(&mut object).raw_body = vec![b'x'; 2 << 20].into();
        object
    });
    assert_usual(&three(&plugin.address, "grpc_recv_max_size = \"1MB\"", same));
}

#[test]
fn an_answer_that_is_late() {
    let plugin = Plugin::start(|_| Answer::Never);
    assert_usual(&three(&plugin.address, "hook_timeout = \"100ms\"", same));
}

#[test]
fn open_lets_requests_pass_as_they_came() {
    let plugin = Plugin::start(|_| Answer::Never);
    let answers = three(&plugin.address, "", |mut hook| {
        hook["timeout"] = "100ms".into();
        hook["on_error"] = json!({ "mode": "open" });
        hook
    });
    for answer in answers {
        assert_eq!((answer.status(), answer.text().as_str()), (200, "upstream"));
    }
}

#[test]
fn open_is_not_open_for_an_authentication_that_was_answered() {
    let plugin = Plugin::start(|_| Answer::Status(16, "unauthenticated"));
    let answers = three(&plugin.address, "", |mut hook| {
        hook["on_error"] = json!({ "mode": "open" });
        hook
    });
    assert_eq!(answers.each_ref().map(Message::status), [200, 403, 200]);
}

#[test]
fn a_status_may_be_chosen() {
    let address = format!("tcp://127.0.0.1:{}", free_port());
    let answers = three(&address, "", |mut hook| {
        hook["on_error"] = json!({ "mode": "closed", "status": 503 });
        hook
    });
    assert_eq!(answers.each_ref().map(Message::status), [503, 503, 503]);
}

#[test]
fn t52_a_driver_that_is_not_there() {
    let plugin = Plugin::start(|object| object);
    for driver in ["nothing", "python", ""] {
        let upstream = Upstream::start();
        let mut api = api(upstream.port, json!({ "pre": [hook("h")] }));
        api["custom_middleware"]["driver"] = driver.into();
        let rig = Rig::start(&plugin, &[api]);
        let answer = rig.get("/api/get");
        assert_eq!(answer.status(), 500, "{driver}");
        assert!(answer.text().contains("Internal Server Error"));
        assert!(upstream.seen().is_empty());
    }
}

#[test]
fn t81_hooks_that_are_switched_off() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\nenable_coprocess = false", plugin.address);
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    let answer = rig.get("/api/get");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "upstream"));
    assert!(plugin.calls().is_empty());
    rig.wrapper.wait_for("enable_coprocess");
}

#[test]
fn strict_serves_no_api_whose_hooks_cannot_run() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let mut api = api(upstream.port, json!({ "pre": [hook("h")] }));
    api["custom_middleware"]["driver"] = "nothing".into();
    let keys = format!("grpc = \"{}\"\ncompat = \"strict\"", plugin.address);
    let rig = Rig::with(&keys, "", &[api]);
    assert_eq!(rig.get("/api/get").status(), 404);
}

#[test]
fn a_plugin_that_comes_back_is_found_again() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("p.sock");
    let start = |path: &Path| Plugin::at(path, |object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"unix://{}\"", socket.display());
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    assert_eq!(rig.get("/api/get").status(), 500);
    let _plugin = start(&socket);
    crate::support::eventually("the plugin is found", || rig.get("/api/get").status() == 200);
}

#[test]
fn a_slow_hook_is_waited_for_within_its_time() {
    let plugin = Plugin::start(|object| Answer::After(Duration::from_millis(50), Box::new(object)));
    let (_upstream, rig) =
        one(&plugin, |port| api(port, json!({ "pre": [{ "name": "h", "timeout": "20s" }] })));
    assert_eq!(rig.get("/api/get").status(), 200);
}

#[test]
fn with_a_hook_that_is_open_the_key_alone_counts() {
    let plugin = Plugin::start(|_| Answer::Never);
    let (_upstream, rig) = one(&plugin, |port| {
        let hook = json!({ "name": "h", "timeout": "100ms", "on_error": { "mode": "open" } });
        with(checked(port, json!({ "auth_check": hook })), json!({ "use_standard_auth": true }))
    });
    rig.key("k-open", &json!({}));
    let ask = |key: &str| rig.request("GET", "/api/").header("Authorization", key).send().status();
    assert_eq!([ask("k-open"), ask("k-unknown")], [200, 403]);
}
