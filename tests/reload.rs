//! Reloads: a refused configuration, a burst of requests, and requests at a bad time.

mod support;

use nix::sys::signal::Signal;
use support::event::{short, wait_for_event};
use support::{Place, http, puppet};

/// D39 as well: after nginx refused a configuration the next reload is a reload again, and TERM is
/// heard.
#[test]
fn w41_a_refused_configuration() {
    let place = Place::new();
    let port = place.nginx(1, "return 200 old;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    place.nginx_conf(port, 1, "/dev/stdout info", "evnts;", "return 200 bad;");
    wrapper.signal(Signal::SIGHUP);
    let line = wrapper.wait_for("reload failed");
    assert!(line.contains("level=error") && line.contains("unknown directive"), "{line}");
    assert!(http::get(port, "/").ends_with("old"));
    place.nginx_conf(port, 1, "/dev/stdout info", "", "return 200 new;");
    wrapper.signal(Signal::SIGHUP);
    wait_for_event(&wrapper, "exit-worker", 1);
    assert!(http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(
        short(&wrapper),
        [
            "pre-start",
            "start",
            "start-worker 1",
            "pre-reload",
            "pre-reload",
            "reload",
            "start-worker 2",
            "exit-worker 1",
            "exit-worker 0",
            "exit"
        ]
    );
}

#[test]
fn w43_a_reload_before_the_main_process_is_started() {
    let place = Place::new();
    place.config(&format!(
        "[coprocess.hold]\nname = \"hold\"\nexec = [\"{}\", \"until\", \"{}\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n",
        puppet(),
        place.at("go")
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("hold: waiting");
    wrapper.signal(Signal::SIGHUP);
    let line = wrapper.wait_for("reload ignored");
    assert!(line.contains("level=info") && line.contains("not been started"), "{line}");
    place.write("go", "");
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("reconfiguring"), 0);
    assert_eq!(short(&wrapper), ["pre-start", "exit"]);
}

#[test]
fn w53_a_burst_of_reloads() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for(": up\"");
    wait_for_event(&wrapper, "start-worker", 1);
    for _ in 0..10 {
        wrapper.signal(Signal::SIGHUP);
    }
    wait_for_event(&wrapper, "reload", 1);
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert_eq!(wrapper.stop(), 0);
    let reloads = wrapper.phases().iter().filter(|name| *name == "reload").count();
    assert!((1..=10).contains(&reloads), "{}", wrapper.dump());
}

/// D31 and D39: whatever overlaps, every worker is counted once in and once out.
#[test]
fn w53_a_burst_of_reloads_of_nginx() {
    let place = Place::new();
    let port = place.nginx(2, "return 200 whole;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 2);
    for n in 1..=10 {
        wrapper.signal(Signal::SIGHUP);
        // Two bursts: the second meets workers that are on their way out.
        if n == 5 {
            wait_for_event(&wrapper, "reload", 1);
        }
    }
    wait_for_event(&wrapper, "reload", 2);
    assert!(http::get(port, "/").ends_with("whole"));
    assert_eq!(wrapper.stop(), 0);
    let all = short(&wrapper);
    let of = |kind: &str| all.iter().filter(|event| event.starts_with(kind)).count();
    assert_eq!(of("start-worker"), of("exit-worker"), "{all:#?}");
    assert_eq!(all[all.len() - 2..], ["exit-worker 0", "exit"]);
}

/// D39: a main process that never answers a HUP keeps nobody from ending it.
#[test]
fn w53_a_burst_of_reloads_that_are_refused() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_REFUSE", "1")]);
    wrapper.wait_for(": up\"");
    wait_for_event(&wrapper, "start-worker", 1);
    for _ in 0..10 {
        wrapper.signal(Signal::SIGHUP);
    }
    wrapper.wait_for("reconfiguring");
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(
        short(&wrapper),
        ["pre-start", "start", "start-worker 1", "pre-reload", "exit"],
        "{}",
        wrapper.dump()
    );
}

/// D39: without an answer a reload counts as refused, and the next one is tried.
#[test]
fn d39_a_reload_without_an_answer_ends_in_time() {
    let place = Place::new();
    place.config("[main]\nreload_timeout = \"50ms\"\n");
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_REFUSE", "1")]);
    wrapper.wait_for(": up\"");
    for n in 1..=2 {
        wrapper.signal(Signal::SIGHUP);
        wrapper.wait_for_nth("reload failed, the old configuration stays: nginx did not say", n);
    }
    assert_eq!(wrapper.count("reconfiguring"), 2);
    assert_eq!(wrapper.stop(), 0);
}

/// D38: a foreground coprocess that cannot be started at a reload is an error and no more.
#[test]
fn d38_a_failure_at_pre_reload_and_reload() {
    let place = Place::new();
    let coprocess = |name: &str, event: &str| {
        format!(
            "[coprocess.{name}]\nname = \"{name}\"\nexec = \"/no/such\"\nrestarts = \"never\"\n\
             exec_event = \"{event}\"\n"
        )
    };
    place.config(&[coprocess("a", "pre-reload"), coprocess("b", "reload")].concat());
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for(": up\"");
    wait_for_event(&wrapper, "start-worker", 1);
    for n in 1..=2 {
        wrapper.signal(Signal::SIGHUP);
        wait_for_event(&wrapper, "start-worker", 1 + n);
        wrapper.wait_for_nth("level=error msg=\"a: ", n);
        wrapper.wait_for_nth("level=error msg=\"b: ", n);
    }
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.stderr(), "");
}
