//! When something is started again, how often, and that there is never more than one of it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, alive};
use crate::{ask, main_script, script};

const MAIN: &str = "while :; do sleep 0.05; done";

#[test]
fn s6_overlay_277_bounded_restarts_with_growing_pauses_in_a_few_lines() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\nbackoff = { initial = \"10ms\", max = \"40ms\" }\n\
                restart_limit = { count = 4, window = \"10m\" }";
    place.config(&(main_script(MAIN, "") + &script("a", "exit 1", rest)));
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.failed]");
    assert_eq!(wrapper.count("msg=\"a: started"), 5, "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn pebble_642_a_number_of_restarts_and_no_more() {
    let place = Place::new();
    place.config(&(main_script(MAIN, "") + &script("a", "exit 1", "restarts = 2")));
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.failed]");
    assert_eq!(wrapper.count("msg=\"a: started"), 3, "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn pebble_240_a_first_start_that_fails_is_tried_again_too() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\nbackground = true";
    let late = format!("\"{}\"", place.at("late"));
    place.config(&(main_script(MAIN, "") + &crate::support::coprocess("a", &late, rest)));
    let mut wrapper = place.run();
    wrapper.wait_for("cannot be started");
    std::os::unix::fs::symlink("/bin/true", place.at("late")).unwrap();
    wrapper.wait_for("a: ended with exit status 0");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn systemd_43813_a_healthy_run_makes_the_pauses_short_again() {
    let place = Place::new();
    // The fifth run is a healthy one; what comes after it waits no longer than the first did.
    let run =
        "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; [ $n = 4 ] && sleep 0.5; exit 1";
    let rest = format!(
        "cwd = \"{}\"\nrestarts = \"unlimited\"\n\
         backoff = {{ initial = \"100ms\", max = \"1h\", factor = 3, reset_after = \"300ms\" }}",
        place.at("")
    );
    place.config(&(main_script(MAIN, "") + &script("a", run, &rest)));
    let mut wrapper = place.run();
    // Without that, the sixth start would come after 8.1 s, and the eighth after more than a minute.
    wrapper.started("a", 8);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn process_compose_530_a_restart_while_it_waits_makes_no_second_one() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\ntime_between_restarts = \"1h\"";
    place.config(
        &(main_script(MAIN, "")
            + &script(
                "a",
                "[ -e go ] || exit 1; sleep 1000",
                &format!("cwd = \"{}\"\n{rest}", place.at("")),
            )),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("a: ended with exit status 1");
    place.write("go", "");
    for _ in 0..5 {
        let (code, text) = ask(&place, &["restart", "a"]);
        assert_eq!(code, 0, "{text}");
    }
    let starts = wrapper.count("msg=\"a: started");
    let alive = (1..=starts).filter(|n| alive(wrapper.started("a", *n))).count();
    assert_eq!(alive, 1, "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn pebble_149_children_that_live_on_do_not_keep_a_dead_service_alive() {
    let place = Place::new();
    let run = "sleep 1000 & echo child $!; wait";
    place.config(&(main_script(MAIN, "") + &script("a", run, "restarts = 1")));
    let mut wrapper = place.run();
    let line = wrapper.wait_for("a: child ");
    let child: i32 = line.rsplit_once(' ').unwrap().1.trim_end_matches('"').parse().unwrap();
    kill(Pid::from_raw(wrapper.started("a", 1)), Signal::SIGKILL).unwrap();
    wrapper.started("a", 2);
    assert!(!alive(child), "what the first one left is gone before the second begins");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn nginx_wrapper_coprocess_118_a_stop_during_a_pause_does_not_hang() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\ntime_between_restarts = \"1h\"";
    place.config(&(main_script(MAIN, "") + &script("a", "exit 1", rest)));
    let mut wrapper = place.run();
    wrapper.wait_for("a: ended with exit status 1");
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
}
