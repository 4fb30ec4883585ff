//! Answers of hooks in place of the upstream's.

use coproc_gateway::wire::Object;
use serde_json::json;

use crate::client::Message;
use crate::plugin::{Plugin, overrides, request};
use crate::rig::{Rig, api, hook, one};
use crate::upstream::Upstream;

fn pre(plugin: &Plugin) -> (Upstream, Rig) {
    one(plugin, |port| api(port, json!({ "pre": [hook("h")] })))
}

fn answering(code: i32, text: &'static str) -> Plugin {
    Plugin::start(move |mut object| {
        let overrides = overrides(&mut object);
        overrides.response_code = code;
        overrides.response_body = text.into();
        overrides.headers.insert("header".into(), "value".into());
        object
    })
}

#[test]
fn t36_a_hook_answers_by_itself() {
    let plugin = answering(200, "body");
    let (upstream, rig) = pre(&plugin);
    let answer = rig.get("/api/get");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "body"));
    assert_eq!(answer.header("header"), Some("value"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(upstream.seen().is_empty());
}

#[test]
fn t37_a_hook_refuses_with_words_of_its_own() {
    let plugin = Plugin::start(|mut object| {
        overrides(&mut object).response_code = 401;
        overrides(&mut object).response_error = "custom error message".into();
        object
    });
    let (_upstream, rig) = pre(&plugin);
    let answer = rig.get("/api/get");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.text(), "{\n    \"error\": \"custom error message\"\n}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-generator"), Some("tyk.io"));
}

/// The hook of the cases T39 to T46: the query says what it answers.
fn driven(mut object: Object) -> Object {
    let params = request(&mut object).params.clone();
    let asked = |name: &str| params.get(name).is_some_and(|value| value == "true");
    let overrides = overrides(&mut object);
    overrides.response_code = params["status"].parse().unwrap();
    overrides.headers.insert("X-Foo".into(), "Bar".into());
    overrides.override_error = asked("override");
    match asked("response_body") {
        true => overrides.response_body = "foobar".into(),
        false => overrides.response_error = "{\"foo\": \"bar\"}".into(),
    }
    object
}

#[track_caller]
fn drive(query: &str, status: u16) -> Message {
    let plugin = Plugin::start(driven);
    let (upstream, rig) = pre(&plugin);
    let answer = rig.get(&format!("/api/get?{query}"));
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.header("X-Foo"), Some("Bar"));
    assert!(upstream.seen().is_empty());
    answer
}

#[test]
fn t39_a_200_has_the_error_as_its_body() {
    assert_eq!(drive("status=200", 200).text(), "{\"foo\": \"bar\"}");
}

#[test]
fn t40_a_200_has_its_body() {
    assert_eq!(drive("status=200&response_body=true", 200).text(), "foobar");
}

#[test]
fn t41_a_400_has_the_page_with_the_message_escaped() {
    let text = drive("status=400", 400).text();
    assert_eq!(text, "{\n    \"error\": \"{\\\"foo\\\": \\\"bar\\\"}\"\n}");
}

#[test]
fn t42_a_400_has_the_page_with_the_body_as_message() {
    let text = drive("status=400&response_body=true", 400).text();
    assert_eq!(text, "{\n    \"error\": \"foobar\"\n}");
}

#[test]
fn t43_a_401_has_the_page() {
    assert!(drive("status=401", 401).text().starts_with("{\n    \"error\": \"{\\\"foo\\\""));
}

#[test]
fn t44_a_400_that_overrides_errors_has_the_error_as_it_is() {
    assert_eq!(drive("status=400&override=true", 400).text(), "{\"foo\": \"bar\"}");
}

#[test]
fn t45_a_400_that_overrides_errors_has_its_body() {
    assert_eq!(drive("status=400&override=true&response_body=true", 400).text(), "foobar");
}

#[test]
fn t46_a_401_that_overrides_errors_has_the_error_as_it_is() {
    assert_eq!(drive("status=401&override=true", 401).text(), "{\"foo\": \"bar\"}");
}

#[test]
fn t76_a_hook_redirects() {
    let plugin = Plugin::start(|mut object| {
        overrides(&mut object).response_code = 302;
        overrides(&mut object).headers.insert("Location".into(), "/elsewhere".into());
        object
    });
    let (upstream, rig) = pre(&plugin);
    let answer = rig.get("/api/get");
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.header("location"), Some("/elsewhere"));
    assert!(upstream.seen().is_empty());
}

#[test]
fn t82_who_sends_xml_is_refused_in_xml() {
    let plugin = answering(403, "no <entry>");
    let (_upstream, rig) = pre(&plugin);
    let answer = rig.request("POST", "/api/post").body("text/xml", "<a/>").send();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert_eq!(
        answer.text(),
        "<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>no &lt;entry&gt;</error>"
    );
}
