//! Coprocesses that start when several others are there.

mod support;

use support::{Place, coprocess, puppet};

/// One in the background that starts after these, and stays.
fn follower(name: &str, after: &str, rest: &str) -> String {
    let rest = format!("background = true\nafter = {after}\nexec_event = \"start\"\n{rest}");
    coprocess(name, "\"sleep 1000\"", &rest).replace("exec_event = \"start\"\n", "")
}

fn server(name: &str, file: &str) -> String {
    let rest = format!("background = true\nready = {{ file = \"{file}\", interval = \"20ms\" }}");
    coprocess(name, "\"sleep 1000\"", &rest)
}

fn why(place: &Place, name: &str) -> String {
    String::from_utf8(place.coproc(&["why", name]).stdout).unwrap()
}

#[test]
fn it_starts_when_the_last_of_them_is_there() {
    let place = Place::new();
    let step = "[\"sh\", \"-c\", \"while ! test -e go; do sleep 0.02; done\"]";
    let in_place = format!("background = true\ncwd = \"{}\"", place.path().display());
    place.config(
        &[
            follower("app", "[\"migrate\", \"db.ready\"]", "restarts = \"unlimited\""),
            coprocess("migrate", step, &in_place),
            server("db", &place.at("db")),
            follower("later", "\"app custom.more\"", ""),
        ]
        .concat(),
    );
    let mut wrapper = place.run_with(&["--", &puppet()], &[]);
    wrapper.wait_for("event: [coprocess.db.started]");
    let sentence = why(&place, "app");
    assert!(sentence.contains("waits for coprocess.migrate.stopped"), "{sentence}");
    place.write("db", "");
    wrapper.wait_for("event: [coprocess.db.ready]");
    assert!(why(&place, "app").contains("waits for coprocess.migrate.stopped"));
    assert_eq!(wrapper.count("event: [coprocess.app.started]"), 0);
    place.write("go", "");
    wrapper.wait_for("event: [coprocess.app.started]");
    assert!(
        wrapper.position("[coprocess.migrate.stopped]")
            < wrapper.position("[coprocess.app.started]")
    );
    let sentence = why(&place, "later");
    assert!(sentence.contains("waits for custom.more"), "{sentence}");
    assert!(place.coproc(&["emit", "more"]).status.success());
    wrapper.wait_for("event: [coprocess.later.started]");
    wrapper.stop();
}

#[test]
fn what_went_down_meanwhile_does_not_count() {
    let place = Place::new();
    place.config(
        &[server("db", &place.at("db")), follower("app", "[\"db\", \"custom.go\"]", "")].concat(),
    );
    let mut wrapper = place.run();
    place.write("db", "");
    wrapper.wait_for("event: [coprocess.db.ready]");
    assert!(place.coproc(&["stop", "db"]).status.success());
    assert!(place.coproc(&["emit", "go"]).status.success());
    wrapper.wait_for("event: [custom.go]");
    let sentence = why(&place, "app");
    assert!(sentence.contains("waits for coprocess.db.ready"), "{sentence}");
    assert_eq!(wrapper.count("event: [coprocess.app.started]"), 0);
    assert!(place.coproc(&["start", "db"]).status.success());
    wrapper.wait_for("event: [coprocess.app.started]");
    wrapper.stop();
}

#[test]
fn a_step_that_fails_lets_nobody_go_on() {
    let place = Place::new();
    place.config(
        &[
            coprocess("migrate", "\"false\"", ""),
            follower("app", "migrate", "").replace("after = migrate", "after = [\"migrate\"]"),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.migrate.failed]");
    wrapper.wait_for(": up");
    let sentence = why(&place, "app");
    assert!(
        sentence.contains("waits for coprocess.migrate.stopped: migrate was given up"),
        "{sentence}"
    );
    wrapper.stop();
    assert_eq!(wrapper.count("event: [coprocess.app.started]"), 0);
}
