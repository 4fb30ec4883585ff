//! Several instances of one coprocess.

mod support;

use serde_json::Value;
use support::{Place, Wrapper, coprocess};

/// A server of which there are three, each ready when there is a file with its number.
fn three(place: &Place, rest: &str) -> String {
    let file = place.at("${replica}.ready");
    let ready = format!("ready = {{ file = \"{file}\", interval = \"20ms\" }}");
    let exec = "[\"sh\", \"-c\", \"echo ${replica} is $COPROC_REPLICA; exec sleep 1000\"]";
    coprocess("web", exec, &format!("background = true\nreplicas = 3\n{ready}\n{rest}"))
}

fn ready(place: &Place, number: u32) {
    place.write(&format!("{number}.ready"), "");
}

fn states(place: &Place) -> Vec<String> {
    let output = place.coproc(&["status", "--format", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = status["coprocesses"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    all.map(|one| ["name", "replica_of", "state"].map(|key| text(&one[key])).join(" ")).collect()
}

fn run(place: &Place, config: &str) -> Wrapper {
    place.config(config);
    place.run()
}

#[test]
fn each_has_its_number_and_all_of_them_are_ready_when_the_last_is() {
    let place = Place::new();
    let after =
        coprocess("after", "\"true\"", "background = true\nexec_event = \"coprocess.web.ready\"");
    let mut wrapper = run(&place, &(three(&place, "") + &after));
    for number in 1..=3 {
        wrapper.wait_for(&format!("msg=\"web-{number}: {number} is {number}\""));
    }
    wrapper.wait_for("event: [coprocess.web.started]");
    ready(&place, 3);
    ready(&place, 1);
    wrapper.wait_for("event: [coprocess.web-1.ready]");
    wrapper.wait_for("event: [coprocess.web-3.ready]");
    assert_eq!(wrapper.count("event: [coprocess.web.ready]"), 0);
    let why = String::from_utf8(place.coproc(&["why", "web"]).stdout).unwrap();
    assert_eq!(why.lines().count(), 3, "{why}");
    assert!(why.contains("web-2: starting: not ready"), "{why}");
    ready(&place, 2);
    wrapper.wait_for("event: [coprocess.web.ready]");
    wrapper.wait_for("event: [coprocess.after.started]");
    let shown = |name: &str| {
        let status = String::from_utf8(place.coproc(&["status", name]).stdout).unwrap();
        let names = status.lines().skip(1).filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown("web"), ["web-1", "web-2", "web-3"]);
    assert_eq!([shown("web-2"), shown("main")], [["web-2"], ["main"]]);
    let output = place.coproc(&["status", "nobody"]);
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("there is no coprocess `nobody`; there are `web-1`"), "{why}");
    let running = (1..=3).map(|number| format!("web-{number} web running"));
    assert_eq!(states(&place)[..3], running.collect::<Vec<_>>());
    wrapper.stop();
}

#[test]
fn the_name_that_they_share_is_one_to_wait_for_and_to_read_logs_of() {
    let place = Place::new();
    let other = coprocess(
        "other",
        "[\"sh\", \"-c\", \"echo other; exec sleep 1000\"]",
        "background = true",
    );
    ready(&place, 1);
    ready(&place, 2);
    let mut wrapper = run(&place, &(three(&place, "") + &other));
    (1..=3).for_each(|n| drop(wrapper.wait_for(&format!("msg=\"web-{n}: {n} is {n}\""))));
    wrapper.wait_for("msg=\"other: other\"");
    let logs = String::from_utf8(place.coproc(&["logs", "web"]).stdout).unwrap();
    let mut lines: Vec<_> = logs.lines().filter_map(|line| line.split_once("Z ")).collect();
    lines.sort_unstable_by_key(|(_, line)| *line);
    let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, ["web-1 | 1 is 1", "web-2 | 2 is 2", "web-3 | 3 is 3"]);

    assert!(place.coproc(&["wait", "web", "--for", "started"]).status.success());
    wrapper.wait_for("event: [coprocess.web-2.ready]");
    let late = place.coproc(&["wait", "web", "--timeout", "50ms"]);
    assert_eq!(late.status.code(), Some(124), "the third is not ready");
    let mut waits = Wrapper::start(place.command(&["wait", "web"]));
    ready(&place, 3);
    assert_eq!(waits.wait(), 0);
    assert!(place.coproc(&["stop", "web-2"]).status.success());
    assert!(place.coproc(&["stop", "web"]).status.success());
    assert!(place.coproc(&["wait", "web", "--for", "stopped"]).status.success());
    wrapper.stop();
}

#[test]
fn what_is_said_to_all_is_said_to_each() {
    let place = Place::new();
    (1..=3).for_each(|number| ready(&place, number));
    let mut wrapper = run(&place, &three(&place, "restarts = 7"));
    wrapper.wait_for("event: [coprocess.web.ready]");
    assert!(place.coproc(&["stop", "web"]).status.success());
    assert!(states(&place).iter().all(|state| state.ends_with(" stopped")), "{:?}", states(&place));
    wrapper.wait_for("event: [coprocess.web.stopped]");
    assert!(place.coproc(&["start", "web"]).status.success());
    assert!(states(&place).iter().all(|state| state.ends_with(" running")), "{:?}", states(&place));
    assert!(place.coproc(&["set", "web", "restarts=never"]).status.success());
    // One alone has its own name.
    let second = wrapper.started("web-2", 2);
    assert!(place.coproc(&["restart", "web-2"]).status.success());
    assert_ne!(wrapper.started("web-2", 3), second);
    assert!(place.coproc(&["signal", "web", "KILL"]).status.success());
    (1..=3).for_each(|n| drop(wrapper.wait_for(&format!("event: [coprocess.web-{n}.failed]"))));
    let refused = place.coproc(&["signal", "web", "KILL"]);
    assert_eq!(refused.status.code(), Some(1));
    wrapper.stop();
}

#[test]
fn a_restart_takes_one_after_another() {
    let place = Place::new();
    (1..=3).for_each(|number| ready(&place, number));
    let mut wrapper = run(&place, &three(&place, ""));
    wrapper.wait_for("event: [coprocess.web.ready]");
    assert!(place.coproc(&["restart", "web"]).status.success());
    let nth = |text: &str, n: usize| {
        let lines = wrapper.lines();
        let mut found = (0..lines.len()).filter(|at| lines[*at].contains(text));
        found.nth(n).unwrap_or_else(|| panic!("no {text}"))
    };
    for number in 1..3 {
        let ready_again = nth(&format!("event: [coprocess.web-{number}.ready]"), 1);
        let next_ends = nth(&format!("event: [coprocess.web-{}.exited]", number + 1), 0);
        assert!(ready_again < next_ends, "{}", wrapper.dump());
    }
    wrapper.stop();
}

#[test]
fn a_restart_ends_at_the_first_that_does_not_come_back() {
    let place = Place::new();
    (1..=3).for_each(|number| ready(&place, number));
    let exec = "[\"sh\", \"-c\", \"test ! -e broken && exec sleep 1000\"]";
    let rest = format!("background = true\nreplicas = 3\ncwd = \"{}\"", place.path().display());
    let file = place.at("${replica}.ready");
    let ready = format!("ready = {{ file = \"{file}\", interval = \"20ms\", delay = \"300ms\" }}");
    let mut wrapper = run(&place, &coprocess("web", exec, &format!("{rest}\n{ready}")));
    wrapper.wait_for("event: [coprocess.web.ready]");
    place.write("broken", "");
    let refused = place.coproc(&["restart", "web"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("`web-1` does not run: it is in state failed"), "{why}");
    assert!(why.contains("`web-2`, `web-3` were not restarted"), "{why}");
    assert_eq!(wrapper.count("event: [coprocess.web-2.exited]"), 0);
    wrapper.stop();
}
