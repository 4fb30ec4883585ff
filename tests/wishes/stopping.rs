//! How a stop goes: together, in order, within a bound, with nobody left.

use crate::support::{Place, alive};
use crate::{ask, ignores, main_script, script};

const MAIN: &str = "while :; do sleep 0.05; done";

#[test]
fn nginx_wrapper_coprocess_345_all_are_told_before_anyone_is_waited_for() {
    let place = Place::new();
    let names = ["a", "b", "c"];
    let stubborn = names.map(|name| ignores(name, &["TERM"], "stop_timeout = \"300ms\""));
    place.config(&(main_script(MAIN, "") + &stubborn.concat()));
    let mut wrapper = place.run();
    for name in names {
        wrapper.wait_for(&format!("{name}: ready"));
    }
    assert_eq!(wrapper.stop(), 143);
    let first_end = names.map(|name| wrapper.position(&format!("{name}: ended"))).into_iter().min();
    for name in names {
        assert!(Some(wrapper.position(&format!("{name}: sending TERM"))) < first_end);
    }
}

#[test]
fn process_compose_145_stop_commands_in_the_order_of_the_file() {
    let place = Place::new();
    let names = ["deregister", "drain", "leave"];
    let all =
        names.map(|name| script(name, "sleep 1000", &format!("stop_exec = \"echo bye-{name}\"")));
    place.config(&(main_script(MAIN, "") + &all.concat()));
    let mut wrapper = place.run();
    for name in names {
        wrapper.started(name, 1);
    }
    assert_eq!(wrapper.stop(), 143);
    let places = names.map(|name| wrapper.position(&format!("stop-{name}: bye-{name}")));
    assert!(places.is_sorted(), "{}", wrapper.dump());
}

#[test]
fn pebble_70_a_command_that_stops_a_service() {
    let place = Place::new();
    let cwd = format!("cwd = \"{}\"\nstop_exec = \"touch enough\"", place.at(""));
    place.config(
        &(main_script(MAIN, "")
            + &script("a", "while [ ! -e enough ]; do sleep 0.01; done; echo by itself", &cwd)),
    );
    let mut wrapper = place.run();
    wrapper.started("a", 1);
    assert_eq!(wrapper.stop(), 143);
    wrapper.wait_for("stop-a: ended with exit status 0");
}

#[test]
fn process_compose_354_a_stop_says_who_holds_it_up() {
    let place = Place::new();
    place.config(
        &(main_script("true", "") + &ignores("deaf", &["TERM", "INT"], "stop_timeout = \"2s\"")),
    );
    // The main process has ended, and all waits for the one that ignores its signals.
    let mut wrapper = place.run();
    wrapper.wait_for("deaf: sending TERM");
    let (code, text) = ask(&place, &["why", "deaf"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("TERM"), "{text}");
    assert_eq!(wrapper.wait(), 0);
    wrapper.wait_for("deaf: ended by signal KILL");
}

#[test]
fn baseimage_docker_506_what_ignores_term_does_not_block_the_stop() {
    let place = Place::new();
    place.config(
        &(main_script(MAIN, "") + &ignores("deaf", &["TERM", "INT"], "stop_timeout = \"100ms\"")),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("deaf: ready");
    let deaf = wrapper.started("deaf", 1);
    assert_eq!(wrapper.stop(), 143);
    assert!(!alive(deaf));
}

#[test]
fn tini_180_all_children_are_signalled_and_waited_for() {
    let place = Place::new();
    // Two shells in one group: the outer one waits for the inner, which nobody but us signals.
    let inner = "trap 'sleep 0.3; echo wound up; exit 0' TERM; while :; do sleep 0.05; done";
    let both = format!("trap 'wait; echo wound up; exit 0' TERM; ({inner}) & wait");
    place.config(&(main_script(MAIN, "") + &script("a", &both, "")));
    let mut wrapper = place.run();
    wrapper.started("a", 1);
    let below = || crate::support::descendants(wrapper.pid());
    crate::support::eventually("both are there", || below().len() >= 4);
    let before = below();
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.count("a: wound up"), 2, "{}", wrapper.dump());
    assert!(!before.into_iter().any(alive));
}

#[test]
fn docker_nexus_56_term_is_a_graceful_stop() {
    let place = Place::new();
    let saves = "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    place.config(&(main_script(MAIN, "") + &script("db", saves, "")));
    let mut wrapper = place.run();
    wrapper.wait_for("db: up");
    assert_eq!(wrapper.stop(), 143);
    wrapper.wait_for("db: saved");
}

#[test]
fn docker_nginx_377_nginx_is_drained_by_quit() {
    let place = Place::new();
    place.nginx(1, "", "[main]\nstop_signal = \"QUIT\"\n");
    let mut wrapper = place.run();
    wrapper.wait_for("event: [start-worker]");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    wrapper.wait_for("signal 3 (SIGQUIT) received");
}
