//! `coproc simulate`: the timeline, what it comes to, and the file of expectations; and that it is what
//! the real program does.

#[path = "support/snapshot.rs"]
mod snapshot;
mod support;

use std::path::Path;

use serde_json::Value;
use support::{Place, coprocess, eventually};

macro_rules! case {
    (fn $name:ident: [$($argument:expr),*] { $($file:literal: $text:expr),* }) => {
        #[test]
        fn $name() {
            let folder = snapshot::folder(&[$(($file, $text)),*]);
            let output = snapshot::coproc(folder.path(), &[$($argument),*], &[]);
            snapshot::assert(concat!("simulate__", stringify!($name)), &output.show());
        }
    };
}

const AGENT: &str = r#"
[main]
exec = ["server", "--port", "80"]

[coprocess.migrate]
name = "migrate"
exec = "migrate"
restarts = "never"
exec_event = "pre-start"

[coprocess.agent]
name = "agent"
exec = "agent"
stop_exec = "leave"
restarts = "2"
background = true
exec_event = "pre-start"
stop_event = "exit"
ready = { tcp = "127.0.0.1:8500", within = "30s" }
live = { tcp = "127.0.0.1:8500", interval = "10s" }
"#;

case!(fn main_fails: ["simulate", "--fail", "main@5s"] { "coproc.toml": AGENT });
case!(fn nothing_fails: ["simulate"] { "coproc.toml": AGENT });
case!(fn agent_is_never_ready: ["simulate", "--never-ready", "agent", "--for", "720h"] {
    "coproc.toml": AGENT
});
case!(fn agent_shows_no_life: ["simulate", "--unhealthy", "agent@1m", "--for", "3m"] {
    "coproc.toml": AGENT
});
case!(fn main_hangs: ["simulate", "--hang", "main", "--stop", "1s"] { "coproc.toml": AGENT });
case!(fn migration_is_missing: ["simulate", "--missing", "migrate"] { "coproc.toml": AGENT });
case!(fn boot_is_cancelled: ["simulate", "--runs", "migrate=1h", "--stop", "2s"] {
    "coproc.toml": AGENT
});
case!(fn second_signal_hurries: [
    "simulate", "--hang", "main", "--hang", "agent", "--signal", "TERM@1s", "--signal", "TERM@2s"
] { "coproc.toml": AGENT });
case!(fn without_a_process: ["simulate", "--fail", "migrate@5s"] { "coproc.toml": AGENT });
case!(fn reload_is_refused: [
    "simulate", "--reload", "1s", "--runs", "check=20ms:1", "--", "haproxy"
] { "coproc.toml": "[main]\ncheck = [\"haproxy\", \"-c\"]\n" });
case!(fn for_programs: ["simulate", "--exit", "main@1s", "--format", "json"] {
    "coproc.toml": "[main]\nexec = \"server\"\n"
});

case!(fn expectations_are_missed: ["simulate", "--fail", "main@5s:3", "--expect", "e.toml"] {
    "coproc.toml": AGENT,
    "e.toml": r#"
[[expect]]
exit = 1
within = "40s"

[[expect]]
exit = 3
within = "4s"

[[expect]]
cause = "signal"

[[expect]]
running = ["main", "migrate"]
at = "1s"

[[expect]]
states = { agent = "running" }
at = "6s"

[[expect]]
never = "coprocess.agent.stopped"

[[expect]]
event = "reload"

[[expect]]
event = "start"
times = 2

[[expect]]
order = ["start", "pre-start"]
"#
});
case!(fn expectation_of_two_things: ["simulate", "--expect", "e.toml"] {
    "coproc.toml": AGENT,
    "e.toml": "[[expect]]\nexit = 1\nnever = \"start\"\n"
});
case!(fn expectation_without_a_time: ["simulate", "--expect", "e.toml"] {
    "coproc.toml": AGENT,
    "e.toml": "[[expect]]\nrunning = [\"agent\"]\n"
});
case!(fn expectation_of_nobody: ["simulate", "--expect", "e.toml"] {
    "coproc.toml": AGENT,
    "e.toml": "[[expect]]\nnever = \"coprocess.agnet.failed\"\n"
});
case!(fn expectation_with_an_unknown_key: ["simulate", "--expect", "e.toml"] {
    "coproc.toml": AGENT,
    "e.toml": "[[expect]]\nexits = 1\n"
});
case!(fn nobody_of_that_name: ["simulate", "--fail", "agnet@5s"] { "coproc.toml": AGENT });
case!(fn no_time: ["simulate", "--fail", "agent"] { "coproc.toml": AGENT });
case!(fn wrong_time: ["simulate", "--fail", "agent@5x"] { "coproc.toml": AGENT });
case!(fn wrong_end: ["simulate", "--fail", "agent@5s:256"] { "coproc.toml": AGENT });
case!(fn ready_without_a_probe: ["simulate", "--never-ready", "migrate"] { "coproc.toml": AGENT });
case!(fn wrong_config: ["simulate"] { "coproc.toml": "[main]\nexec = []\n" });

#[test]
fn the_samples_come_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples/simulate");
    for file in ["expect-agent-dies.toml", "expect-never-ready.toml"] {
        let words = ["simulate", "-c", "coproc.toml", "--expect", file];
        let output = snapshot::coproc(&folder, &words, &[]);
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (Some(0), ""),
            "{file}: {}",
            output.stdout
        );
    }
}

/// The names of the events in what `coproc events` printed.
fn names(lines: &str) -> Vec<String> {
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

/// What the real program does with puppets, the simulation foretells: the same events in one order.
#[test]
fn the_real_program_does_the_same() {
    let place = Place::new();
    let puppet = support::puppet();
    let fails = format!("[{puppet:?}, \"fail-times\", \"2\", \"3\", \"{}\"]", place.at("count"));
    let one_shot =
        coprocess("setup", &format!("[{puppet:?}, \"exit\", \"0\"]"), "restarts = \"never\"");
    let agent = coprocess(
        "agent",
        &fails,
        "background = true\nrestarts = \"unlimited\"\ntime_between_restarts = \"150ms\"\n\
         exec_event = \"coprocess.setup.stopped\"\nstop_event = \"exit\"",
    );
    let after = coprocess(
        "after",
        "\"sleep 1000\"",
        "background = true\nrestarts = \"never\"\nexec_event = \"custom.go\"",
    );
    let text = format!("{one_shot}{agent}{after}");
    place.write(
        "coproc.toml",
        &format!("{}\n[main]\nexec = \"sleep 1000\"\n{text}", place.preamble()),
    );

    let mut wrapper = place.run();
    wrapper.started("agent", 3);
    assert!(place.coproc(&["emit", "go"]).status.success());
    wrapper.started("after", 1);
    let seen = || String::from_utf8(place.coproc(&["events"]).stdout).unwrap();
    eventually("the last event", || names(&seen()).contains(&"coprocess.after.ready".to_owned()));
    // What follows is written to the log, which is there to its end.
    wrapper.signal(nix::sys::signal::Signal::SIGTERM);
    let code = wrapper.wait();
    let real: Vec<_> = wrapper
        .lines()
        .iter()
        .filter_map(|line| line.split_once("msg=\"event: [")?.1.split_once("] triggered"))
        .map(|(name, _)| name.to_owned())
        .collect();

    let words = [
        "simulate",
        "--fail",
        "agent@100ms:3",
        "--fail",
        "agent@300ms:3",
        "--runs",
        "setup=10ms",
        "--emit",
        "go@1s",
        "--stop",
        "2s",
        "--format",
        "json",
    ];
    let output = place.coproc(&words);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let events = told["timeline"].as_array().unwrap().iter();
    let simulated: Vec<_> = events
        .filter(|entry| entry["who"] == "event")
        .map(|entry| entry["what"].as_str().unwrap().to_owned())
        .collect();
    // What comes at the same time of two processes has no order.
    let of = |all: &[String], name: &str| -> Vec<String> {
        let dotted = format!("coprocess.{name}.");
        all.iter().filter(|event| event.starts_with(&dotted)).cloned().collect()
    };
    for name in ["setup", "agent", "after"] {
        assert_eq!(of(&real, name), of(&simulated, name), "{name}");
    }
    let phases = |all: &[String]| -> Vec<String> {
        all.iter().filter(|event| !event.starts_with("coprocess.")).cloned().collect()
    };
    assert_eq!(phases(&real), phases(&simulated));
    let status = told["end"]["status"].as_i64();
    assert_eq!(status, Some(i64::from(code)));
}

/// Three of one, by their common name.
const THREE: &str = r#"
[main]
kind = "none"

[coprocess.worker]
name = "worker"
exec = "worker"
restarts = "never"
background = true
exec_event = "pre-start"
replicas = 3
"#;

case!(fn replicas_by_their_common_name: [
    "simulate", "--fail", "worker@1s", "--fail", "worker-2@0s", "--for", "2s", "--expect", "e.toml"
] {
    "coproc.toml": THREE,
    "e.toml": "[[expect]]\nevent = \"coprocess.worker.failed\"\ntimes = 3\nwithin = \"1s\"\n"
});
case!(fn expectations_that_cannot_be: ["simulate", "--expect", "e.toml"] {
    "coproc.toml": THREE,
    "e.toml": r#"
[[expect]]
exit = 143
event = "exit"

[[expect]]
exit = 1000

[[expect]]
cause = "signall"

[[expect]]
order = []

[[expect]]
running = []
at = "1s"

[[expect]]
states = { worker-1 = "runing" }
at = "1s"

[[expect]]
within = "1s"
"#
});
case!(fn expectations_of_nobody: ["simulate", "--expect", "e.toml"] {
    "coproc.toml": THREE,
    "e.toml": r#"
[[expect]]
running = ["main"]
at = "1s"

[[expect]]
never = "coprocess.nobody.ready"
"#
});
case!(fn a_signal_that_nobody_hears: ["simulate", "--signal", "KILL@3s"] { "coproc.toml": THREE });
