//! What tells sessions apart before a hook is asked: taken out of headers, forms and bodies.

use coproc_gateway::wire::Object;
use serde_json::{Value, json};

use crate::auth::let_in;
use crate::client::Message;
use crate::plugin::Plugin;
use crate::rig::{Rig, api, checked, hook, one};
use crate::upstream::Upstream;

/// The id of `testkey` for the organisation of the tests' APIs: its own id and the MD5.
pub(crate) const OF_TESTKEY: &str = "org1221b368d7f5f597867f525971f28ff75";
/// The same of `prefix-testkey123`.
pub(crate) const OF_MATCH: &str = "org15f3ec9f4513a77613919597efb60ffc6";

/// A gateway whose hook lets everybody in, behind an extractor.
fn stage(extractor: Value) -> (Plugin, Upstream, Rig) {
    let plugin = Plugin::start(|mut object: Object| {
        let_in(&mut object, "some-token");
        object
    });
    let (upstream, rig) = one(&plugin, |port| {
        checked(port, json!({ "auth_check": hook("h"), "id_extractor": extractor }))
    });
    (plugin, upstream, rig)
}

pub(crate) fn get(rig: &Rig, key: Option<&str>) -> Message {
    let request = rig.request("GET", "/api/get");
    match key {
        Some(key) => request.header("Authorization", key).send(),
        None => request.send(),
    }
}

pub(crate) fn form(rig: &Rig, body: &str) -> Message {
    rig.request("POST", "/api/post").body("application/x-www-form-urlencoded", body).send()
}

#[track_caller]
pub(crate) fn is_missing(answer: &Message) {
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("Authorization field missing"), "{}", answer.text());
}

/// The extracted id alone is what the session is stored under.
#[track_caller]
pub(crate) fn is_stored(rig: &Rig, id: &str) {
    let (status, session) = rig.stored(id);
    assert_eq!((status, &session["org_id"]), (200, &json!("org1")), "{id}");
    assert_eq!(rig.coproc(&["keys", "list"]), format!("{id}\n"));
}

#[test]
fn t47_a_value_of_a_header_makes_the_id_with_its_organisation() {
    let (plugin, _upstream, rig) = stage(json!({ "extract_from": "header",
        "extract_with": "value", "extractor_config": { "header_name": "Authorization" } }));
    is_missing(&get(&rig, None));
    assert!(plugin.calls().is_empty());
    assert_eq!(get(&rig, Some("testkey")).status(), 200);
    is_stored(&rig, OF_TESTKEY);
}

#[test]
fn t48_a_value_of_a_form_does_so_too() {
    let (plugin, upstream, rig) = stage(json!({ "extract_from": "form",
        "extract_with": "value", "extractor_config": { "param_name": "auth" } }));
    is_missing(&form(&rig, "other=testkey"));
    assert!(plugin.calls().is_empty());
    assert_eq!(form(&rig, "a=1&auth=testkey").status(), 200);
    is_stored(&rig, OF_TESTKEY);
    assert_eq!(upstream.last().text(), "a=1&auth=testkey");
}

pub(crate) fn regex(from: &str) -> Value {
    json!({ "extract_from": from, "extract_with": "regex", "extractor_config": {
        "header_name": "Authorization", "param_name": "auth",
        "regex_expression": "prefix-(.*)", "regex_match_index": 0 } })
}

#[test]
fn t49_the_whole_match_in_a_header_counts_and_not_its_group() {
    let (_plugin, _upstream, rig) = stage(regex("header"));
    is_missing(&get(&rig, None));
    is_missing(&get(&rig, Some("testkey123")));
    assert_eq!(get(&rig, Some("prefix-testkey123")).status(), 200);
    is_stored(&rig, OF_MATCH);
}

#[test]
fn t49_a_match_in_a_body() {
    let (_plugin, upstream, rig) = stage(regex("body"));
    let post =
        |body: &str| rig.request("POST", "/api/post").body("text/plain", body.to_owned()).send();
    is_missing(&post(""));
    is_missing(&post("testkey123"));
    assert_eq!(post("prefix-testkey123").status(), 200);
    is_stored(&rig, OF_MATCH);
    assert_eq!(upstream.last().text(), "prefix-testkey123");
}

#[test]
fn t49_a_match_in_a_form() {
    let (_plugin, upstream, rig) = stage(regex("form"));
    is_missing(&form(&rig, "other=prefix-testkey123"));
    is_missing(&form(&rig, "auth=testkey123"));
    assert_eq!(form(&rig, "auth=prefix-testkey123").status(), 200);
    is_stored(&rig, OF_MATCH);
    assert_eq!(upstream.last().text(), "auth=prefix-testkey123");
}

#[test]
fn t51_an_extractor_that_is_disabled_extracts_nothing() {
    let (plugin, _upstream, rig) = stage(json!({ "disabled": true, "extract_from": "header",
        "extract_with": "value", "extractor_config": { "header_name": "Authorization" } }));
    // The hook is asked each time, and its token is the id.
    for key in [None, Some("testkey"), Some("testkey")] {
        assert_eq!(get(&rig, key).status(), 200);
    }
    assert_eq!(plugin.calls().len(), 3);
    is_stored(&rig, "some-token");
}

#[test]
fn t51_without_authentication_nothing_is_extracted() {
    let plugin = Plugin::start(|object| object);
    let extractor = json!({ "extract_from": "header", "extract_with": "value",
        "extractor_config": { "header_name": "Authorization" } });
    let (_upstream, rig) = one(&plugin, |port| {
        api(port, json!({ "auth_check": hook("h"), "id_extractor": extractor }))
    });
    assert_eq!(get(&rig, None).status(), 200);
    assert!(plugin.calls().is_empty());
    assert_eq!(rig.coproc(&["keys", "list"]), "");
}
