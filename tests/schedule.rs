//! Coprocesses that are started at given times.

mod support;

use serde_json::Value;
use support::{Place, Wrapper, coprocess, eventually};

/// A coprocess in the background whose `exec_event` is not set.
fn scheduled(name: &str, exec: &str, rest: &str) -> String {
    let text = coprocess(name, exec, &format!("background = true\nexec_event = \"start\"\n{rest}"));
    text.replace("exec_event = \"start\"\n", "").replace("restarts = \"never\"\n", "")
}

fn run(config: &str) -> (Place, Wrapper) {
    let place = Place::new();
    place.config(config);
    let wrapper = place.run_with(&["--", "sleep", "1000"], &[]);
    (place, wrapper)
}

/// What the status says of the only coprocess.
fn status(place: &Place) -> Value {
    let output = place.coproc(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["coprocesses"][0].clone()
}

fn why(place: &Place, name: &str) -> String {
    String::from_utf8(place.coproc(&["why", name]).stdout).unwrap()
}

#[test]
fn one_run_after_another_until_it_is_stopped_and_on_when_it_is_started() {
    let (place, mut wrapper) = run(&scheduled("tick", "\"true\"", "schedule = { every = \"1s\" }"));
    wrapper.wait_for_nth("event: [coprocess.tick.stopped]", 2);
    // The first run is not at the beginning.
    assert!(wrapper.position("event: [start]") < wrapper.position("[coprocess.tick.started]"));
    assert!(place.coproc(&["health"]).status.success());
    eventually("it waits for its next run", || {
        why(&place, "tick").contains("runs in ") && status(&place)["next_run"].is_string()
    });
    let sentence = why(&place, "tick");
    assert!(sentence.contains("by its schedule; its last run ended with"), "{sentence}");
    assert!(place.coproc(&["stop", "tick"]).status.success());
    assert_eq!(status(&place)["next_run"], Value::Null);
    assert!(why(&place, "tick").contains("none is to follow"), "{}", why(&place, "tick"));
    let runs = wrapper.count("event: [coprocess.tick.started]");
    assert!(place.coproc(&["start", "tick"]).status.success());
    // That one, and one of the schedule.
    wrapper.wait_for_nth("event: [coprocess.tick.started]", runs + 2);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn what_begins_the_schedule_starts_it_at_once_where_it_is_named() {
    let rest = "exec_event = \"pre-start\"\nschedule = { every = \"1h\", jitter = \"59m\" }";
    let (place, mut wrapper) = run(&coprocess("a", "\"sh -c 'sleep 0.2'\"", rest));
    wrapper.wait_for("event: [start]");
    // In the foreground that run held its event.
    assert!(wrapper.position("[coprocess.a.stopped]") < wrapper.position("event: [start]"));
    assert!(why(&place, "a").contains("runs in "), "{}", why(&place, "a"));
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.count("event: [coprocess.a.started]"), 1);
}

#[test]
fn a_run_that_is_due_while_another_goes_on_is_skipped() {
    let (_place, mut wrapper) =
        run(&scheduled("a", "\"sleep 1000\"", "schedule = { every = \"1s\" }"));
    wrapper.wait_for_nth("msg=\"a: a run is skipped: the one before has not ended\"", 2);
    assert_eq!(wrapper.count("event: [coprocess.a.started]"), 1);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn or_waits_for_its_end() {
    let rest = "schedule = { every = \"1s\", overlap = \"queue\" }";
    let (place, mut wrapper) = run(&scheduled("a", "\"sleep 1000\"", rest));
    wrapper.wait_for("msg=\"a: a run is due and waits: the one before has not ended\"");
    wrapper.wait_for("msg=\"a: a run is skipped");
    let first = wrapper.started("a", 1);
    assert!(place.coproc(&["signal", "a", "TERM"]).status.success());
    assert_ne!(wrapper.started("a", 2), first);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn or_stops_it() {
    let rest = "stop_exec = \"echo bye\"\nschedule = { every = \"1s\", overlap = \"restart\" }";
    let (_place, mut wrapper) = run(&scheduled("a", "\"sleep 1000\"", rest));
    let first = wrapper.started("a", 1);
    let second = wrapper.started("a", 2);
    assert!(first != second && !support::alive(first));
    assert!(wrapper.position("msg=\"stop-a: bye\"") < wrapper.position("[coprocess.a.exited]"));
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn a_run_that_fails_has_restarts_of_its_own() {
    let rest = "restarts = 1\nschedule = { every = \"1s\" }";
    let (place, mut wrapper) = run(&scheduled("a", "\"false\"", rest));
    wrapper.wait_for_nth("event: [coprocess.a.failed]", 2);
    assert!(wrapper.count("event: [coprocess.a.started]") >= 4, "{}", wrapper.dump());
    // It is not lost: the schedule starts it again.
    eventually("all is well between two runs", || place.coproc(&["health"]).status.success());
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn a_time_of_the_calendar_is_told() {
    let rest = "schedule = { cron = \"0 0 1 1 *\", zone = \"UTC\" }";
    let (place, mut wrapper) = run(&scheduled("a", "\"true\"", rest));
    wrapper.wait_for("event: [start]");
    eventually("the next run is known", || status(&place)["next_run"].is_string());
    let next = status(&place)["next_run"].as_str().unwrap().to_owned();
    assert!(next.ends_with("-01-01T00:00:00Z"), "{next}");
    let table = String::from_utf8(place.coproc(&["status"]).stdout).unwrap();
    assert!(table.contains(&format!("next run at {next}")), "{table}");
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.count("event: [coprocess.a.started]"), 0);
}

#[test]
fn without_a_main_process_it_begins_with_the_wrapper() {
    let place = Place::new();
    place.config(&scheduled("a", "\"true\"", "schedule = { every = \"1s\" }"));
    let text = place.read("coproc.toml") + "[main]\nkind = \"none\"\n";
    place.write("coproc.toml", &text);
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.started]");
    assert_eq!(wrapper.stop(), 0);
}
