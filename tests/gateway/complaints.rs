//! What users of Tyk have asked for, by the numbers of the specification's list. Those that concern Python
//! (6 to 8) are proved where Python is.

use std::time::Duration;

use serde_json::json;

use crate::plugin::{Answer, Plugin, header, request};
use crate::rig::{Rig, api, hook, one};
use crate::support::{eventually, free_port};
use crate::upstream::{Upstream, answer};

#[test]
fn complaint_01_a_hook_has_a_timeout_and_the_client_an_answer() {
    let plugin = Plugin::start(|_| Answer::Never);
    let (_upstream, rig) = one(&plugin, |port| {
        let hook = json!({ "name": "h", "timeout": "100ms",
            "on_error": { "mode": "closed", "status": 504 } });
        api(port, json!({ "pre": [hook] }))
    });
    assert_eq!(rig.get("/api/").status(), 504);
}

#[test]
fn complaint_02_calls_are_spread_over_servers_and_one_that_is_gone_is_passed_over() {
    let plugins = [(); 2].map(|()| Plugin::start(|object| object));
    let upstream = Upstream::start();
    let keys = format!(
        "grpc = [\"{}\", \"{}\", \"tcp://127.0.0.1:{}\"]\ngrpc_connect_timeout = \"1s\"",
        plugins[0].address,
        plugins[1].address,
        free_port()
    );
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    eventually("both were asked", || {
        assert_eq!(rig.get("/api/").status(), 200);
        plugins.iter().all(|plugin| !plugin.calls().is_empty())
    });
}

#[test]
fn complaint_03_the_authority_is_right_and_may_be_chosen() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = one(&plugin, |port| api(port, json!({ "pre": [hook("h")] })));
    rig.get("/api/");
    let address = plugin.address.strip_prefix("tcp://").unwrap();
    assert_eq!(plugin.only().authority.as_deref(), Some(address));
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\ngrpc_authority = \"plugins.test\"", plugin.address);
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    rig.get("/api/");
    assert_eq!(plugin.only().authority.as_deref(), Some("plugins.test"));
}

#[test]
fn complaint_04_a_plugin_sees_its_api() {
    let plugin = Plugin::start(|object| object);
    let (upstream, rig) = one(&plugin, |port| api(port, json!({ "pre": [hook("h")] })));
    rig.get("/api/");
    let spec = plugin.only().object.spec;
    assert_eq!((spec["ListenPath"].as_str(), spec["Name"].as_str()), ("/api/", "api"));
    assert_eq!(spec["TargetURL"], format!("http://127.0.0.1:{}/", upstream.port));
}

#[test]
fn complaint_05_values_of_a_header_are_neither_lost_nor_resurrected() {
    let plugin = Plugin::start(|mut object| {
        let response = object.response.as_mut().unwrap();
        response.multivalue_headers.retain(|header| header.key != "X-Gone");
        response.multivalue_headers.push(header("X-New", &["1", "2"]));
        object
    });
    let headers = "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Gone: 1\r\n";
    let upstream = Upstream::answering(move |_| answer(headers, "x"));
    let rig = Rig::start(&plugin, &[api(upstream.port, json!({ "response": [hook("h")] }))]);
    let request = rig.request("GET", "/api/").header("X-Many", "1").header("X-Many", "2");
    let answer = request.send();
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!((answer.header("x-gone"), answer.all("x-new")), (None, vec!["1", "2"]));
    let seen = plugin.only().object.request.unwrap();
    assert_eq!(seen.repeated_headers, [header("X-Many", &["1", "2"])]);
    assert_eq!(upstream.only().all("x-many"), ["1", "2"]);
}

#[test]
fn complaint_09_traces_and_metrics_are_there() {
    // The rest of it is in `seen`.
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = one(&plugin, |port| api(port, json!({ "pre": [hook("h")] })));
    rig.request("GET", "/api/").header("Traceparent", parent).send();
    assert_eq!(plugin.only().metadata["traceparent"], parent);
}

#[test]
fn complaint_11_a_failed_dependency_may_be_a_503() {
    let plugin = Plugin::start(|_| Answer::Status(14, "unavailable"));
    let (_upstream, rig) = one(&plugin, |port| {
        let hook = json!({ "name": "h", "on_error": { "mode": "closed", "status": 503 } });
        api(port, json!({ "pre": [hook] }))
    });
    assert_eq!(rig.get("/api/").status(), 503);
}

#[test]
fn complaint_12_a_hook_without_a_body_lets_it_stream_and_others_have_a_limit() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"", plugin.address);
    let limits = "[gateway.limits]\nmax_buffered_body = \"1MB\"";
    let body = vec![b'x'; 3 << 20];
    let light = json!({ "name": "light", "body": "none" });
    let rig = Rig::with(&keys, limits, &[api(upstream.port, json!({ "pre": [light] }))]);
    let answer = rig.request("POST", "/api/").body("text/plain", body.clone()).send();
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.only().body, body);
    let seen = plugin.only().object.request.unwrap();
    assert!(seen.raw_body.is_empty() && seen.body.is_empty());
    let rig = Rig::with(&keys, limits, &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    let answer = rig.request("POST", "/api/").body("text/plain", body).try_send();
    assert!(answer.is_none_or(|answer| answer.status() == 413));
    assert_eq!((plugin.calls().len(), upstream.seen().len()), (1, 1));
}

#[test]
fn bodies_that_are_held_have_a_bound_in_common() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"", plugin.address);
    let limits = "[gateway.limits]\nmax_buffered_total = \"1MB\"";
    let body = vec![b'x'; 3 << 20];
    let rig = Rig::with(&keys, limits, &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    let refused = rig.request("POST", "/api/").body("text/plain", body).try_send();
    if let Some(refused) = refused {
        assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
    }
    assert!(plugin.calls().is_empty());
    // What is held is given back.
    for _ in 0..3 {
        let answer = rig.request("POST", "/api/").body("text/plain", vec![b'x'; 700_000]).send();
        assert_eq!(answer.status(), 200);
    }
}

#[test]
fn a_plugin_that_is_dead_is_no_flood_of_lines() {
    let upstream = Upstream::start();
    let keys = format!("grpc = \"tcp://127.0.0.1:{}\"", free_port());
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    for _ in 0..30 {
        assert_eq!(rig.get("/api/").status(), 500);
    }
    let lines = || rig.wrapper.dump().matches("hook `h` failed").count();
    // It cannot be reached, and then it is left alone: one line for each.
    eventually("both are told", || lines() >= 2);
    assert_eq!(lines(), 2);
}

#[test]
fn answers_that_cannot_be_applied_are_no_flood_of_lines() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).url.clear();
        object
    });
    let (_upstream, rig) = one(&plugin, |port| api(port, json!({ "pre": [hook("h")] })));
    for _ in 0..20 {
        assert_eq!(rig.get("/api/").status(), 500);
    }
    let lines = || rig.wrapper.dump().matches("the answer of the pre hook `h` cannot be").count();
    eventually("it is told", || lines() > 0);
    assert_eq!(lines(), 1);
    let named = "API `api`: the answer of the pre hook `h` cannot be applied: ";
    assert!(rig.wrapper.dump().contains(named), "{}", rig.wrapper.dump());
}

#[test]
fn complaint_13_open_passes_the_original_body() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).raw_body = "changed".into();
        request(&mut object).set_headers.insert("X-Changed".into(), "1".into());
        // No url: nothing of it can be applied.
        request(&mut object).url.clear();
        object
    });
    let (upstream, rig) = one(&plugin, |port| {
        let hook = json!({ "name": "h", "on_error": { "mode": "open" } });
        api(port, json!({ "pre": [hook] }))
    });
    let answer = rig.request("POST", "/api/p?a=1").body("text/plain", "original").send();
    assert_eq!(answer.status(), 200);
    let seen = upstream.only();
    assert_eq!((seen.target(), seen.text().as_str()), ("/p?a=1", "original"));
    assert_eq!((seen.method(), seen.header("x-changed")), ("POST", None));
}

#[test]
fn complaint_14_overload_is_a_503_and_no_queue_without_end() {
    let plugin = Plugin::start(|_| Answer::Never);
    let upstream = Upstream::start();
    let keys = format!(
        "grpc = \"{}\"\ngrpc_max_in_flight = 1\ngrpc_queue = 1\ngrpc_queue_timeout = \"200ms\"\n\
         hook_timeout = \"1s\"",
        plugin.address
    );
    let rig = Rig::with(&keys, "", &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    let ask = rig.request("GET", "/api/");
    let mut statuses: Vec<_> = std::thread::scope(|scope| {
        let asks: Vec<_> =
            (0..3).map(|_| scope.spawn(|| ask.try_send().unwrap().status())).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [500, 503, 503]);
}

#[test]
fn complaint_15_a_reload_neither_breaks_calls_nor_connections() {
    let plugin =
        Plugin::start(|object| Answer::After(Duration::from_millis(500), Box::new(object)));
    let (upstream, rig) = one(&plugin, |port| api(port, json!({ "pre": [hook("old")] })));
    let ask = rig.request("GET", "/api/");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| ask.try_send().unwrap().status());
        eventually("it is on its way", || plugin.calls().len() == 1);
        let changed = api(upstream.port, json!({ "pre": [hook("new")] }));
        rig.place.write("apis/0.json", &changed.to_string());
        rig.coproc(&["reload"]);
        assert_eq!(slow.join().unwrap(), 200);
    });
    assert_eq!(rig.get("/api/").status(), 200);
    assert_eq!(plugin.objects("new").len(), 1);
}

#[test]
fn complaint_16_a_hook_is_one_message() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) =
        one(&plugin, |port| api(port, json!({ "pre": [hook("a")], "post": [hook("b")] })));
    assert_eq!(rig.get("/api/").status(), 200);
    let names: Vec<_> = plugin.calls().into_iter().map(|call| call.object.hook_name).collect();
    assert_eq!(names, ["a", "b"]);
}
