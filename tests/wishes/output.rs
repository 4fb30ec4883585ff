//! Output: all of it, with names, in one place, and per process when asked.

use crate::support::Place;
use crate::{ask, main_script, run_to_its_end, script};

#[test]
fn supervisord_1326_names_on_lines_and_dinit_11_on_the_containers_own_output() {
    let main = main_script("sleep 0.2; echo from main", "");
    let helpers = script("a", "echo one", "") + &script("b", "echo two >&2", "");
    let (_, wrapper) = run_to_its_end(&(main + &helpers));
    for line in ["msg=\"a: one\"", "msg=\"b: two\"", "msg=\"main: from main\""] {
        assert_eq!(wrapper.count(line), 1, "{}", wrapper.dump());
    }
}

#[test]
fn pebble_5_output_is_there_without_a_flag() {
    let place = Place::new();
    let main = main_script("sleep 0.2", "");
    let helper = script("a", "echo seen", "");
    place.write("coproc.toml", &format!("run_path = \"{}\"\n{main}{helper}", place.at("run")));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 0);
    assert_eq!(wrapper.count("seen"), 1, "{}", wrapper.dump());
}

#[test]
fn nginx_wrapper_log_33_stderr_is_read_while_stdout_is_open() {
    // More than a pipe holds: whoever does not read it stops the program for good.
    let main = main_script("yes error | head -c 1000000 >&2; echo through", "");
    let (code, wrapper) = run_to_its_end(&main);
    assert_eq!(code, 0);
    wrapper.wait_for("main: through");
}

#[test]
fn process_compose_511_logs_of_one_process_from_the_command_line() {
    let place = Place::new();
    let main = main_script("while :; do sleep 0.05; done", "");
    place.config(
        &(main + &script("a", "echo mine; sleep 1000", "") + &script("b", "echo other", "")),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("a: mine");
    wrapper.wait_for("b: other");
    let (code, text) = ask(&place, &["logs", "a"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("mine") && !text.contains("other"), "{text}");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn dinix_1_what_is_dropped_is_counted_and_said() {
    let noise = "i=0; while [ $i -lt 200 ]; do echo noise $i; i=$((i + 1)); done; echo through >&2";
    let helper = script("noisy", noise, "log = { rate = \"10/h\", on_full = \"drop\" }");
    let (code, wrapper) = run_to_its_end(&(main_script("sleep 0.5", "") + &helper));
    assert_eq!(code, 0);
    let line = wrapper.wait_for("of noisy");
    assert!(line.contains("dropped"), "{line}");
    assert!(wrapper.count("noisy: noise") < 200, "{}", wrapper.dump());
}
