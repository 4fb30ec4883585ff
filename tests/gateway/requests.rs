//! What hooks see of requests, and what of their changes reaches the upstream.

use serde_json::{Value, json};

use crate::plugin::{Answer, Plugin, overrides, request};
use crate::rig::{Rig, api, hook, keyed, one, with};
use crate::upstream::Upstream;

fn pre(name: &str) -> Value {
    json!({ "pre": [hook(name)] })
}

/// Answers 400 with these words.
fn refuse(object: &mut coproc_gateway::wire::Object, why: &str) {
    overrides(object).response_code = 400;
    overrides(object).response_error = why.to_owned();
}

#[test]
fn t01_a_pre_hook_sets_a_header() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).set_headers.insert("Testheader".into(), "testvalue".into());
        object
    });
    let (upstream, rig) = one(&plugin, |port| keyed(port, pre("testPreHook1")));
    rig.key("k-0001", &json!({}));
    let answer = rig.request("GET", "/api/get").header("Authorization", "k-0001").send();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "upstream"));
    let seen = upstream.only();
    assert_eq!(seen.header("Testheader"), Some("testvalue"));
    assert_eq!(seen.target(), "/get");
    let called = plugin.only().object;
    assert_eq!(called.hook_name, "testPreHook1");
    assert_eq!(called.hook_type, 1);
    assert_eq!(called.spec["APIID"], "api1");
    assert_eq!(called.spec["OrgID"], "org1");
    assert_eq!(called.spec["bundle_hash"], "d41d8cd98f00b204e9800998ecf8427e");
}

#[test]
fn what_a_hook_sets_reaches_the_upstream_whatever_connection_names() {
    let plugin = Plugin::start(|mut object| {
        assert!(!request(&mut object).headers.contains_key("X-User"));
        request(&mut object).set_headers.insert("X-User".into(), "me".into());
        object
    });
    let (upstream, rig) = one(&plugin, |port| api(port, pre("who")));
    let asked = rig.request("GET", "/api/get").header("Connection", "keep-alive, X-User");
    assert_eq!(asked.header("X-User", "root").send().status(), 200);
    let seen = upstream.only();
    assert_eq!((seen.all("X-User"), seen.header("Connection")), (vec!["me"], None));
}

/// A hook that wants a binary body in `raw_body` alone, and a text in both.
fn bodies() -> Plugin {
    Plugin::start(|mut object| {
        let seen = request(&mut object).clone();
        let kind = seen.headers.get("Content-Type").cloned().unwrap_or_default();
        let good = match kind.split(';').next().unwrap() {
            "multipart/form-data" => seen.body.is_empty() && !seen.raw_body.is_empty(),
            "application/json" => !seen.body.is_empty() && seen.body.as_bytes() == seen.raw_body,
            _ => false,
        };
        if !good {
            refuse(&mut object, "body wrong");
            overrides(&mut object).override_error = kind.starts_with("multipart");
        }
        object
    })
}

#[test]
fn t02_a_binary_body_is_in_raw_body_alone() {
    let plugin = bodies();
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    let body =
        b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n\xff\xfe\x00\r\n--b--\r\n";
    let request = rig.request("POST", "/api/post");
    let answer = request.body("multipart/form-data; boundary=b", body.to_vec()).send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.only().body, body);
}

#[test]
fn t03_a_text_body_is_in_both_fields() {
    let plugin = bodies();
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    let answer = rig.request("POST", "/api/post").body("application/json", "{}").send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.only().body, b"{}");
}

#[test]
fn t04_a_hook_that_does_not_like_a_body_says_so() {
    let plugin = bodies();
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    let answer = rig.request("POST", "/api/post").body("text/plain", "x").send();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text(), "{\n    \"error\": \"body wrong\"\n}");
    assert!(upstream.seen().is_empty());
}

#[test]
fn t05_a_post_hook_sees_the_session_and_its_metadata() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = one(&plugin, |port| keyed(port, json!({ "post": [hook("h")] })));
    let metadata = json!({ "testkey": { "nestedkey": "nestedvalue" }, "testkey2": "testvalue" });
    rig.key("k-0005", &json!({ "meta_data": metadata }));
    let answer = rig.request("GET", "/api/get").header("Authorization", "k-0005").send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let called = plugin.only().object;
    let seen = called.session.unwrap().metadata;
    let nested: Value = serde_json::from_str(&seen["testkey"]).unwrap();
    assert_eq!(nested, json!({ "nestedkey": "nestedvalue" }));
    assert_eq!(seen["testkey2"], "testvalue");
    assert_eq!(called.metadata, seen);
}

#[test]
fn t07_a_large_body_passes_where_the_limits_let_it() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let rig = Rig::with(
        &format!("grpc = \"{}\"\ngrpc_recv_max_size = \"100MB\"", plugin.address),
        "[gateway.limits]\nmax_buffered_body = \"100MB\"",
        &[api(upstream.port, json!({ "post": [{ "name": "h", "raw_body_only": true }] }))],
    );
    let body = vec![b'x'; 20 << 20];
    let answer = rig.request("POST", "/api/post").body("text/plain", body.clone()).send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.only().body, body);
}

#[test]
fn t08_a_body_that_cannot_be_sent_is_a_failure() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let rig = Rig::with(
        &format!("grpc = \"{}\"\ngrpc_send_max_size = \"1MB\"", plugin.address),
        "[gateway.limits]\nmax_buffered_body = \"100MB\"",
        &[api(upstream.port, json!({ "post": [hook("h")] }))],
    );
    let body = vec![b'x'; 2 << 20];
    let answer = rig.request("POST", "/api/post").body("text/plain", body).send();
    assert_eq!(answer.status(), 500, "{}", answer.text());
    assert!(answer.text().contains("Middleware error"));
    assert!(plugin.calls().is_empty() && upstream.seen().is_empty());
}

#[test]
fn t17_config_data_reaches_a_response_hook() {
    let (status, header) = config_data(json!({ "config_data": { "key": "value" } }));
    assert_eq!((status, header.as_str()), (200, "true"));
}

#[test]
fn t18_config_data_that_is_switched_off_does_not() {
    let keys = json!({ "config_data": { "key": "value" }, "config_data_disabled": true });
    let (status, header) = config_data(keys);
    assert_eq!((status, header.as_str()), (200, "false"));
}

#[test]
fn t56_empty_config_data_does_not_either() {
    let (status, header) = config_data(json!({ "config_data": {} }));
    assert_eq!((status, header.as_str()), (200, "false"));
}

fn config_data(keys: Value) -> (u16, String) {
    let plugin = Plugin::start(|mut object| {
        let there = object.spec.contains_key("config_data").to_string();
        let response = object.response.as_mut().unwrap();
        response.headers.insert("x-config-data".into(), there);
        object
    });
    let (_upstream, rig) =
        one(&plugin, |port| with(api(port, json!({ "response": [hook("h")] })), keys));
    let answer = rig.get("/api/get");
    (answer.status(), answer.header("x-config-data").unwrap_or("none").to_owned())
}

#[test]
fn t33_headers_are_set_and_deleted() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).set_headers.insert("Test".into(), "value".into());
        request(&mut object).delete_headers.push("Deletethisheader".into());
        object
    });
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    rig.request("GET", "/api/get").header("Deletethisheader", "x").header("Keep", "y").send();
    let seen = upstream.only();
    assert_eq!(seen.header("Test"), Some("value"));
    assert_eq!(seen.header("Deletethisheader"), None);
    assert_eq!(seen.header("Keep"), Some("y"));
}

#[test]
fn t34_parameters_are_set_and_deleted() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).add_params.insert("customparam".into(), "customvalue".into());
        request(&mut object).delete_params.push("remove".into());
        object
    });
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    rig.get("/api/get?a=a_value&b=123&remove=3");
    assert_eq!(upstream.only().target(), "/get?a=a_value&b=123&customparam=customvalue");
    let seen = plugin.only().object.request.unwrap();
    assert_eq!(seen.url, "/api/get?a=a_value&b=123&remove=3");
    assert_eq!(seen.request_uri, seen.url);
    assert_eq!(seen.params["b"], "123");
}

#[test]
fn t73_an_empty_url_is_an_error() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).url.clear();
        object
    });
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    let answer = rig.get("/api/get");
    assert_eq!(answer.status(), 500);
    assert!(answer.text().contains("Middleware error"));
    assert!(upstream.seen().is_empty());
}

#[test]
fn t74_a_path_is_changed_and_the_query_is_not() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).url = "/api/other?b=2".into();
        object
    });
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    rig.get("/api/get?a=1");
    assert_eq!(upstream.only().target(), "/other?a=1");
}

#[test]
fn t75_a_changed_body_alone_changes_nothing() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).body = "changed".into();
        object
    });
    let (upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    rig.request("POST", "/api/post").body("text/plain", "x").send();
    assert_eq!(upstream.only().body, b"x");
}

#[test]
fn t75_a_changed_body_alone_counts_in_strict_mode() {
    let plugin = Plugin::start(|mut object| {
        request(&mut object).body = "changed".into();
        object
    });
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\ncompat = \"strict\"", plugin.address);
    let rig = Rig::with(&keys, "", &[api(upstream.port, pre("h"))]);
    rig.request("POST", "/api/post").body("text/plain", "x").send();
    assert_eq!(upstream.only().body, b"changed");
}

#[test]
fn t79_names_of_headers_are_gos() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = one(&plugin, |port| api(port, pre("h")));
    rig.request("GET", "/api/get").header("x-api-key", "1").send();
    let seen = plugin.only().object.request.unwrap();
    assert_eq!(seen.headers["X-Api-Key"], "1");
    assert_eq!(seen.headers["Host"], "gateway.test");
    assert_eq!((seen.method.as_str(), seen.scheme.as_str()), ("GET", "http"));
}

#[test]
fn t80_a_hook_sees_what_the_one_before_it_did() {
    let plugin = Plugin::start(|mut object| -> Answer {
        if object.hook_name == "first" {
            request(&mut object).set_headers.insert("X-Step".into(), "one".into());
        }
        object.into()
    });
    let (upstream, rig) =
        one(&plugin, |port| api(port, json!({ "pre": [hook("first"), hook("second")] })));
    rig.get("/api/get");
    let second = &plugin.objects("second")[0];
    assert_eq!(second.request.as_ref().unwrap().headers["X-Step"], "one");
    assert_eq!(upstream.only().header("X-Step"), Some("one"));
}
