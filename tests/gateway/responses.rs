//! What hooks make of responses.

use coproc_gateway::wire::ResponseObject;
use serde_json::json;

use crate::client::Message;
use crate::plugin::{Plugin, header};
use crate::rig::{Rig, api, hook, keyed, one};
use crate::upstream::{Upstream, answer};

/// What a client gets of an answer with three cookies once a hook has had it.
fn edited(edit: impl Fn(&mut ResponseObject) + Send + Sync + 'static) -> Message {
    let plugin = Plugin::start(move |mut object| {
        edit(object.response.as_mut().unwrap());
        object
    });
    let cookies = "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nSet-Cookie: c=3\r\nX-Old: old\r\n";
    let upstream = Upstream::answering(move |_| answer(cookies, "upstream"));
    let rig = Rig::start(&plugin, &[api(upstream.port, json!({ "response": [hook("h")] }))]);
    rig.get("/api/get")
}

#[test]
fn t06_a_hook_replaces_the_body() {
    let plugin = Plugin::start(|mut object| {
        object.response.as_mut().unwrap().raw_body = "newbody".into();
        object
    });
    let (_upstream, rig) = one(&plugin, |port| keyed(port, json!({ "response": [hook("h")] })));
    rig.key("k-0006", &json!({ "meta_data": { "who": "me" } }));
    let answer = rig.request("GET", "/api/get").header("Authorization", "k-0006").send();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "newbody"));
    assert_eq!(answer.header("content-length"), Some("7"));
    let object = plugin.only().object;
    assert_eq!(object.metadata["who"], "me");
    let response = object.response.unwrap();
    assert_eq!((response.status_code, response.body.as_str()), (200, "upstream"));
}

#[test]
fn t53_a_header_is_added_removed_and_changed() {
    let answer = edited(|response| {
        response.headers.insert("X-New".into(), "new".into());
        response.headers.remove("Set-Cookie");
        response.headers.insert("X-Old".into(), "changed".into());
    });
    assert_eq!(answer.header("x-new"), Some("new"));
    assert_eq!(answer.header("x-old"), Some("changed"));
    assert!(answer.all("set-cookie").is_empty());
}

#[test]
fn t54_the_first_of_several_values_is_changed() {
    let answer = edited(|response| {
        response.headers.insert("Set-Cookie".into(), "a=9".into());
    });
    assert_eq!(answer.all("set-cookie"), ["a=9", "b=2", "c=3"]);
}

#[test]
fn t55_an_empty_list_is_built_from_the_map() {
    let answer = edited(|response| {
        response.multivalue_headers.clear();
        response.headers.clear();
        response.headers.insert("X-Only".into(), "one".into());
    });
    assert_eq!(answer.header("x-only"), Some("one"));
    assert!(answer.all("set-cookie").is_empty());
}

#[test]
fn a_list_that_is_edited_counts_where_the_map_is_not() {
    let answer = edited(|response| {
        response.multivalue_headers.retain(|header| header.key != "Set-Cookie");
        response.multivalue_headers.push(header("Set-Cookie", &["a=1", "d=4"]));
    });
    assert_eq!(answer.all("set-cookie"), ["a=1", "d=4"]);
}

#[test]
fn a_plugin_that_does_not_know_the_list_keeps_the_headers() {
    let answer = edited(|response| response.multivalue_headers.clear());
    assert_eq!(answer.header("x-old"), Some("old"));
    assert_eq!(answer.header("set-cookie"), Some("a=1"));
}

#[test]
fn a_status_that_is_none_is_an_error() {
    let answer = edited(|response| response.status_code = 0);
    assert_eq!(answer.status(), 500);
    let answer = edited(|response| response.status_code = 201);
    assert_eq!(answer.status(), 201);
}
