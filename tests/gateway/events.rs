//! Events: what plugins and the tree are told.

use serde_json::{Value, json};

use crate::plugin::{Answer, Plugin, overrides};
use crate::rig::{Rig, api, checked, hook, one, with};
use crate::support::{coprocess, eventually};
use crate::upstream::Upstream;

fn handler() -> Value {
    json!({ "event_handlers": { "events": { "AuthFailure": [
        { "handler_name": "cp_dynamic_handler", "handler_meta": { "name": "my_handler" } },
    ] } } })
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
