//! Who starts before whom, and when it is ready rather than merely there.

use crate::support::{Place, coprocess};
use crate::{main_script, run_to_its_end, script};

/// Says when it begins, and after a while that it is ready.
const SLOW: &str = "echo begin; sleep 0.3; echo serving; sleep 1000";
const READY: &str = "ready = { log = \"serving\" }";

#[test]
fn supervisord_122_one_starts_when_the_other_is_ready() {
    let place = Place::new();
    place.config(
        &[
            main_script("while :; do sleep 0.05; done", ""),
            script("second", "echo here; sleep 1000", "exec_event = \"coprocess.first.ready\""),
            script("first", SLOW, READY),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    assert!(wrapper.position("first: serving") < wrapper.position("second: started"));
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn pebble_639_the_main_process_waits_for_readiness_and_not_for_a_second() {
    let main = main_script("echo main", "exec_event = \"coprocess.first.ready\"");
    let (code, wrapper) = run_to_its_end(&(main + &script("first", SLOW, READY)));
    assert_eq!(code, 0, "{}", wrapper.dump());
    assert!(wrapper.position("first: serving") < wrapper.position("main: main"));
}

#[test]
fn nginx_wrapper_main_137_the_order_is_that_of_the_file() {
    let names = ["f", "b", "e", "a", "d", "c"];
    let helpers = names.map(|name| coprocess(name, "\"echo here\"", ""));
    let (_, wrapper) = run_to_its_end(&(main_script("true", "") + &helpers.concat()));
    let places = names.map(|name| wrapper.position(&format!("msg=\"{name}: here")));
    assert!(places.is_sorted(), "{}", wrapper.dump());
}

#[test]
fn process_compose_44_a_dependency_that_does_not_exist_is_an_error_before_anything_starts() {
    let place = Place::new();
    place.config(&script("a", "sleep 1000", "exec_event = \"coprocess.nobody.ready\""));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 2);
    assert!(wrapper.stderr().contains("coprocess.a.exec_event"), "{}", wrapper.dump());
}
