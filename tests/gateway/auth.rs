//! Who is let in: hooks that authenticate, keys, both, and what sessions are checked for.

use std::time::{SystemTime, UNIX_EPOCH};

use coproc_gateway::wire::{AccessDefinition, Object, SessionState};
use serde_json::{Value, json};

use crate::plugin::{Plugin, request};
use crate::rig::{Rig, checked, hook, keyed, one, with};
use crate::upstream::Upstream;

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Gives an object a session with a token.
pub(crate) fn let_in(object: &mut Object, token: &str) {
    let session = SessionState { rate: 100.0, per: 1.0, ..SessionState::default() };
    object.session = Some(Box::new(session));
    object.metadata.insert("token".into(), token.into());
}

/// The value of a header is the key.
pub(crate) fn extractor() -> Value {
    json!({
        "extract_from": "header", "extract_with": "value",
        "extractor_config": { "header_name": "Authorization" },
    })
}

/// An API whose hook has no name, and a path that is let in unasked.
pub(crate) fn nameless(port: u16) -> Value {
    with(
        checked(port, json!({ "id_extractor": extractor() })),
        json!({ "version_data": { "not_versioned": true, "versions": { "Default": {
            "name": "Default", "use_extended_paths": true,
            "extended_paths": { "ignored": [{ "path": "/anything", "method_actions": {
                "GET": { "action": "no_action", "code": 200, "data": "", "headers": {} } } }] },
        } } } }),
    )
}

/// It before a plugin server.
fn before_nameless() -> (Plugin, Upstream, Rig) {
    let plugin = Plugin::start(|object| object);
    let (upstream, rig) = one(&plugin, nameless);
    (plugin, upstream, rig)
}

#[test]
fn t09_without_what_is_extracted_nobody_is_let_in() {
    let (_plugin, _upstream, rig) = before_nameless();
    let answer = rig.get("/api/something");
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("Authorization field missing"));
}

#[test]
fn t10_an_ignored_path_is_let_in_unasked() {
    let (plugin, _upstream, rig) = before_nameless();
    let answer = rig.get("/api/anything");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(plugin.calls().is_empty());
}

#[test]
fn t11_an_echo_is_no_leave() {
    let (plugin, _upstream, rig) = before_nameless();
    let answer = rig.request("GET", "/api/something").header("Authorization", "bad").send();
    assert_eq!(answer.status(), 403);
    assert_eq!(plugin.only().object.hook_name, "");
}

#[test]
fn t12_an_ignored_path_is_let_in_with_any_key() {
    let (plugin, _upstream, rig) = before_nameless();
    let answer = rig.request("GET", "/api/anything").header("Authorization", "bad").send();
    assert_eq!(answer.status(), 200);
    assert!(plugin.calls().is_empty());
}

/// A hook that lets everybody in whose header says `abc`.
fn abc() -> Plugin {
    Plugin::start(|mut object| {
        if request(&mut object).headers.get("Authorization").is_some_and(|key| key == "abc") {
            let_in(&mut object, "abc");
            object.session.as_mut().unwrap().id_extractor_deadline = now() + 60;
        }
        object
    })
}

#[test]
fn t13_a_session_is_stored_under_the_extracted_id() {
    let plugin = abc();
    let (_upstream, rig) = one(&plugin, |port| {
        checked(port, json!({ "auth_check": hook("h"), "id_extractor": extractor() }))
    });
    let answer = rig.request("GET", "/api/get").header("Authorization", "abc").send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let (status, session) = rig.stored("org1900150983cd24fb0d6963f7d28e17f72");
    assert_eq!((status, &session["rate"]), (200, &json!(100.0)));
}

#[test]
fn t14_without_an_extractor_it_is_stored_under_its_token() {
    let plugin = abc();
    let mut off = extractor();
    off["disabled"] = true.into();
    let (_upstream, rig) =
        one(&plugin, |port| checked(port, json!({ "auth_check": hook("h"), "id_extractor": off })));
    let answer = rig.request("GET", "/api/get").header("Authorization", "abc").send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(rig.stored("abc").0, 200);
}

/// An API that asks both a hook and a key, and shows whose session counts.
pub(crate) fn asked_twice(port: u16, identity: &str) -> Value {
    with(
        checked(port, json!({ "auth_check": hook("h") })),
        json!({
            "use_standard_auth": true, "base_identity_provided_by": identity,
            "auth_configs": { "authToken": { "auth_header_name": "AuthToken" } },
            "version_data": { "not_versioned": true, "versions": { "Default": {
                "name": "Default",
                "global_response_headers": { "X-Who": "$tyk_meta.sessionMetaKey" },
            } } },
        }),
    )
}

/// What it comes to with a plugin server.
fn both(identity: &str) -> (Rig, Value, Option<String>) {
    let plugin = Plugin::start(|mut object| {
        let_in(&mut object, "abc");
        object.metadata.insert("sessionMetaKey".into(), "fromPlugin".into());
        object
    });
    let (_upstream, rig) = one(&plugin, |port| asked_twice(port, identity));
    rig.key(
        "k-0015",
        &json!({ "rate": 200.0, "per": 1.0,
        "meta_data": { "sessionMetaKey": "fromKey" } }),
    );
    let answer =
        rig.request("GET", "/api/get").header("Authorization", "abc").header("AuthToken", "k-0015");
    let answer = answer.send();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let who = answer.header("x-who").map(str::to_owned);
    let stored = rig.stored("abc").1;
    let refused = rig.request("GET", "/api/get").header("Authorization", "abc").send();
    assert_eq!(refused.status(), 401);
    (rig, stored, who)
}

#[test]
fn t15_the_hooks_session_counts() {
    let (_rig, stored, who) = both("custom_auth");
    assert_eq!(who.as_deref(), Some("fromPlugin"));
    assert_eq!(stored["rate"], 100.0);
}

#[test]
fn t16_the_keys_session_counts() {
    let (rig, _, who) = both("auth_token");
    assert_eq!(who.as_deref(), Some("fromKey"));
    assert_eq!(rig.stored("k-0015").1["rate"], 200.0);
}

#[test]
fn t77_a_token_without_a_session_is_no_leave() {
    let plugin = Plugin::start(|mut object| {
        object.metadata.insert("token".into(), "abc".into());
        object
    });
    let (_upstream, rig) = one(&plugin, |port| checked(port, json!({ "auth_check": hook("h") })));
    let answer = rig.request("GET", "/api/get").header("Authorization", "abc").send();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("\"Forbidden\""));
}

#[test]
fn t78_a_session_for_another_api_is_none_for_this() {
    let plugin = Plugin::start(|mut object| {
        let_in(&mut object, "abc");
        let rights = &mut object.session.as_mut().unwrap().access_rights;
        rights.insert("other".into(), AccessDefinition::default());
        object
    });
    let (_upstream, rig) = one(&plugin, |port| checked(port, json!({ "auth_check": hook("h") })));
    let answer = rig.request("GET", "/api/get").header("Authorization", "abc").send();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("Access to this API has been disallowed"));
}

#[test]
fn t57_what_is_to_happen_at_the_end_of_a_session_is_kept() {
    for (action, grace) in [("delete", 0), ("retain", -1), ("retain", 200), ("", 0)] {
        let plugin = Plugin::start(move |mut object| {
            let_in(&mut object, "abc");
            let session = object.session.as_mut().unwrap();
            session.post_expiry_action = action.into();
            session.post_expiry_grace_period = grace;
            object
        });
        let (_upstream, rig) =
            one(&plugin, |port| checked(port, json!({ "auth_check": hook("h") })));
        rig.request("GET", "/api/get").header("Authorization", "abc").send();
        let stored = rig.stored("abc").1;
        assert_eq!(stored["post_expiry_action"], action);
        assert_eq!(stored["post_expiry_grace_period"], grace);
    }
}

/// What a key with this session gets, once and again.
#[track_caller]
fn with_key(session: Value) -> [(u16, String); 2] {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = one(&plugin, |port| keyed(port, json!({})));
    rig.key("k-checked", &session);
    [(); 2].map(|()| {
        let answer = rig.request("GET", "/api/get").header("Authorization", "k-checked").send();
        (answer.status(), answer.text())
    })
}

#[test]
fn sessions_are_checked_in_order() {
    for (session, status, words) in [
        (json!({ "expires": 1 }), 401, "Key has expired, please renew"),
        (json!({ "is_inactive": true }), 403, "Key is inactive, please renew"),
        (json!({ "rate": 1.0, "per": 60.0 }), 429, "Rate Limit Exceeded"),
        (json!({ "quota_max": 1, "quota_renewal_rate": 60 }), 403, "Quota exceeded"),
    ] {
        let [_, second] = with_key(session);
        assert_eq!(second.0, status, "{}", second.1);
        assert!(second.1.contains(words), "{}", second.1);
    }
    let [first, second] = with_key(json!({}));
    assert_eq!((first.0, second.0), (200, 200));
}

#[test]
fn credentials_are_taken_out_if_asked() {
    let plugin = Plugin::start(|object| object);
    let (upstream, rig) =
        one(&plugin, |port| with(keyed(port, json!({})), json!({ "strip_auth_data": true })));
    rig.key("k-strip", &json!({}));
    let answer = rig.request("GET", "/api/get").header("Authorization", "k-strip").send();
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.only().header("Authorization"), None);
}
