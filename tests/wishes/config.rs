//! Configs: checked beforehand, from variables too, and reloads that harm nothing.

use nix::sys::signal::Signal;

use crate::support::{Place, alive};
use crate::{ask, main_script, run_to_its_end, script};

#[test]
fn horust_7_a_service_that_is_wrong_is_told_before_anything_starts() {
    let place = Place::new();
    place.config(&(script("good", "touch ran", "") + &script("bad", "true", "restrats = 1")));
    let (code, text) = ask(&place, &["check"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("restrats") && text.contains("restarts"), "{text}");
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 2);
    assert_eq!(wrapper.count("good: started"), 0);
}

#[test]
fn horust_31_it_is_controlled_from_the_command_line() {
    let place = Place::new();
    let main = main_script("while :; do sleep 0.05; done", "");
    place.config(&(main + &script("a", "sleep 1000", "")));
    let mut wrapper = place.run();
    wrapper.started("a", 1);
    for (words, state) in
        [(["stop", "a"], "stopped"), (["start", "a"], "running"), (["restart", "a"], "running")]
    {
        let (code, text) = ask(&place, &words);
        assert_eq!(code, 0, "{text}");
        let (_, text) = ask(&place, &["status"]);
        assert!(text.lines().any(|line| line.starts_with("a ") && line.contains(state)), "{text}");
    }
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn nginx_wrapper_process_monitor_105_a_refused_reload_does_not_block_the_next() {
    let place = Place::new();
    place.nginx(1, "location / { return 200 one; }", "");
    let mut wrapper = place.run();
    wrapper.wait_for("event: [start-worker]");
    let conf = place.read("run/conf/nginx.conf");
    place.write("run/conf/nginx.conf", &conf.replace("return", "retrun"));
    let (code, text) = ask(&place, &["reload"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("retrun"), "{text}");
    place.write("run/conf/nginx.conf", &conf);
    let (code, text) = ask(&place, &["reload"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn horust_2_hup_reloads() {
    let place = Place::new();
    place.config(&main_script("trap 'echo again' HUP; echo up; while :; do sleep 0.05; done", ""));
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    wrapper.signal(Signal::SIGHUP);
    wrapper.wait_for("main: again");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn nginx_wrapper_coprocess_472_an_absent_stop_event_is_the_end() {
    let main = main_script("sleep 0.3", "");
    let (code, wrapper) =
        run_to_its_end(&(main + &script("a", "sleep 1000", "stop_exec = \"pwd\"")));
    assert_eq!(code, 0);
    // One word is a whole command, too.
    wrapper.wait_for("stop-a: /");
}

#[test]
fn supervisord_720_one_reload_that_tells_beforehand_and_touches_only_what_changed() {
    let place = Place::new();
    let main = main_script("while :; do sleep 0.05; done", "");
    let kept = script("kept", "sleep 1000", "");
    place.config(&format!("{main}{kept}{}", script("changed", "sleep 1000", "")));
    let mut wrapper = place.run();
    let kept_pid = wrapper.started("kept", 1);
    wrapper.started("changed", 1);
    place.config(&format!("{main}{kept}{}", script("changed", "sleep 1001", "")));
    let (code, text) = ask(&place, &["reload", "--config", "--plan"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("changed: restarts") && !text.contains("kept:"), "{text}");
    assert_eq!(wrapper.count("msg=\"changed: started"), 1, "a plan does nothing");
    let (code, text) = ask(&place, &["reload", "--config"]);
    assert_eq!(code, 0, "{text}");
    wrapper.started("changed", 2);
    assert!(alive(kept_pid));
    assert_eq!(wrapper.count("msg=\"kept: started"), 1);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn docker_nginx_509_a_file_that_changes_is_a_reload() {
    let place = Place::new();
    let watch = format!("watch = [\"{}\"]\nwatch_delay = \"50ms\"", place.at("watched"));
    std::fs::create_dir(place.at("watched")).unwrap();
    place.config(&main_script(
        "trap 'echo again' HUP; echo up; while :; do sleep 0.05; done",
        &watch,
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    place.write("watched/tls.crt", "new");
    wrapper.wait_for("main: again");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn dinit_115_a_coprocess_at_intervals() {
    let place = Place::new();
    let main = main_script("while :; do sleep 0.05; done", "");
    let timer = "restarts = \"never\"\nschedule = { every = \"1s\" }";
    place.config(&format!(
        "{main}[coprocess.tick]\nname = \"tick\"\nexec = \"echo tock\"\nbackground = true\n{timer}\n"
    ));
    let mut wrapper = place.run();
    wrapper.wait_for_nth("tick: tock", 2);
    assert_eq!(wrapper.stop(), 143);
}
