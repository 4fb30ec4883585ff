//! How coprocesses end: stop commands in file order, three bounded steps side by side, nothing left.

mod support;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Place, Wrapper, alive, coprocess, eventually, puppet, with_command_line};

const EV: &[(&str, &str)] = &[("F_EV", "1")];

fn background(name: &str, exec: &str, rest: &str) -> String {
    coprocess(name, exec, &format!("background = true\n{rest}"))
}

/// A time to sleep that no other test sleeps.
fn unique(n: u32) -> u32 {
    n * 10_000_000 + std::process::id()
}

/// HUP, and the reload that comes of it.
fn reload(wrapper: &Wrapper, n: usize) {
    wrapper.signal(Signal::SIGHUP);
    wrapper.wait_for_nth("event: [reload] ", n);
    wrapper.wait_for_nth("event: [start-worker] ", n + 1);
}

#[test]
fn a_file_that_never_comes_keeps_nobody_from_leaving() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let config = place.path().join("coproc.toml");
    std::fs::remove_file(&config).unwrap();
    nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut client = UnixStream::connect(place.at("run/control.sock")).unwrap();
    client.write_all(b"GET /v1/reconfigure/plan HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // There is a writer, who writes nothing, as soon as there is a reader.
    let mut writer = None;
    eventually("the config is read", || {
        let mut how = std::fs::OpenOptions::new();
        writer = how.write(true).custom_flags(libc::O_NONBLOCK).open(&config).ok();
        writer.is_some()
    });
    assert_eq!(wrapper.stop(), 0);
    drop(writer);
}

#[test]
fn w64_without_a_stop_event_it_is_stopped_at_the_exit() {
    let place = Place::new();
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", "stop_exec = \"echo bye\""));
    let pid = wrapper.started("a", 1);
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(pid));
    assert!(wrapper.position("event: [exit]") < wrapper.position("stop-a: runs"));
}

#[test]
fn w69_the_stop_command_comes_before_the_signal() {
    let place = Place::new();
    let rest = "stop_exec = \"echo bye\"\nstop_event = \"exit\"";
    let mut wrapper = place.up(&background("x", "\"sleep 1000\"", rest));
    assert_eq!(wrapper.stop(), 0);
    wrapper.wait_for("stop-x: bye");
    let ended = wrapper.position("stop-x: ended with exit status 0");
    assert!(ended < wrapper.position("x: sending TERM"));
    assert!(wrapper.position("x: sending TERM") < wrapper.position("x: ended with signal TERM"));
}

// D10 as well.
#[test]
fn w70_a_stop_command_of_one_word() {
    let place = Place::new();
    let mut wrapper = place.up(&background("x", "\"sleep 1000\"", "stop_exec = \"whoami\""));
    assert_eq!(wrapper.stop(), 0);
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    assert_eq!(wrapper.count(&format!("msg=\"stop-x: {me}\"")), 1, "{}", wrapper.dump());
}

// D16 as well.
#[test]
fn w71_a_stop_command_that_cannot_be_started() {
    let place = Place::new();
    let mut wrapper = place.up(&[
        background("a", "\"sleep 1000\"", "stop_exec = \"/no/such x\""),
        background("b", "\"sleep 1000\"", "stop_exec = \"echo later\""),
    ]
    .concat());
    let pids = [wrapper.started("a", 1), wrapper.started("b", 1)];
    assert_eq!(wrapper.stop(), 0);
    let line = wrapper.wait_for("stop-a: `/no/such` cannot be started");
    assert!(line.contains("level=error"), "{line}");
    wrapper.wait_for("stop-b: later");
    assert!(!pids.into_iter().any(alive));
}

// D17 as well: `stop_exec_timeout` ends it, with all that it started.
#[test]
fn w71_a_stop_command_that_hangs() {
    let place = Place::new();
    let rest = "stop_exec = [\"sh\", \"-c\", \"sleep 1000 & echo inner $!; wait\"]\n\
                stop_exec_timeout = \"300ms\"";
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", rest));
    let pid = wrapper.started("a", 1);
    assert_eq!(wrapper.stop(), 0);
    let line = wrapper.wait_for("stop-a: did not end within 300ms");
    assert!(line.contains("level=error"), "{line}");
    assert!(!alive(pid));
    let said = wrapper.said("stop-a");
    let inner = said.iter().find_map(|text| text.strip_prefix("inner ")).unwrap();
    assert!(!alive(inner.parse().unwrap()));
}

// D05 and D06 as well: each step ends with the process, and the last one cannot be ignored.
#[test]
fn w72_term_then_int_then_kill() {
    let place = Place::new();
    let ignoring = |signals: &str| format!("[\"{}\", \"ignore\", {signals}]", puppet());
    place.config(
        &[
            background("meek", "\"sleep 1000\"", ""),
            background("int", &ignoring("\"TERM\""), ""),
            background("kill", &ignoring("\"TERM\", \"INT\""), ""),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("int: ready");
    wrapper.wait_for("kill: ready");
    wrapper.wait_for(": up");
    wrapper.signal(Signal::SIGTERM);
    wrapper.wait_for("kill: sending TERM");
    let began = Instant::now();
    wrapper.wait_for("meek: ended with signal TERM");
    let meek = began.elapsed();
    wrapper.wait_for("int: ended by signal INT");
    let int = began.elapsed();
    wrapper.wait_for("kill: ended by signal KILL");
    let kill = began.elapsed();
    assert_eq!(wrapper.wait(), 0);
    let seconds = [meek, int, kill].map(|time| time.as_secs_f64());
    assert!(seconds[0] < 1.0, "{seconds:?}");
    assert!((4.9..6.5).contains(&seconds[1]), "{seconds:?}");
    assert!((9.8..11.5).contains(&seconds[2]), "{seconds:?}");
}

#[test]
fn w72_the_steps_last_as_long_as_stop_timeout_says() {
    let place = Place::new();
    let exec = format!("[\"{}\", \"ignore\", \"TERM\", \"INT\"]", puppet());
    place.config(&background("a", &exec, "stop_timeout = \"200ms\""));
    let mut wrapper = place.run();
    wrapper.wait_for("a: ready");
    wrapper.wait_for(": up");
    let began = Instant::now();
    assert_eq!(wrapper.stop(), 0);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    assert!(wrapper.position("a: sending INT") < wrapper.position("a: sending KILL"));
}

#[test]
fn w73_three_coprocesses_end_side_by_side() {
    let place = Place::new();
    let mut wrapper =
        place.up(&["a", "b", "c"].map(|name| background(name, "\"sleep 1000\"", "")).concat());
    let began = Instant::now();
    assert_eq!(wrapper.stop(), 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for name in ["a", "b", "c"] {
        assert!(!alive(wrapper.started(name, 1)));
    }
}

#[test]
fn w74_exec_event_equal_to_stop_event_in_the_foreground() {
    let place = Place::new();
    let rest = "restarts = \"4\"\ntime_between_restarts = \"300ms\"\n\
                exec_event = \"start\"\nstop_event = \"start\"";
    place.config(&coprocess("whoami", "\"whoami\"", rest));
    let mut wrapper = place.run_with(&[], EV);
    wrapper.wait_for("event: [start-worker]");
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let lines = wrapper.lines();
    let before = &lines[..wrapper.position("event: [start-worker]")];
    let ends = before.iter().filter(|line| line.contains("whoami: ended")).count();
    assert_eq!(ends, 5, "{lines:?}");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count(&format!("msg=\"whoami: {me}\"")), 5);
}

#[test]
fn w75_exec_event_equal_to_stop_event_in_the_background() {
    let place = Place::new();
    let rest = "restarts = \"4\"\nexec_event = \"start\"\nstop_event = \"start\"";
    place.config(&background("a", "\"sleep 50\"", rest));
    let mut wrapper = place.run_with(&[], EV);
    wrapper.wait_for("event: [start-worker]");
    assert!(!alive(wrapper.started("a", 1)), "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("msg=\"a: started"), 1);
}

// D07 and D09 as well: what was stopped can be started again, with its restarts.
#[test]
fn w76_started_anew_after_each_stop() {
    let place = Place::new();
    let rest = "restarts = 1\nexec_event = \"reload\"\nstop_event = \"pre-reload\"";
    place.config(&background("a", "\"sleep 1000\"", rest));
    let mut wrapper = place.run_with(&[], EV);
    wrapper.wait_for("event: [start-worker]");
    let mut pids = Vec::new();
    for n in 1..=3 {
        reload(&wrapper, n);
        pids.push(wrapper.started("a", n));
        assert!(pids[..n - 1].iter().all(|pid| !alive(*pid)), "{}", wrapper.dump());
        assert!(alive(pids[n - 1]), "{}", wrapper.dump());
    }
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(pids[2]));
    assert_eq!(wrapper.count("msg=\"a: started"), 3);
}

// D08 as well.
#[test]
fn w77_an_exec_event_that_comes_again_is_ignored() {
    let place = Place::new();
    let rest = "exec_event = \"reload\"\nstop_event = \"exit\"";
    place.config(&background("a", "\"sleep 60\"", rest));
    let mut wrapper = place.run_with(&[], EV);
    wrapper.wait_for("event: [start-worker]");
    for n in 1..=3 {
        reload(&wrapper, n);
    }
    assert_eq!(wrapper.count("a: [reload] ignored: it runs already"), 2);
    let pid = wrapper.started("a", 1);
    assert!(alive(pid));
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(pid));
    assert_eq!(wrapper.count("msg=\"a: started"), 1);
}

// D19 as well.
#[test]
fn w78_a_stop_event_that_never_came_leaves_nothing_behind() {
    let place = Place::new();
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", "stop_event = \"reload\""));
    let pid = wrapper.started("a", 1);
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(pid));
}

// D21 as well.
#[test]
fn w85_the_whole_group_is_stopped() {
    let place = Place::new();
    let exec = "[\"sh\", \"-c\", \"sleep 300 & echo inner $!; wait\"]";
    let mut wrapper = place.up(&background("a", exec, ""));
    let line = wrapper.wait_for("a: inner ");
    let inner = line.rsplit_once(' ').unwrap().1.trim_end_matches('"').parse().unwrap();
    assert!(alive(inner));
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(inner));
}

#[test]
fn w85_what_a_leader_leaves_behind_goes_with_it() {
    let place = Place::new();
    let exec = "[\"sh\", \"-c\", \"sleep 300 & echo inner $!\"]";
    let mut wrapper = place.up(&coprocess("a", exec, ""));
    let line = wrapper.wait_for("a: inner ");
    let inner = line.rsplit_once(' ').unwrap().1.trim_end_matches('"').parse().unwrap();
    eventually("the rest of the group is gone", || !alive(inner));
    assert_eq!(wrapper.stop(), 0);
}

/// The guide's example: what ended long ago still deregisters, before the agent is told to leave,
/// and both before anything is signalled.
#[test]
fn stop_commands_run_in_file_order_whatever_the_state() {
    let place = Place::new();
    let stop = |text: &str| {
        format!("stop_exec = [\"sh\", \"-c\", \"sleep 0.1; echo {text}\"]\nstop_event = \"exit\"")
    };
    let mut wrapper = place.up(&[
        coprocess("ended", "\"true\"", &stop("deregister")),
        background("agent", "\"sleep 1000\"", &stop("leave")),
        background("failed", "\"/no/such\"", &stop("tidy")),
        coprocess("never", "\"true\"", &format!("exec_event = \"custom.x\"\n{}", stop("last"))),
        background(
            "paused",
            "\"true\"",
            &format!("restarts = 1\ntime_between_restarts = \"1h\"\n{}", stop("pause")),
        ),
    ]
    .concat());
    wrapper.wait_for("paused: starts again in 1h");
    assert_eq!(wrapper.stop(), 0);
    let places = [
        "stop-ended: ended",
        "stop-agent: runs",
        "stop-agent: ended",
        "stop-failed: runs",
        "stop-failed: ended",
        "stop-never: runs",
        "stop-never: ended",
        "stop-paused: runs",
        "stop-paused: ended",
        "agent: sending TERM",
    ]
    .map(|text| wrapper.position(text));
    assert!(places.is_sorted(), "{}", wrapper.dump());
    for text in ["deregister", "leave", "tidy", "last", "pause"] {
        assert_eq!(wrapper.count(&format!(": {text}\"")), 1, "{}", wrapper.dump());
    }
    // Once its stop command has begun, nothing is started again.
    assert_eq!(wrapper.count("msg=\"paused: started"), 1);
}

#[test]
fn a_program_that_ends_on_its_stop_command_is_not_restarted() {
    let place = Place::new();
    let file = place.at("leave");
    let exec = format!("[\"sh\", \"-c\", \"until [ -e {file} ]; do sleep 0.02; done; echo left\"]");
    let stop = format!(
        "restarts = \"unlimited\"\nstop_exec = [\"sh\", \"-c\", \"touch {file}; sleep 0.5\"]"
    );
    let mut wrapper = place.up(&background("a", &exec, &stop));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("a: left"), 1);
    assert_eq!(wrapper.count("msg=\"a: started"), 1);
    assert_eq!(wrapper.count("a: sending"), 0, "it left by itself");
}

#[test]
fn shutdown_timeout_bounds_everything() {
    let place = Place::new();
    let mark = unique(1);
    let exec = format!("[\"{}\", \"ignore\", \"TERM\", \"INT\"]", puppet());
    place.write(
        "coproc.toml",
        &format!(
            "shutdown_timeout = \"700ms\"\n{}{}{}",
            place.preamble(),
            background("a", &exec, ""),
            background(
                "b",
                "\"sleep 1000\"",
                &format!("stop_exec = \"sleep {mark}\"\nstop_exec_timeout = \"1m\"")
            )
        ),
    );
    let check = place.coproc(&["check"]);
    let odd = String::from_utf8(check.stderr).unwrap();
    assert!(odd.starts_with("warning: shutdown_timeout: is 700ms, "), "{odd}");
    assert!(odd.contains("come to 1m: "), "{odd}");
    let mut wrapper = place.run();
    wrapper.wait_for("a: ready");
    wrapper.wait_for(": up");
    let pids = [wrapper.started("a", 1), wrapper.started("b", 1)];
    let began = Instant::now();
    wrapper.signal(Signal::SIGTERM);
    let running = || with_command_line(&format!("sleep {mark}"));
    eventually("the stop command runs", || !running().is_empty());
    assert_eq!(wrapper.wait(), 0, "the status is main's own: {}", wrapper.dump());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(4), "{took:?}");
    assert!(!pids.into_iter().any(alive));
    assert_eq!(running(), []);
}

/// What the config does not say shrinks, so that nobody is killed without having had his signals.
#[test]
fn the_time_of_a_stop_is_divided_among_all() {
    let place = Place::new();
    let mark = unique(3);
    let deaf = format!("[\"{}\", \"ignore\", \"TERM\", \"INT\"]", puppet());
    let last = "exec_event = \"exit\"\nrestarts = \"never\"";
    place.write(
        "coproc.toml",
        &format!(
            "shutdown_timeout = \"10s\"\n{}{}{}{}",
            place.preamble(),
            background("deaf", &deaf, ""),
            background("b", "\"sleep 1000\"", &format!("stop_exec = \"sleep {mark}\"")),
            coprocess("last", &format!("\"sleep {}\"", mark + 1), last),
        ),
    );
    let check = place.coproc(&["check"]);
    assert_eq!(String::from_utf8(check.stderr).unwrap(), "", "all of it fits");
    let mut wrapper = place.run();
    wrapper.wait_for("deaf: ready");
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    wrapper.wait_for("stop-b: did not end within");
    for (first, second) in [
        ("last: started", "stop-b: runs"),
        ("stop-b: did not end within", "deaf: sending TERM"),
        ("deaf: sending TERM", "deaf: sending INT"),
        ("deaf: sending INT", "deaf: sending KILL"),
        ("deaf: sending KILL", "deaf: ended by signal KILL"),
    ] {
        assert!(wrapper.position(first) < wrapper.position(second), "{}", wrapper.dump());
    }
    wrapper.wait_for("last: ended with signal TERM");
    assert_eq!(wrapper.count("shutdown_timeout is over"), 0, "{}", wrapper.dump());
}

// D20: a second request leaves nothing behind either.
#[test]
fn d20_a_second_term_kills_everything_first() {
    let place = Place::new();
    let mark = unique(2);
    let exec = format!("[\"{}\", \"ignore\", \"TERM\", \"INT\"]", puppet());
    place.config(
        &[
            background("a", &exec, ""),
            background("b", "\"sleep 1000\"", &format!("stop_exec = \"sleep {mark}\"")),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("a: ready");
    wrapper.wait_for(": up");
    let pids = [wrapper.started("a", 1), wrapper.started("b", 1)];
    wrapper.signal(Signal::SIGTERM);
    let running = || with_command_line(&format!("sleep {mark}"));
    eventually("the stop command runs", || !running().is_empty());
    assert_eq!(wrapper.stop(), 1);
    assert!(!pids.into_iter().any(alive));
    assert_eq!(running(), []);
}

#[test]
fn a_stop_event_other_than_exit_stops_at_that_event() {
    let place = Place::new();
    let file = place.at("go");
    let script = format!("until [ -e {file} ]; do sleep 0.02; done; echo bye");
    let rest = format!("stop_event = \"pre-reload\"\nstop_exec = [\"sh\", \"-c\", \"{script}\"]");
    place.config(&background("a", "\"sleep 1000\"", &rest));
    let mut wrapper = place.run_with(&[], EV);
    wrapper.wait_for("event: [start-worker]");
    let pid = wrapper.started("a", 1);
    wrapper.signal(Signal::SIGHUP);
    wrapper.wait_for("stop-a: runs");
    assert!(alive(pid), "the stop command comes first");
    place.write("go", "");
    wrapper.wait_for("event: [reload]");
    assert!(!alive(pid), "HUP went to main after the stop");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("stop-a: bye"), 1);
}

#[test]
fn a_stopped_program_is_continued_and_ended() {
    let place = Place::new();
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", ""));
    let pid = wrapper.started("a", 1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    eventually("it is stopped", || support::state(pid) == Some('T'));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("a: sending INT"), 0, "{}", wrapper.dump());
}

// D40: TERM cancels the boot.
#[test]
fn d40_term_during_the_boot_ends_it() {
    let place = Place::new();
    let mark = unique(3);
    place.config(
        &[
            background("early", "\"sleep 1000\"", "stop_exec = \"echo bye\""),
            coprocess("a", &format!("\"sleep {mark}\""), ""),
            coprocess("later", "\"touch ran\"", ""),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("msg=\"event: [coprocess.a.started]");
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
    assert_eq!(with_command_line(&format!("sleep {mark}")), []);
    assert!(!place.path().join("ran").exists());
    assert_eq!(wrapper.count("pm: started"), 0);
    wrapper.wait_for("stop-early: bye");
    assert_eq!(wrapper.phases(), ["pre-start", "exit"]);
}

// D12: a blank stop_event is told, and never drops a coprocess in silence.
#[test]
fn d12_a_blank_stop_event_is_told() {
    let place = Place::new();
    place.config(&background("a", "\"touch ran\"", "stop_event = \"\""));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 2);
    assert!(wrapper.stderr().contains("coprocess.a.stop_event"), "{}", wrapper.stderr());
    assert!(!place.path().join("ran").exists());
}

// D26: what cannot be started at the last events disturbs nobody.
#[test]
fn d26_failures_to_start_while_everything_ends() {
    let place = Place::new();
    let sections = ["exit-worker", "exit"].map(|event| {
        let rest = format!("exec_event = \"{event}\"\nrestarts = \"unlimited\"");
        coprocess(event, "\"/no/such\"", &format!("{rest}\nbackground = true"))
    });
    place.nginx(2, "return 200;", &sections.concat());
    let mut wrapper = place.run();
    wrapper.wait_for_nth("event: [start-worker]", 2);
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    wrapper.wait_for("exit-worker: `/no/such` cannot be started");
    wrapper.wait_for("exit: `/no/such` cannot be started");
}

#[test]
fn what_starts_at_the_exit_runs_to_its_end_or_is_stopped() {
    let place = Place::new();
    let mut wrapper = place.up(&[
        coprocess("last", "\"echo farewell\"", "exec_event = \"exit\""),
        background("stays", "\"sleep 1000\"", "exec_event = \"exit\""),
    ]
    .concat());
    assert_eq!(wrapper.stop(), 0);
    wrapper.wait_for("last: farewell");
    assert!(!alive(wrapper.started("stays", 1)));
}

/// The main process's own end takes the same way as a request to stop.
#[test]
fn coprocesses_are_stopped_when_main_ends_by_itself() {
    let place = Place::new();
    place.config(&background("a", "\"sleep 1000\"", "stop_exec = \"echo bye\""));
    let mut wrapper = place.run_with(&["--", "sh", "-c", "sleep 0.3; exit 5"], &[]);
    let pid = wrapper.started("a", 1);
    assert_eq!(wrapper.wait(), 5);
    wrapper.wait_for("stop-a: bye");
    assert!(!alive(pid));
}

/// The order that was given last counts.
#[test]
#[allow(clippy::disallowed_methods)]
fn a_start_during_the_stop_command_is_not_lost() {
    let place = Place::new();
    let stop_exec = format!("until test -e {}; do sleep 0.01; done", place.at("go"));
    let mut wrapper = place.up(&coprocess(
        "slow",
        "\"sleep 1000\"",
        &format!(
            "background = true\nexec_event = \"custom.up\"\n\
             stop_exec = [\"sh\", \"-c\", {stop_exec:?}]"
        ),
    ));
    assert!(place.coproc(&["emit", "up"]).status.success());
    let before = wrapper.started("slow", 1);
    let mut stopping = place.command(&["stop", "slow"]).spawn().unwrap();
    wrapper.wait_for("stop-slow: runs");
    assert!(place.coproc(&["emit", "up"]).status.success());
    wrapper.wait_for_nth("event: [custom.up]", 2);
    // One more round through the tree, behind the event.
    assert!(place.coproc(&["status"]).status.success());
    place.write("go", "");
    assert!(stopping.wait().unwrap().success());
    let after = wrapper.started("slow", 2);
    assert!(alive(after) && !alive(before));
    assert_eq!(wrapper.stop(), 0);
}

/// Signals that would end the runtime are the main process's affair.
#[test]
fn every_signal_that_can_be_passed_on_reaches_main() {
    for signal in ["VTALRM", "PROF", "XCPU", "SYS", "ABRT", "IO", "TRAP"] {
        let place = Place::new();
        place.config("[main]\nexec = \"sleep 1000\"\n");
        let mut wrapper = place.run();
        wrapper.wait_for("event: [start]");
        wrapper.signal(format!("SIG{signal}").parse().unwrap());
        let number = format!("SIG{signal}").parse::<Signal>().unwrap() as i32;
        assert_eq!(wrapper.wait(), 128 + number, "{signal}: {}", wrapper.dump());
        assert!(wrapper.count("[exit]") == 1, "{}", wrapper.dump());
    }
}

#[test]
fn a_main_process_that_ends_by_the_signal_it_was_sent_is_no_error() {
    let place = Place::new();
    place.config("[main]\nexec = [\"sh\", \"-c\", \"echo up; exec sleep 1000\"]\n");
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    assert_eq!(wrapper.stop(), 143);
    let lines = wrapper.lines();
    let told = lines.iter().find(|line| line.contains("ended with signal TERM"));
    assert!(told.is_some_and(|line| line.contains("level=info")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("level=error")), "{lines:#?}");
}
