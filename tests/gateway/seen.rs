//! What is seen of the gateway from outside: metrics, status, access log, traces, `Server-Timing`.

use serde_json::{Value, json};

use crate::plugin::{Answer, Plugin};
use crate::rig::{Rig, api, hook};
use crate::support::{eventually, free_port, http};
use crate::upstream::Upstream;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn stage(plugin: &Plugin, keys: &str, tables: &str) -> (Upstream, Rig) {
    let upstream = Upstream::start();
    let keys = format!("grpc = \"{}\"\n{keys}", plugin.address);
    let rig = Rig::with(&keys, tables, &[api(upstream.port, json!({ "pre": [hook("h")] }))]);
    (upstream, rig)
}

#[test]
fn a_trace_is_passed_on_to_upstream_and_plugin() {
    let plugin = Plugin::start(|object| object);
    let (upstream, rig) = stage(&plugin, "", "");
    rig.request("GET", "/api/").header("traceparent", PARENT).header("tracestate", "a=1").send();
    let metadata = plugin.only().metadata;
    assert_eq!(
        (&metadata["traceparent"], &metadata["tracestate"]),
        (&PARENT.parse().unwrap(), &"a=1".parse().unwrap())
    );
    assert_eq!(upstream.only().header("traceparent"), Some(PARENT));
}

#[test]
fn server_timing_is_told_if_asked_for() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = stage(&plugin, "server_timing = true", "");
    let answer = rig.get("/api/");
    let timing = answer.header("server-timing").unwrap();
    for part in ["hooks;dur=", "upstream;dur=", "total;dur="] {
        assert!(timing.contains(part), "{timing}");
    }
    let (_upstream, rig) = stage(&plugin, "", "");
    assert_eq!(rig.get("/api/").header("server-timing"), None);
}

#[test]
fn the_access_log_tells_of_requests_and_of_no_secret() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = stage(&plugin, "access_log = true", "");
    rig.request("GET", "/api/path?key=hidden").header("Authorization", "hidden").send();
    let line = rig.wrapper.wait_for("GET /api/path 200 api1");
    assert!(!line.contains("hidden"), "{line}");
    assert_eq!(rig.wrapper.count("hidden"), 0);
}

#[test]
fn metrics_tell_of_apis_and_hooks() {
    let plugin = Plugin::start(|_| Answer::Status(13, "no"));
    let port = free_port();
    let (_upstream, rig) = stage(&plugin, "", &format!("[control]\nlisten = \"127.0.0.1:{port}\""));
    assert_eq!(rig.get("/api/").status(), 500);
    let has = |lines: &[&str]| {
        let metrics = http::get(port, "/metrics");
        lines.iter().all(|line| metrics.contains(line))
    };
    eventually("the metrics tell it", || {
        has(&[
            "coproc_gateway_requests_total{api=\"api1\",status=\"5xx\"} 1",
            "coproc_gateway_hook_calls_total{api=\"api1\",hook=\"h\",kind=\"pre\"} 1",
            "coproc_gateway_hook_failures_total{api=\"api1\",hook=\"h\",kind=\"pre\"} 1",
            "coproc_gateway_hook_pending{api=\"api1\",hook=\"h\",kind=\"pre\"} 0",
            "coproc_gateway_hook_duration_seconds_bucket{api=\"api1\",hook=\"h\",kind=\"pre\",le=\"+Inf\"} 1",
        ])
    });
}

#[test]
fn the_status_tells_of_the_gateway() {
    let plugin = Plugin::start(|object| object);
    let (_upstream, rig) = stage(&plugin, "", "");
    rig.get("/api/");
    let status: Value = serde_json::from_str(&rig.coproc(&["status", "--format", "json"])).unwrap();
    assert_eq!(status["gateway"]["figures"]["requests"], 1, "{status}");
}
