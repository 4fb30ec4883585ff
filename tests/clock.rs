//! A wall clock that is wrong, or jumps by years: nothing is measured by it but times of the day.

mod support;

use std::fs;

use serde_json::Value;
use support::{Place, Wrapper, alive, coprocess};

/// What makes a program see another time of the day. The loader replaces `$LIB`.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// Restarts with pauses, runs by a schedule, and a probe for life that is asked often.
fn config() -> String {
    [
        coprocess(
            "flaky",
            "[\"sh\", \"-c\", \"exit 1\"]",
            "exec_event = \"start\"\nbackground = true\nrestarts = \"unlimited\"\n\
             time_between_restarts = \"100ms\"",
        ),
        coprocess(
            "agent",
            "\"sleep 1000\"",
            "background = true\nrestarts = \"unlimited\"\n\
             live = { exec = [\"true\"], interval = \"100ms\", timeout = \"30s\" }",
        ),
        coprocess(
            "tick",
            "\"true\"",
            "exec_event = \"start\"\nbackground = true\nschedule = { every = \"1s\" }",
        ),
    ]
    .concat()
}

/// Has the clock of whoever looks at this file go wrong by so much.
fn set(place: &Place, offset: &str) {
    place.write("clock.new", offset);
    // Nobody ever reads half of it.
    fs::rename(place.at("clock.new"), place.at("clock")).unwrap();
}

/// Restarts and scheduled runs go on.
fn goes_on(wrapper: &Wrapper) {
    let (restarts, runs) = ("msg=\"flaky: ended", "event: [coprocess.tick.stopped]");
    let (so_many, and) = (wrapper.count(restarts), wrapper.count(runs));
    wrapper.wait_for_nth(restarts, so_many + 4);
    wrapper.wait_for_nth(runs, and + 1);
}

#[test]
fn a_clock_that_jumps_by_years_changes_no_pause_no_probe_and_no_stop() {
    let place = Place::new();
    place.config(&config());
    set(&place, "+0");
    let variables = [
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", &place.at("clock")),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut wrapper = place.run_with(&["--", "sleep", "1000"], &variables);
    let agent = wrapper.started("agent", 1);
    goes_on(&wrapper);
    for offset in ["+3650d", "-3650d", "+0", "-19000d", "+20000d"] {
        set(&place, offset);
        goes_on(&wrapper);
        let status = place.coproc(&["status", "--format", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["coprocesses"][1]["pid"], agent, "{status:#}");
        assert!(place.coproc(&["why"]).status.success());
    }
    assert!(alive(agent));
    let years: std::collections::BTreeSet<_> =
        wrapper.lines().iter().filter_map(|line| line.get(6..10).map(str::to_owned)).collect();
    assert!(years.len() >= 5, "the clock did not jump: {years:?}");
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
    assert_eq!(wrapper.count("msg=\"agent: started"), 1);
    assert!(!wrapper.dump().contains("panic"), "{}", wrapper.dump());
}
