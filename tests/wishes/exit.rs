//! How it ends: with whose exit code, and who goes with whom.

use nix::sys::signal::Signal;

use crate::support::{Place, alive, coprocess};
use crate::{main_script, run_to_its_end, script};

#[test]
fn nginx_wrapper_run_59_the_exit_code_is_the_main_process_own() {
    assert_eq!(run_to_its_end(&main_script("exit 3", "")).0, 3);
    assert_eq!(run_to_its_end(&main_script("kill -KILL $$", "")).0, 128 + 9);
}

#[test]
fn systemd_1290_also_after_a_stop() {
    let place = Place::new();
    place.config(&main_script("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done", ""));
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    assert_eq!(wrapper.stop(), 7, "{}", wrapper.dump());
}

#[test]
fn s6_overlay_183_the_code_is_the_same_with_coprocesses_that_fail_meanwhile() {
    let helpers = script("helper", "trap 'exit 5' TERM; while :; do sleep 0.05; done", "");
    let main = main_script("sleep 0.3; exit 4", "");
    assert_eq!(run_to_its_end(&format!("{main}{helpers}")).0, 4);
}

#[test]
fn s6_overlay_87_a_service_that_fails_ends_the_container() {
    let main = main_script("while :; do sleep 0.05; done", "");
    let config = main + &script("vital", "exit 6", "on_give_up = \"shutdown\"");
    let (code, wrapper) = run_to_its_end(&config);
    assert_eq!(code, 6, "{}", wrapper.dump());
}

#[test]
fn supervisord_712_it_leaves_when_what_is_essential_dies_of_a_signal() {
    let main = main_script("while :; do sleep 0.05; done", "");
    let config = main + &script("vital", "kill -SEGV $$", "on_give_up = \"shutdown\"");
    assert_eq!(run_to_its_end(&config).0, 128 + 11);
}

#[test]
fn dinix_9_a_critical_service_that_fails_before_the_start_is_no_success() {
    let config = main_script("echo never", "")
        + &coprocess("vital", "[\"sh\", \"-c\", \"exit 1\"]", "on_give_up = \"shutdown\"");
    let (code, wrapper) = run_to_its_end(&config);
    assert_eq!(code, 1, "{}", wrapper.dump());
}

#[test]
fn kubernetes_25908_helpers_end_when_the_main_process_does() {
    let place = Place::new();
    place.config(&(main_script("sleep 0.3", "") + &script("helper", "sleep 1000", "")));
    let mut wrapper = place.run();
    let helper = wrapper.started("helper", 1);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    assert!(!alive(helper));
}

#[test]
fn nginx_wrapper_main_134_quit_is_a_graceful_stop_and_leaves_nobody_behind() {
    let place = Place::new();
    let main = main_script(
        "trap 'echo gently; exit 0' QUIT; echo up; while :; do sleep 0.05; done",
        "stop_signal = \"QUIT\"",
    );
    place.config(&(main + &script("helper", "sleep 1000", "")));
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    let helper = wrapper.started("helper", 1);
    wrapper.signal(Signal::SIGQUIT);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    wrapper.wait_for("main: gently");
    assert!(!alive(helper));
}
