//! What a coprocess's table says is what its program does: order, policy, surroundings, failures.

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Place, Wrapper, alive, coprocess, eventually, is_root};

const SIX: [&str; 6] = ["f", "b", "e", "a", "d", "c"];

/// Runs six coprocesses twenty times; a main process that ends at once ends the wrapper.
fn file_order(place: &Place, file: &str) {
    for _ in 0..20 {
        let mut wrapper = place.run_with(&["-c", file, "--", "true"], &[]);
        assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
        let lines = wrapper.lines();
        let order: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_once(": hi-"))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(order, SIX.map(|name| format!("{name}\"")));
    }
}

// D01 as well: the order never changes from run to run.
#[test]
fn w54_file_order_in_toml() {
    let place = Place::new();
    place.config(&SIX.map(|name| coprocess(name, &format!("\"echo hi-{name}\""), "")).concat());
    file_order(&place, "coproc.toml");
}

#[test]
fn w54_file_order_in_json() {
    let place = Place::new();
    let sections = SIX.map(|name| {
        format!(
            r#""{name}": {{"name": "{name}", "exec": ["echo", "hi-{name}"], "restarts": "never",
                "exec_event": "pre-start"}}"#
        )
    });
    place.write(
        "c.json",
        &format!(
            r#"{{"run_path": "{}", "coprocess": {{{}}}}}"#,
            place.at("run"),
            sections.join(",")
        ),
    );
    file_order(&place, "c.json");
}

#[test]
fn w54_file_order_in_yaml() {
    let place = Place::new();
    let sections = SIX.map(|name| {
        format!(
            "  {name}:\n    name: {name}\n    exec: [echo, hi-{name}]\n    restarts: never\n    \
             exec_event: pre-start\n"
        )
    });
    place.write(
        "c.yaml",
        &format!("run_path: {}\ncoprocess:\n{}", place.at("run"), sections.concat()),
    );
    file_order(&place, "c.yaml");
}

#[test]
fn w55_the_main_process_waits_for_a_foreground_coprocess() {
    let place = Place::new();
    place.config(&coprocess("a", "\"sleep 2\"", ""));
    let began = Instant::now();
    let mut wrapper = place.run();
    wrapper.wait_for(": up");
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(wrapper.position("a: ended with exit status 0") < wrapper.position("pm: started"));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w56_a_string_is_split_and_a_list_taken_word_by_word() {
    let place = Place::new();
    place.config(
        &[
            coprocess("text", "\"echo  a   b\"", ""),
            coprocess("list", "[\"echo\", \"a\", \"b\"]", ""),
            coprocess("quoted", "\"echo 'a   b' \\\"c  d\\\"\"", ""),
            coprocess("element", "[\"echo\", \"a   b\"]", ""),
        ]
        .concat(),
    );
    let mut wrapper = place.run_with(&["--", "true"], &[]);
    assert_eq!(wrapper.wait(), 0);
    for (name, text) in
        [("text", "a b"), ("list", "a b"), ("quoted", "a   b c  d"), ("element", "a   b")]
    {
        assert_eq!(wrapper.count(&format!("msg=\"{name}: {text}\"")), 1, "{}", wrapper.dump());
    }
}

// D24 as well: both of the guide's own forms are booleans.
#[test]
fn w57_background_as_text() {
    let place = Place::new();
    let mut wrapper = place.up(&[
        coprocess("fore", "\"sleep 0.5\"", "background = \"false\""),
        coprocess("back", "\"sleep 1000\"", "background = \"true\""),
    ]
    .concat());
    assert!(wrapper.position("fore: ended") < wrapper.position("back: started"));
    assert!(alive(wrapper.started("back", 1)), "main did not wait for it");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w57_other_words_and_numbers_are_no_booleans() {
    for value in ["\"yes\"", "1", "\"on\""] {
        let place = Place::new();
        place.config(&coprocess("a", "\"touch ran\"", &format!("background = {value}")));
        let mut wrapper = place.run();
        assert_eq!(wrapper.wait(), 2, "{value}");
        assert!(wrapper.stderr().contains("coprocess.a.background"), "{}", wrapper.dump());
        assert!(!place.path().join("ran").exists());
    }
}

#[test]
fn w58_the_number_of_restarts() {
    let place = Place::new();
    let mut wrapper = place.up(&[
        coprocess("a", "\"echo hi\"", "restarts = \"2\""),
        coprocess("b", "\"echo hi\"", "restarts = 2"),
        coprocess("c", "\"echo hi\"", "restarts = \"never\""),
        coprocess("d", "\"echo hi\"", "restarts = \"0\""),
    ]
    .concat());
    assert_eq!(wrapper.stop(), 0);
    let runs = ["a", "b", "c", "d"].map(|name| wrapper.count(&format!("msg=\"{name}: hi\"")));
    assert_eq!(runs, [3, 3, 1, 1], "{}", wrapper.dump());
}

#[test]
fn w59_unlimited_restarts_end_with_the_wrapper() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\nbackground = true";
    place.config(&coprocess("a", "\"sleep 0.3\"", rest));
    let mut wrapper = place.run();
    wrapper.started("a", 3);
    assert_eq!(wrapper.stop(), 0);
    let lines = wrapper.lines();
    // One pause may have ended at that very moment.
    let after = &lines[wrapper.position("shutting down")..];
    let late = after.iter().filter(|line| line.contains("msg=\"a: started")).count();
    assert!(late <= 1, "{}", wrapper.dump());
    for n in 1..=wrapper.count("msg=\"a: started") {
        assert!(!alive(wrapper.started("a", n)));
    }
}

// D23 as well: nothing is rounded to whole seconds.
#[test]
fn w60_the_pause_between_restarts() {
    let place = Place::new();
    let rest = "restarts = \"2\"\ntime_between_restarts = \"1500ms\"";
    place.config(&coprocess("a", "\"date +at-%s%N\"", rest));
    let mut wrapper = place.run_with(&["--", "true"], &[]);
    assert_eq!(wrapper.wait(), 0);
    let times: Vec<u64> = wrapper
        .said("a")
        .iter()
        .filter_map(|text| text.strip_prefix("at-")?.parse().ok())
        .map(|nanos: u64| nanos / 1_000_000)
        .collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 2, "{}", wrapper.dump());
    assert!(gaps.iter().all(|gap| *gap >= 1500), "{gaps:?}");
    assert!(gaps.iter().min().unwrap() < &1800, "{gaps:?}");
}

#[test]
fn w60_a_pause_can_be_interrupted() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\ntime_between_restarts = \"1h\"\nbackground = true";
    place.config(&coprocess("a", "\"true\"", rest));
    let mut wrapper = place.run();
    wrapper.wait_for("a: starts again in 1h");
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("msg=\"a: started"), 1);
}

#[test]
fn w61_run_refuses_what_is_no_duration() {
    let place = Place::new();
    let bad = coprocess("a", "\"touch ran\"", "time_between_restarts = \"1d\"");
    place.config(&[coprocess("good", "\"touch ran\"", ""), bad].concat());
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 2);
    let report = wrapper.stderr();
    assert!(report.contains("coprocess.a.time_between_restarts"), "{report}");
    assert!(report.contains("1d"), "{report}");
    assert!(!place.path().join("ran").exists());
}

#[test]
fn w62_run_tells_all_that_is_wrong_and_starts_nothing() {
    let place = Place::new();
    place.config(&format!(
        "[coprocess.bad]\nname = \"\"\nexec = []\nrestarts = \"often\"\n\
         time_between_restarts = \"soon\"\nexec_event = \"x\"\nstop_event = \"y\"\n{}",
        coprocess("good", "\"touch ran\"", "")
    ));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 2);
    let report = wrapper.stderr();
    let keys = ["name", "exec", "restarts", "time_between_restarts", "exec_event", "stop_event"];
    for key in keys {
        assert!(report.contains(&format!("coprocess.bad.{key}")), "{key}: {report}");
    }
    assert!(!report.contains("coprocess.good"), "{report}");
    assert!(!place.path().join("ran").exists());
}

// D11 as well.
#[test]
fn w63_run_refuses_missing_and_huge_restarts() {
    let place = Place::new();
    place.config(
        "[coprocess.a]\nname = \"a\"\nexec = \"touch ran\"\nexec_event = \"pre-start\"\n\
         [coprocess.b]\nname = \"b\"\nexec = \"touch ran\"\nexec_event = \"pre-start\"\n\
         restarts = \"99999999999999999999\"\n",
    );
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 2);
    let report = wrapper.stderr();
    assert!(report.contains("coprocess.a"), "{report}");
    assert!(report.contains("coprocess.b.restarts"), "{report}");
    assert!(!place.path().join("ran").exists());
}

fn debug_value(place: &Place, key: &str) -> String {
    let output = place.coproc(&["debug", "--format", "json"]);
    let debug: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    match &debug["values"][key]["value"] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn w65_every_name_has_debugs_value() {
    let place = Place::new();
    let names = ["host_id", "modules_path", "nginx_binary", "plugin_path", "run_path"];
    let names = [&names[..], &["vcpu_count", "last_reload_time", "wrapper_pid"]].concat();
    let words: Vec<_> = names.iter().map(|name| format!("\"{name}=<${{{name}}}>\"")).collect();
    let exec = format!("[\"echo\", {}, \"<${{HOSTNAME}}>\", \"${{nope}}\"]", words.join(", "));
    place.config(&coprocess("a", &exec, ""));
    let mut wrapper = place.run_with(&[], &[("HOSTNAME", "some-host")]);
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0);
    let line = wrapper.wait_for("a: host_id=");
    for name in &names[..6] {
        let expected = format!("{name}=<{}>", debug_value(&place, name));
        assert!(line.contains(&expected), "{expected} is not in {line}");
    }
    assert!(line.contains("last_reload_time=<not reloaded>"), "{line}");
    assert!(line.contains(&format!("wrapper_pid=<{}>", wrapper.pid())), "{line}");
    assert!(line.contains("<some-host> ${nope}"), "{line}");
}

// D25: the time of the latest reload is known to commands.
#[test]
fn w65_last_reload_time_is_that_of_each_exec() {
    let place = Place::new();
    let exec = "[\"echo\", \"${last_reload_time}\"]";
    place.config(
        &[
            coprocess("before", exec, ""),
            coprocess("after", exec, "exec_event = \"reload\"\nbackground = true"),
        ]
        .concat(),
    );
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for("[start-worker]");
    wrapper.wait_for("before: not reloaded");
    wrapper.signal(Signal::SIGHUP);
    wrapper.wait_for("after: 20");
    assert_eq!(wrapper.stop(), 0);
    let said = wrapper.said("after");
    assert!(said.iter().any(|text| text.ends_with("+0000 UTC")), "{said:?}");
}

#[test]
fn w66_inserted_text_is_not_read_again_and_own_names_win() {
    let place = Place::new();
    place.config(&coprocess("a", "[\"echo\", \"${A} ${host_id}\"]", ""));
    let mut wrapper = place.run_with(&[], &[("A", "${B}"), ("B", "x"), ("host_id", "zz")]);
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0);
    wrapper.wait_for(&format!("msg=\"a: ${{B}} {}\"", debug_value(&place, "host_id")));
}

#[test]
fn w68_an_unknown_user_in_the_background_is_told() {
    let place = Place::new();
    let mut wrapper =
        place.up(&coprocess("a", "\"true\"", "user = \"no-such-user\"\nbackground = true"));
    let line = wrapper.wait_for("a: `true` cannot be started");
    assert!(line.contains("level=error") && line.contains("no-such-user"), "{line}");
    assert_eq!(wrapper.stop(), 0);
}

/// A boot that is given up: with status 1, a reason on stderr, and no main process.
fn given_up(mut wrapper: Wrapper, reason: &str) {
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    assert!(wrapper.stderr().contains(reason), "{}", wrapper.dump());
    assert_eq!(wrapper.count("pm: started"), 0, "{}", wrapper.dump());
}

#[test]
fn w68_an_unknown_user_in_the_foreground_ends_the_boot() {
    let place = Place::new();
    place.config(&coprocess("a", "\"true\"", "user = \"no-such-user\""));
    given_up(place.run(), "the boot is given up: a: `true` cannot be started");
}

// D38 as well: no failing coprocess takes main or the wrapper with it once main runs.
#[test]
fn w79_no_such_program_in_the_foreground_before_the_start() {
    let place = Place::new();
    place.config(
        &[
            coprocess("early", "\"sleep 1000\"", "background = true"),
            // Decision: even under `unlimited`.
            coprocess("a", "\"/no/such\"", "restarts = \"unlimited\""),
            coprocess("late", "\"touch ran\"", ""),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    let early = wrapper.started("early", 1);
    wrapper.wait();
    assert!(!alive(early));
    assert!(!place.path().join("ran").exists());
    given_up(wrapper, "the boot is given up: a: `/no/such` cannot be started: ");
}

#[test]
fn w79_no_such_program_at_the_start_or_in_the_background() {
    let place = Place::new();
    place.config(
        &[
            coprocess("back", "\"/no/such\"", "background = true"),
            coprocess("start", "\"/no/such\"", "exec_event = \"start\""),
            coprocess("next", "\"echo on\"", "exec_event = \"start-worker\""),
        ]
        .concat(),
    );
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for("next: on");
    for name in ["back", "start"] {
        let line = wrapper.wait_for(&format!("{name}: `/no/such` cannot be started"));
        assert!(line.contains("level=error"), "{line}");
    }
    assert_eq!(wrapper.stop(), 0);
}

// D15: what cannot be started is tried again, with a pause.
#[test]
fn w79_what_cannot_be_started_is_tried_again() {
    let place = Place::new();
    let program = place.at("later");
    let rest = "restarts = \"unlimited\"\nbackground = true";
    place.config(&coprocess("a", &format!("\"{program}\""), rest));
    let mut wrapper = place.run();
    wrapper.wait_for_nth("cannot be started", 2);
    place.write("later.new", "#!/bin/sh\necho there now\nexec sleep 1000\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.at("later.new"), executable).unwrap();
    std::fs::rename(place.at("later.new"), &program).unwrap();
    wrapper.wait_for("a: there now");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w80_a_failing_program_before_the_start_is_no_obstacle() {
    let place = Place::new();
    let mut wrapper = place.up(&coprocess("a", "[\"sh\", \"-c\", \"exit 7\"]", ""));
    let line = wrapper.wait_for("a: ended with exit status 7");
    assert!(line.contains("level=info"), "{line}");
    assert_eq!(wrapper.stop(), 0);
}

// D04 as well: the last lines of a program are never lost.
#[test]
fn w81_no_line_is_lost() {
    let place = Place::new();
    place.config(&coprocess("a", "\"echo hi\"", "restarts = 199"));
    let mut wrapper = place.run_with(&["--", "true"], &[]);
    assert_eq!(wrapper.wait(), 0);
    assert_eq!(wrapper.count("msg=\"a: hi\""), 200);
}

// D02 as well: both streams are read at once.
#[test]
fn w82_stderr_is_read_while_stdout_is_open() {
    let place = Place::new();
    let file = place.at("done");
    let exec = format!("[\"{}\", \"stderr-then-touch\", \"5000\", \"{file}\"]", support::puppet());
    place.config(&coprocess("a", &exec, "background = true"));
    let mut wrapper = place.run();
    eventually("the file is there", || place.path().join("done").exists());
    wrapper.wait_for_nth("a: line ", 5000);
    assert!(alive(wrapper.started("a", 1)));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("a: line "), 5000);
}

// D03: a line of any length neither stops the reading nor the program.
#[test]
fn d03_a_very_long_line_does_not_stop_the_reading() {
    let place = Place::new();
    let exec = format!("[\"{}\", \"long-line\", \"1048576\"]", support::puppet());
    place.config(&coprocess("a", &exec, "background = true"));
    let mut wrapper = place.run();
    wrapper.wait_for("a: after");
    assert_eq!(wrapper.stop(), 0);
    let bytes: usize = wrapper.said("a").iter().map(|text| text.matches('x').count()).sum();
    assert!(bytes >= 65536, "{bytes} bytes of the line came through");
}

/// Seconds of CPU that a process has used so far.
fn cpu(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

// D18 as well.
#[test]
fn w83_a_program_that_cannot_live_makes_no_storm() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\nbackground = true";
    let mut wrapper = place.up(&coprocess("a", "\"true\"", rest));
    let before = (Instant::now(), wrapper.count("msg=\"a: started"));
    wrapper.wait_for_nth("msg=\"a: started", before.1 + 20);
    let (seconds, pid) = (before.0.elapsed().as_secs_f64(), wrapper.pid());
    assert!(seconds >= 1.8, "20 restarts within {seconds} s");
    let used: f64 = support::children(pid).into_iter().chain([pid]).map(cpu).sum();
    assert!(used < seconds / 2.0, "{used} s of CPU in {seconds} s");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn backoff_grows_up_to_its_bound() {
    let place = Place::new();
    let rest = "restarts = 4\nbackground = true\n\
                backoff = { initial = \"100ms\", max = \"400ms\", factor = 2 }";
    place.config(&coprocess("a", "[\"sh\", \"-c\", \"date +at-%s%N; exit 1\"]", rest));
    let mut wrapper = place.run();
    wrapper.wait_for("a: gave up after 4 restarts");
    assert_eq!(wrapper.stop(), 0);
    let times: Vec<u64> = wrapper
        .said("a")
        .iter()
        .filter_map(|text| text.strip_prefix("at-")?.parse().ok())
        .map(|nanos: u64| nanos / 1_000_000)
        .collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, least) in gaps.iter().zip([100, 200, 400, 400]) {
        assert!(*gap >= least, "{gaps:?}");
    }
    assert_eq!(gaps.len(), 4);
    let pauses: Vec<_> =
        wrapper.said("a").into_iter().filter(|text| text.starts_with("starts again")).collect();
    // Jitter adds a quarter at most.
    let longest = pauses.iter().filter_map(|text| {
        let ms = text.split_once("again in ")?.1.split_once("ms")?.0;
        ms.parse::<u64>().ok()
    });
    assert!(longest.max().unwrap() <= 500, "{pauses:?}");
}

#[test]
fn restart_limit_gives_up_what_is_restarted_too_often() {
    let place = Place::new();
    let rest = "restarts = \"unlimited\"\nbackground = true\n\
                restart_limit = { count = 3, window = \"10m\" }";
    place.config(&coprocess("a", "\"true\"", rest));
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.failed]");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("msg=\"a: started"), 4, "{}", wrapper.dump());
}

#[test]
fn on_give_up_shutdown_leaves_with_the_culprits_code() {
    let place = Place::new();
    let rest = "restarts = 1\nbackground = true\non_give_up = \"shutdown\"";
    place.config(
        &[
            coprocess("other", "\"sleep 1000\"", "background = true"),
            coprocess("a", "[\"sh\", \"-c\", \"exit 9\"]", rest),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    let other = wrapper.started("other", 1);
    assert_eq!(wrapper.wait(), 9, "{}", wrapper.dump());
    assert_eq!(wrapper.count("msg=\"a: started"), 2);
    assert!(!alive(other));
}

#[test]
fn success_exit_codes_are_no_reason_to_shut_down() {
    let place = Place::new();
    let rest = "background = true\non_give_up = \"shutdown\"\nsuccess_exit_codes = [0, 3]";
    place.config(&coprocess("a", "[\"sh\", \"-c\", \"exit 3\"]", rest));
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.stopped]");
    wrapper.wait_for(": up");
    assert_eq!(wrapper.count("gave up"), 0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn on_give_up_counts_for_never_with_a_failing_status_too() {
    let place = Place::new();
    let rest = "exec_event = \"start\"\non_give_up = \"shutdown\"";
    place.config(&coprocess("a", "[\"sh\", \"-c\", \"kill -KILL $$\"]", rest));
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    assert_eq!(wrapper.wait(), 137, "{}", wrapper.dump());
}

// D33: a foreground coprocess on `start` holds events, not the reading of main's output.
#[test]
fn d33_holding_an_event_does_not_hold_the_reading() {
    let place = Place::new();
    place.config(&coprocess("a", "\"sleep 1000\"", "exec_event = \"start\""));
    let text: String =
        (0..5000).map(|n| format!("line {n} of forty bytes, more or less\n")).collect();
    place.write("lines", &text);
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_PRINT", &place.at("lines"))]);
    let a = wrapper.started("a", 1);
    wrapper.wait_for("line 4999 of forty bytes");
    assert_eq!(wrapper.count("event: [start-worker]"), 0, "it waits for the coprocess");
    assert!(alive(a));
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(a));
}

#[test]
fn events_of_other_coprocesses_start_coprocesses() {
    let place = Place::new();
    place.config(
        &[
            coprocess("last", "\"echo third\"", "exec_event = \"coprocess.second.exited\""),
            coprocess("second", "\"echo second\"", "exec_event = \"coprocess.first.started\""),
            coprocess("first", "\"sleep 0.1\"", ""),
        ]
        .concat(),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("last: third");
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0);
    wrapper.wait_for("second: second");
    let exited = wrapper.position("event: [coprocess.second.exited]");
    assert!(exited < wrapper.position("last: started"));
}

#[test]
fn w67_the_users_own_groups() {
    if !is_root() {
        support::skipped("only root can switch users");
        return;
    }
    let place = Place::new();
    let mut wrapper = place.up(&coprocess("a", "\"id\"", "user = \"www-data\""));
    assert_eq!(wrapper.stop(), 0);
    let id = wrapper.said("a");
    let id = id.iter().find(|text| text.starts_with("uid=")).unwrap();
    assert!(id.starts_with("uid=33(www-data) gid=33(www-data) groups=33(www-data)"), "{id}");
}

#[test]
fn main_starts_after_its_own_event_even_if_that_comes_during_the_boot() {
    for event in ["pre-start", "coprocess.db.ready"] {
        let place = Place::new();
        place.config(
            &[
                format!("[main]\nexec = [\"sh\", \"-c\", \"exit 6\"]\nexec_event = {event:?}\n"),
                coprocess("db", "\"sleep 1000\"", "background = true"),
                coprocess("migrate", "\"sleep 0.2\"", ""),
            ]
            .concat(),
        );
        assert_eq!(place.run().wait(), 6, "{event}");
    }
}

/// Each failed start makes the next: without a pause this would be a loop without end.
#[test]
fn coprocesses_that_start_each_other_do_not_spin() {
    let place = Place::new();
    let mut wrapper = place.up(&[
        coprocess("ping", "\"true\"", "background = true\nexec_event = \"coprocess.pong.stopped\""),
        coprocess("pong", "\"true\"", "background = true\nexec_event = \"coprocess.ping.stopped\""),
    ]
    .concat());
    let began = Instant::now();
    assert!(place.coproc(&["start", "ping"]).status.success());
    wrapper.wait_for_nth("ping: started", 6);
    // Each but the first rests for 100 ms after its last short run.
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(wrapper.stop(), 0);
}
