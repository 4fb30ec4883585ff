//! `coproc why`: the reason of every state of a running wrapper, and the origin of a setting.

mod support;

use serde_json::{Value, json};
use support::{Place, Wrapper, coprocess, eventually, free_port};

fn background(name: &str, exec: &str, rest: &str) -> String {
    coprocess(name, exec, &format!("background = true\n{rest}"))
}

/// What a command answers; it has to succeed.
#[track_caller]
fn ask(place: &Place, words: &[&str]) -> String {
    let output = place.coproc(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// One process of the answer for programs.
#[track_caller]
fn of(place: &Place, name: &str) -> Value {
    let answer: Value =
        serde_json::from_str(&ask(place, &["why", name, "--format", "json"])).unwrap();
    let processes = answer["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "{answer}");
    processes[0].clone()
}

#[test]
fn all_is_as_wanted_and_says_so() {
    let place = Place::new();
    let agent = background("agent", "\"sleep 1000\"", "restarts = \"unlimited\"");
    let backup = background("backup", "\"true\"", "exec_event = \"custom.backup\"");
    let mut wrapper = place.serving(&format!("{agent}{backup}"));
    assert_eq!(ask(&place, &["why"]), "all is as wanted\n");
    let agent = ask(&place, &["why", "agent"]);
    assert!(agent.starts_with("agent: running: runs for "), "{agent}");
    assert!(agent.ends_with(", started by the event pre-start\n"), "{agent}");
    assert_eq!(ask(&place, &["why", "backup"]), "backup: waiting: waits for custom.backup\n");
    let main = of(&place, "main");
    assert_eq!((&main["reason"], &main["as_wanted"]), (&json!("runs"), &json!(true)));
    let refused = place.coproc(&["why", "nobody"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_probe_tells_its_last_answer_and_its_next_try() {
    let place = Place::new();
    let port = free_port();
    let ready =
        format!("ready = {{ tcp = \"127.0.0.1:{port}\", interval = \"1h\", within = \"2h\" }}");
    let after = background("after", "\"true\"", "exec_event = \"coprocess.agent.ready\"");
    let mut wrapper =
        place.serving(&format!("{}{after}", background("agent", "\"sleep 1000\"", &ready)));
    eventually("one try was made", || of(&place, "agent")["heard"]["tries"] == 1);
    let agent = of(&place, "agent");
    assert_eq!((&agent["reason"], &agent["as_wanted"]), (&json!("not-ready"), &json!(false)));
    let heard = &agent["heard"];
    assert!(heard["probe"].as_str().unwrap().contains(&port.to_string()), "{agent}");
    assert!(heard["answer"].as_str().unwrap().contains("refused"), "{agent}");
    let next = heard["next_s"].as_f64().unwrap();
    assert!(next > 3000.0 && next <= 3600.0, "{agent}");
    let left = agent["left_s"].as_f64().unwrap();
    assert!(left > 6000.0 && left <= 7200.0, "{agent}");
    let all = ask(&place, &["why"]);
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines.len(), 2, "{all}");
    assert!(lines[0].starts_with("agent: starting: not ready after "), "{all}");
    assert!(lines[0].contains("try 1, next in 59m "), "{all}");
    let waits = "after: waiting: waits for coprocess.agent.ready: agent is not ready after ";
    assert!(lines[1].starts_with(waits), "{all}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn pauses_ends_and_failures_name_the_exit() {
    let place = Place::new();
    let exits = "[\"sh\", \"-c\", \"exit 3\"]";
    let config = [
        background("slow", exits, "restarts = 4\ntime_between_restarts = \"1h\""),
        background("flaky", exits, "restarts = 1"),
        background("missing", "\"no-such-program-anywhere\"", ""),
        background("done", "\"true\"", ""),
    ];
    let mut wrapper = place.serving(&config.concat());
    wrapper.wait_for("slow: starts again");
    wrapper.wait_for("event: [coprocess.flaky.failed]");
    wrapper.wait_for("event: [coprocess.missing.failed]");
    wrapper.wait_for("event: [coprocess.done.stopped]");
    let slow = of(&place, "slow");
    assert_eq!((&slow["reason"], &slow["end"]), (&json!("pauses"), &json!({ "code": 3 })));
    assert!(slow["left_s"].as_f64().unwrap() > 3000.0, "{slow}");
    let all = ask(&place, &["why"]);
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    let after = ", after its last run ended with exit status 3; 0 of 4 restarts are used";
    assert!(lines[0].starts_with("slow: backoff: starts again in 59m "), "{all}");
    assert!(lines[0].ends_with(after), "{all}");
    assert_eq!(
        lines[1..],
        [
            "flaky: failed: given up: its last run ended with exit status 3, and all its restarts \
             (1) are used",
            "missing: failed: given up: its last run failed: the program was not found, and its \
             policy is to start it once",
        ]
    );
    let done = "done: stopped: its last run ended with exit status 0; none is to follow\n";
    assert_eq!(ask(&place, &["why", "done"]), done);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn who_stopped_it_is_named() {
    let place = Place::new();
    let stubborn =
        "[\"sh\", \"-c\", \"trap '' TERM INT; echo deaf; while :; do sleep 1000; done\"]";
    let config = [
        background("agent", "\"sleep 1000\"", ""),
        background("other", "\"sleep 1000\"", "stop_event = \"custom.enough\""),
        background("deaf", stubborn, "stop_timeout = \"2h\""),
    ];
    let wrapper = place.serving(&config.concat());
    wrapper.wait_for("deaf: deaf");
    ask(&place, &["stop", "agent"]);
    let agent = of(&place, "agent");
    assert_eq!(
        (&agent["reason"], &agent["by"]),
        (&json!("stopped"), &json!({ "command": "stop" }))
    );
    assert!(agent["sentence"].as_str().unwrap().starts_with("stopped by `coproc stop`, "));
    ask(&place, &["emit", "enough"]);
    eventually("the event stopped it", || of(&place, "other")["state"] == "stopped");
    assert_eq!(of(&place, "other")["by"], json!({ "event": "custom.enough" }));
    ask(&place, &["start", "agent"]);
    assert_eq!(of(&place, "agent")["by"], json!({ "command": "start" }));
    let _restart = Wrapper::start(place.command(&["restart", "deaf"]));
    eventually("it was sent TERM", || of(&place, "deaf")["reason"] == "stopping");
    let deaf = of(&place, "deaf");
    assert_eq!((&deaf["signal"], &deaf["again"]), (&json!("TERM"), &json!(true)));
    assert!(deaf["left_s"].as_f64().unwrap() > 7000.0, "{deaf}");
    let sentence = deaf["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("was sent TERM, stopped by `coproc restart`; INT follows in 1h"));
}

#[test]
fn a_held_event_names_who_holds_it() {
    let place = Place::new();
    place.config(
        &[coprocess("migrate", "\"sleep 1000\"", ""), background("agent", "\"sleep 1000\"", "")]
            .concat(),
    );
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.started("migrate", 1);
    eventually("it runs", || of(&place, "migrate")["reason"] == "runs");
    let migrate = of(&place, "migrate");
    assert_eq!(migrate["holds"], json!(["pre-start"]));
    assert!(migrate["sentence"].as_str().unwrap().ends_with("; pre-start waits for it to end"));
    let all = ask(&place, &["why"]);
    let held = ": pre-start is held by migrate, for ";
    assert!(
        all.starts_with(&format!("main: waiting: waits for the end of pre-start{held}")),
        "{all}"
    );
    assert!(all.contains(&format!("\nagent: waiting: waits for pre-start{held}")), "{all}");
    ask(&place, &["background", "migrate"]);
    wrapper.wait_for(": up");
    eventually("all is well", || ask(&place, &["why"]) == "all is as wanted\n");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_main_process_that_is_being_stopped_says_why() {
    let place = Place::new();
    let deaf = "trap '' TERM; echo deaf; while :; do sleep 1000; done";
    let text = format!("[main]\nexec = [\"sh\", \"-c\", \"{deaf}\"]\nstop_timeout = \"20s\"\n");
    place.config(&text);
    let mut wrapper = place.run();
    wrapper.wait_for("main: deaf");
    wrapper.signal(nix::sys::signal::Signal::SIGTERM);
    wrapper.wait_for("stopping ");
    let all = ask(&place, &["why"]);
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines[0], "coproc: leaving: the wrapper was sent TERM", "{all}");
    assert!(lines[1].starts_with("main: stopping: was sent TERM, KILL follows in "), "{all}");
    assert_eq!(of(&place, "main")["signal"], "TERM");
    wrapper.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(wrapper.wait(), 1);
}

#[test]
fn a_key_tells_who_said_its_value() {
    let place = Place::new();
    place.config("formatter_name = \"json\"\n");
    let told = ask(&place, &["why", "log.level", "--set", "log.level=error"]);
    assert!(told.starts_with("log.level: error  (--set"), "{told}");
    assert!(told.contains("overriding DEBUG from "), "{told}");
    // A key without a dot is one as well, unless a coprocess has its name.
    let told = ask(&place, &["why", "shutdown_timeout"]);
    assert_eq!(told, "shutdown_timeout: 30s  (default)\n");
    let json = ask(&place, &["why", "log.formatter_name", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["values"]["log.formatter_name"]["value"], "json");
    assert_eq!(json["values"].as_object().unwrap().len(), 1);
    let nothing = place.coproc(&["why", "log.colour"]);
    assert_eq!(nothing.status.code(), Some(1));
    let stderr = String::from_utf8(nothing.stderr).unwrap();
    assert!(stderr.starts_with("error: the config says nothing at `log.colour`"), "{stderr}");
}
