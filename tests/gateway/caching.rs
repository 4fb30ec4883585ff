//! Sessions that are remembered: the hook is not asked again while they are good.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::auth::{let_in, now};
use crate::plugin::{Plugin, request};
use crate::rig::{Rig, checked, hook, one};
use crate::upstream::Upstream;

/// A hook that lets in who comes first, for a minute.
fn once(is_good: fn(&str) -> bool, of: fn(&coproc_gateway::wire::Object) -> String) -> Plugin {
    let calls = AtomicUsize::new(0);
    Plugin::start(move |mut object| {
        let value = of(&object);
        if is_good(&value) && calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let_in(&mut object, &value);
            object.session.as_mut().unwrap().id_extractor_deadline = now() + 60;
        }
        object
    })
}

fn header(object: &coproc_gateway::wire::Object) -> String {
    request(&mut object.clone()).headers.get("Authorization").cloned().unwrap_or_default()
}

fn stage(plugin: &Plugin, extractor: Value) -> (Upstream, Rig) {
    one(plugin, |port| checked(port, json!({ "auth_check": hook("h"), "id_extractor": extractor })))
}

fn by_header(rig: &Rig, value: &str) -> u16 {
    rig.request("GET", "/api/get").header("Authorization", value).send().status()
}

#[test]
fn t29_a_hook_is_asked_once() {
    let plugin = once(|_| true, header);
    let (_upstream, rig) = stage(
        &plugin,
        json!({ "extract_from": "header",
        "extract_with": "value", "extractor_config": { "header_name": "Authorization" } }),
    );
    assert_eq!([by_header(&rig, "one"), by_header(&rig, "one")], [200, 200]);
    assert_eq!(plugin.calls().len(), 1);
}

#[test]
fn t30_and_again_for_another() {
    let plugin = once(|_| true, header);
    let (_upstream, rig) = stage(
        &plugin,
        json!({ "extract_from": "header",
        "extract_with": "value", "extractor_config": { "header_name": "Authorization" } }),
    );
    assert_eq!([by_header(&rig, "one"), by_header(&rig, "two")], [200, 403]);
}

#[test]
fn t31_a_field_of_a_form_is_extracted() {
    let body = |object: &coproc_gateway::wire::Object| {
        let body = &object.request.as_ref().unwrap().body;
        body.split_once("auth=").map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let plugin = once(|value| value == "good", body);
    let (upstream, rig) = stage(
        &plugin,
        json!({ "extract_from": "form",
        "extract_with": "value", "extractor_config": { "param_name": "auth" } }),
    );
    let post = |body: &str| {
        let request = rig.request("POST", "/api/post");
        request.body("application/x-www-form-urlencoded; charset=utf-8", body).send().status()
    };
    assert_eq!([post("auth=good"), post("auth=good"), post("auth=bad")], [200, 200, 403]);
    // The form reaches the upstream from memory, too.
    assert_eq!(upstream.last().text(), "auth=good");
}

#[test]
fn t32_a_match_of_a_regex_is_extracted() {
    let plugin = once(|value| value == "prefix-12345", header);
    let (_upstream, rig) = stage(
        &plugin,
        json!({ "extract_from": "header",
        "extract_with": "regex", "extractor_config": {
            "header_name": "Authorization", "regex_expression": "[0-9]+", "regex_match_index": 0 } }),
    );
    let statuses =
        ["prefix-12345", "prefix-12345", "prefix-123456"].map(|value| by_header(&rig, value));
    assert_eq!(statuses, [200, 200, 403]);
}

#[test]
fn t50_the_text_of_a_node_is_extracted() {
    let plugin = once(|_| true, |_| "token".to_owned());
    let (_upstream, rig) = stage(
        &plugin,
        json!({ "extract_from": "body",
        "extract_with": "xpath", "extractor_config": { "xpath_expression": "//object/key" } }),
    );
    let post = |key: &str| {
        let body = format!("<object><key>{key}</key></object>");
        rig.request("POST", "/api/post").body("text/xml", body).send().status()
    };
    assert_eq!([post("thevalue"), post("thevalue"), post("other"), post("")], [200, 200, 403, 400]);
}

#[test]
fn a_session_that_is_removed_is_asked_for_again() {
    let plugin = once(|_| true, header);
    let (_upstream, rig) = stage(
        &plugin,
        json!({ "extract_from": "header",
        "extract_with": "value", "extractor_config": { "header_name": "Authorization" } }),
    );
    assert_eq!(by_header(&rig, "abc"), 200);
    rig.coproc(&["keys", "delete", "org1900150983cd24fb0d6963f7d28e17f72"]);
    assert_eq!(by_header(&rig, "abc"), 403);
}
