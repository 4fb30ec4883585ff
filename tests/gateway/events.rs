//! Events: what plugins and the tree are told.

use std::collections::BTreeMap;

use coproc_gateway::store::{Embedded, data, keep_data};
use serde_json::{Value, json};

use crate::plugin::{Answer, Plugin, overrides};
use crate::rig::{Rig, SECRET, api, checked, hook, keyed, one, with};
use crate::support::{coprocess, eventually, free_port};
use crate::upstream::Upstream;

fn handler() -> Value {
    handlers(&["AuthFailure"])
}

/// The same handler for several events.
fn handlers(events: &[&str]) -> Value {
    let handler =
        json!([{ "handler_name": "cp_dynamic_handler", "handler_meta": { "name": "my_handler" } }]);
    let events: BTreeMap<_, _> = events.iter().map(|event| (*event, &handler)).collect();
    json!({ "event_handlers": { "events": events } })
}

/// What the tree heard: each event with the API that it tells of.
fn heard(rig: &Rig) -> Vec<(String, String)> {
    let lines = rig.coproc(&["events"]);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = events.map(|event| (text(&event["event"]), text(&event["api"])));
    all.filter(|(event, _)| event.starts_with("gateway.")).collect()
}

/// Waits until the tree has heard of an event of an API.
#[track_caller]
fn is_heard(rig: &Rig, event: &str, api: &str) {
    let wanted = (format!("gateway.{event}"), api.to_owned());
    eventually(&format!("{wanted:?} is heard of"), || heard(rig).contains(&wanted));
}

/// A gateway with an API for those who have a key, whose handler is told of these events.
fn told(events: &[&str]) -> (Plugin, Upstream, Rig) {
    let plugin = Plugin::start(|object| object);
    let (upstream, rig) = one(&plugin, |port| with(keyed(port, json!({})), handlers(events)));
    (plugin, upstream, rig)
}

fn with_key(rig: &Rig, key: &str) -> u16 {
    rig.request("GET", "/api/x").header("Authorization", key).send().status()
}

/// The only event: its type and what it tells beside the request.
#[track_caller]
fn only(plugin: &Plugin) -> (String, Value) {
    let events = plugin.events(1);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["handler_name"], "my_handler");
    let message = &events[0]["message"];
    let mut meta = message["Meta"].clone();
    let request = meta.as_object_mut().unwrap().remove("OriginatingRequest").unwrap();
    assert!(request.is_string());
    (message["Type"].as_str().unwrap().to_owned(), meta)
}

#[test]
fn t38_a_handler_is_told_what_happened_where_to_whom_and_with_which_key() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let mut api = with(checked(upstream.port, json!({ "auth_check": hook("h") })), handler());
    api["proxy"]["listen_path"] = "/".into();
    let rig = Rig::start(&plugin, &[api]);
    assert_eq!(rig.request("GET", "/").header("Authorization", "abc").send().status(), 403);
    let meta = json!({
        "Message": "Auth Failure", "Path": "/", "Origin": "127.0.0.1", "Key": "abc",
    });
    assert_eq!(only(&plugin), ("AuthFailure".to_owned(), meta));
    is_heard(&rig, "AuthFailure", "api1");
}

#[test]
fn an_unknown_key_is_a_failure_to_authenticate() {
    let (plugin, _upstream, rig) = told(&["AuthFailure"]);
    assert_eq!(with_key(&rig, "nobody"), 403);
    let (kind, meta) = only(&plugin);
    assert_eq!((kind.as_str(), &meta["Key"]), ("AuthFailure", &json!("nobody")));
}

#[test]
fn keys_that_are_expired_or_inactive() {
    let (plugin, _upstream, rig) = told(&["KeyExpired"]);
    rig.key("expired", &json!({ "expires": 1 }));
    rig.key("inactive", &json!({ "is_inactive": true }));
    assert_eq!([with_key(&rig, "expired"), with_key(&rig, "inactive")], [401, 403]);
    let mut keys: Vec<_> = plugin
        .events(2)
        .iter()
        .map(|event| {
            assert_eq!(event["message"]["Type"], "KeyExpired");
            event["message"]["Meta"]["Key"].as_str().unwrap().to_owned()
        })
        .collect();
    keys.sort();
    assert_eq!(keys, ["expired", "inactive"]);
    is_heard(&rig, "KeyExpired", "api1");
}

#[test]
fn rates_and_quotas_that_are_exceeded() {
    let (plugin, _upstream, rig) = told(&["RatelimitExceeded", "QuotaExceeded"]);
    rig.key("often", &json!({ "rate": 1, "per": 3600 }));
    rig.key("much", &json!({ "quota_max": 1, "quota_renewal_rate": 3600 }));
    let statuses = ["often", "often", "much", "much"].map(|key| with_key(&rig, key));
    assert_eq!(statuses, [200, 429, 200, 403]);
    let told: BTreeMap<_, _> = plugin
        .events(2)
        .iter()
        .map(|event| {
            (event["message"]["Type"].to_string(), event["message"]["Meta"]["Key"].clone())
        })
        .collect();
    let expected =
        [("\"QuotaExceeded\"", json!("much")), ("\"RatelimitExceeded\"", json!("often"))];
    assert_eq!(told, expected.map(|(kind, key)| (kind.to_owned(), key)).into());
    is_heard(&rig, "RatelimitExceeded", "api1");
    is_heard(&rig, "QuotaExceeded", "api1");
}

#[test]
fn each_limit_of_a_monitor_is_told_of_once() {
    let (plugin, _upstream, rig) = told(&["TriggerExceeded"]);
    let session = json!({ "org_id": "org1", "quota_max": 4, "quota_renewal_rate": 3600,
        "monitor": { "trigger_limits": [50.0, 100.0] } });
    rig.key("watched", &session);
    for _ in 0..4 {
        assert_eq!(with_key(&rig, "watched"), 200);
    }
    let mut told: Vec<_> = plugin
        .events(2)
        .iter()
        .map(|event| {
            let meta = &event["message"]["Meta"];
            assert_eq!((&meta["key"], &meta["org_id"]), (&json!("watched"), &json!("org1")));
            (meta["trigger_limit"].as_i64().unwrap(), meta["usage_percentage"].as_i64().unwrap())
        })
        .collect();
    told.sort_unstable();
    assert_eq!(told, [(50, 50), (100, 100)]);
    is_heard(&rig, "TriggerExceeded", "api1");
}

#[test]
fn an_upstream_that_goes_and_comes_back() {
    let plugin = Plugin::start(|object| object);
    let port = free_port();
    let definition = with(api(port, json!({})), handlers(&["HostDown", "HostUp"]));
    let rig = Rig::start(&plugin, &[definition]);
    // Each outage is told of once.
    assert_eq!([rig.get("/api/").status(), rig.get("/api/").status()], [502, 502]);
    let url = json!({ "CheckURL": format!("http://127.0.0.1:{port}/") });
    let (kind, meta) = only(&plugin);
    assert_eq!((kind.as_str(), &meta["HostInfo"]), ("HostDown", &url));
    is_heard(&rig, "HostDown", "api1");
    let _upstream = Upstream::at(port);
    assert_eq!(rig.get("/api/").status(), 200);
    let events = plugin.events(2);
    assert_eq!(events[1]["message"]["Type"], "HostUp");
    assert_eq!(events[1]["message"]["Meta"]["HostInfo"], url);
    is_heard(&rig, "HostUp", "api1");
}

#[test]
fn what_is_done_with_keys_is_told_to_the_gateways_own_handlers() {
    let plugin = Plugin::start(|object| object);
    let upstream = Upstream::start();
    let handler =
        "[{ handler_name = \"cp_dynamic_handler\", handler_meta = { name = \"my_handler\" } }]";
    let events = ["TokenCreated", "TokenUpdated", "TokenDeleted"];
    let table = events.map(|event| format!("{event} = {handler}\n")).concat();
    let table = format!("[gateway.event_handlers.events]\n{table}");
    let keys = format!("grpc = \"{}\"", plugin.address);
    let rig = Rig::with(&keys, &table, &[keyed(upstream.port, json!({}))]);
    rig.key("abc", &json!({ "org_id": "org1" }));
    rig.coproc(&["keys", "set", "abc", "--org", "org1", "--rate", "5"]);
    let request = rig.request("DELETE", "/tyk/keys/abc").header(SECRET.0, SECRET.1);
    assert_eq!(request.send().status(), 200);
    let mut told = Vec::new();
    for event in plugin.events(3) {
        let meta = &event["message"]["Meta"];
        assert_eq!((&meta["Key"], &meta["Org"]), (&json!("abc"), &json!("org1")));
        assert_eq!(event["spec"], json!({ "APIID": "", "OrgID": "" }));
        told.push(event["message"]["Type"].as_str().unwrap().to_owned());
    }
    told.sort();
    assert_eq!(told, ["TokenCreated", "TokenDeleted", "TokenUpdated"]);
    for event in events {
        is_heard(&rig, event, "");
    }
}

#[tokio::test]
async fn t59_data_of_a_plugin_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    keep_data(&store, "key", b"value".to_vec(), 60).await.unwrap();
    assert_eq!(data(&store, "key").await.unwrap(), b"value");
    assert_eq!(data(&store, "other").await.unwrap(), b"");
}

#[test]
fn t35_a_refusal_is_an_event_for_who_registered() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) =
        one(&plugin, |port| with(checked(port, json!({ "auth_check": hook("h") })), handler()));
    assert_eq!(rig.request("GET", "/api/x").header("Authorization", "abc").send().status(), 403);
    let events = plugin.events(1);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["handler_name"], "my_handler");
    assert_eq!(events[0]["spec"], json!({ "APIID": "api1", "OrgID": "org1" }));
    let message = &events[0]["message"];
    assert_eq!(message["Type"], "AuthFailure");
    assert_eq!(message["Meta"]["Message"], "Auth Failure");
    assert_eq!(message["Meta"]["Path"], "/api/x");
    assert_eq!(message["Meta"]["Origin"], "127.0.0.1");
}

#[test]
fn a_refusal_by_any_hook_is_one_too_and_a_failure_is_not() {
    let plugin = Plugin::start(|mut object| -> Answer {
        if object.spec["APIID"] == "api1" {
            overrides(&mut object).response_code = 400;
            return object.into();
        }
        Answer::Status(13, "no")
    });
    let upstream = Upstream::start();
    let mut failing = with(api(upstream.port, json!({ "pre": [hook("h")] })), handler());
    failing["api_id"] = "api2".into();
    failing["name"] = "api2".into();
    failing["proxy"]["listen_path"] = "/failing/".into();
    let refusing = with(api(upstream.port, json!({ "pre": [hook("h")] })), handler());
    let rig = Rig::start(&plugin, &[refusing, failing]);
    assert_eq!(rig.get("/failing/").status(), 500);
    assert_eq!(rig.get("/api/").status(), 400);
    let events = plugin.events(1);
    assert!(events.iter().all(|event| event["spec"]["APIID"] == "api1"), "{events:?}");
}

#[test]
fn an_event_starts_a_coprocess_and_a_flood_is_few_events() {
    let plugin = Plugin::start(|mut object| {
        overrides(&mut object).response_code = 403;
        object
    });
    let upstream = Upstream::start();
    let starts = coprocess(
        "alarm",
        "[\"/bin/sh\", \"-c\", \"echo alarm was raised\"]",
        "exec_event = \"gateway.AuthFailure\"",
    );
    let keys = format!("grpc = \"{}\"", plugin.address);
    let api = api(upstream.port, json!({ "pre": [hook("h")] }));
    let rig = Rig::with(&keys, &starts, &[api]);
    for _ in 0..50 {
        assert_eq!(rig.get("/api/").status(), 403);
    }
    rig.wrapper.wait_for("alarm was raised");
    let counted = || -> (usize, u64) {
        let lines = rig.coproc(&["events"]);
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ours: Vec<_> = events.filter(|event| event["event"] == "gateway.AuthFailure").collect();
        (ours.len(), ours.iter().map(|event| event["count"].as_u64().unwrap()).sum())
    };
    eventually("all were counted", || counted().1 == 50);
    assert!(counted().0 < 25, "{:?}", counted());
}
