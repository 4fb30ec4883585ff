//! In a container: PID 1 or not, any user, a foreign process to reap, nothing written.

use std::os::unix::process::CommandExt;

use crate::support::{Place, Wrapper, alive, eventually, is_root, state};
use crate::{ask, main_script, script};

const MAIN: &str = "while :; do sleep 0.05; done";

/// A daemon by the double fork, which prints its pid.
const DAEMON: &str = "setsid sh -c 'sleep 1000 & echo daemon $!' & sleep 1000";

#[test]
fn s6_overlay_634_it_needs_not_be_pid_1() {
    let place = Place::new();
    place.config(&(main_script(MAIN, "") + &script("a", DAEMON, "")));
    let mut wrapper = place.run();
    assert_ne!(wrapper.pid(), 1);
    let line = wrapper.wait_for("a: daemon ");
    let daemon: i32 = line.rsplit_once(' ').unwrap().1.trim_end_matches('"').parse().unwrap();
    assert_eq!(wrapper.stop(), 143);
    assert!(!alive(daemon), "what left its group ends with the wrapper");
}

#[test]
fn supervisord_936_reaping_a_stranger_harms_nobody() {
    let place = Place::new();
    // An orphan that ends is the wrapper's to reap, though it never started it.
    let orphan = "setsid sh -c 'sleep 0.2 & echo orphan $!' & sleep 1000";
    place.config(&(main_script(MAIN, "") + &script("a", orphan, "")));
    let mut wrapper = place.run();
    let line = wrapper.wait_for("a: orphan ");
    let orphan: i32 = line.rsplit_once(' ').unwrap().1.trim_end_matches('"').parse().unwrap();
    eventually("it is reaped", || state(orphan).is_none());
    assert_eq!(ask(&place, &["health"]).0, 0);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn s6_overlay_427_any_user_and_no_entry_for_it() {
    let place = Place::new();
    place.config(&(main_script("id -u", "")));
    let mut command = place.command(&["run"]);
    let me = if is_root() {
        for path in ["", "run", "run/conf"] {
            std::os::unix::fs::chown(place.at(path), Some(1_234_567), Some(0)).unwrap();
        }
        // As OpenShift does: a number that nobody knows, in root's group.
        command.uid(1_234_567).gid(0);
        1_234_567
    } else {
        nix::unistd::getuid().as_raw()
    };
    let mut wrapper = Wrapper::start(command);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    wrapper.wait_for(&format!("main: {me}"));
}

#[test]
fn systemd_11752_services_need_no_pid_file() {
    let place = Place::new();
    place.config(&(main_script(MAIN, "") + &script("a", "sleep 1000", "restarts = \"unlimited\"")));
    let mut wrapper = place.run();
    let first = wrapper.started("a", 1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert!(alive(wrapper.started("a", 2)));
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn s6_overlay_128_the_environment_is_inherited() {
    let place = Place::new();
    place.config(&(main_script(MAIN, "") + &script("a", "echo got $GREETING", "")));
    let mut wrapper = place.run_with(&[], &[("GREETING", "hello")]);
    wrapper.wait_for("a: got hello");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn horust_140_a_health_command_for_docker() {
    let place = Place::new();
    let ready = format!("ready = {{ file = \"{}\", interval = \"20ms\" }}", place.at("go"));
    place.config(&(main_script(MAIN, "") + &script("a", "sleep 1000", &ready)));
    let mut wrapper = place.run();
    wrapper.wait_for("[coprocess.a.started]");
    eventually("the socket is there", || ask(&place, &["status"]).0 == 0);
    assert_eq!(ask(&place, &["health"]).0, 1, "it is not ready");
    place.write("go", "");
    wrapper.wait_for("[coprocess.a.ready]");
    assert_eq!(ask(&place, &["health"]).0, 0);
    assert_eq!(wrapper.stop(), 143);
}
