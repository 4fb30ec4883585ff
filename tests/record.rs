//! What `coproc run` tells at its end: the cause, the culprit and its last lines, and how the stop went.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{Place, Wrapper, children, coprocess, is_root, skipped};

/// Writes `coproc.toml` with this shell script as main process.
fn main_is(place: &Place, script: &str, rest: &str) {
    let script = Value::from(script);
    place.write(
        "coproc.toml",
        &format!(
            "run_path = \"{}\"\n[log]\nlevel = \"DEBUG\"\n[main]\nexec = [\"sh\", \"-c\", {script}]\n{rest}",
            place.at("run")
        ),
    );
}

fn reported(place: &Place) -> Wrapper {
    place.run_with(&["--report", "report.json"], &[])
}

#[track_caller]
fn report(place: &Place) -> Value {
    let text = place.read("report.json");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A control group of one's own whose processes have so much memory together; none where it cannot be made.
struct Scarce(std::path::PathBuf);

impl Scarce {
    fn of(bytes: u64) -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let (base, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let name = format!("coproc-test-{}", std::process::id());
            let group =
                Self(std::path::Path::new(base).join(path.trim_start_matches('/')).join(name));
            std::fs::create_dir(&group.0).ok()?;
            std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            // Without the memory of swap, where that is counted.
            let _ = std::fs::write(group.0.join("memory.swap.max"), "0");
            Some(group)
        })
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        // Nobody is in it any more.
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn who_the_kernel_killed_for_want_of_memory_is_told_of() {
    let Some(group) = Scarce::of(256 << 20) else {
        return skipped("a control group with a limit of memory cannot be made");
    };
    let place = Place::new();
    let eater = "push @a, 'x' x 1048576 for 1 .. 2048";
    let exec = format!("[\"perl\", \"-e\", \"{eater}\"]");
    place.config(&coprocess("eater", &exec, "background = true\non_give_up = \"shutdown\""));
    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let words = ["run", "--report", "report.json"];
    let mut wrapper = Wrapper::start(place.command_below(&["sh", "-c", &enter, "sh"], &words));
    assert_eq!(wrapper.wait(), 137, "{}", wrapper.dump());
    let report = report(&place);
    assert_eq!(report["out_of_memory"], json!(true), "{report}");
    assert_eq!((&report["who"], &report["end"]), (&json!("eater"), &json!({ "signal": "KILL" })));
    assert!(wrapper.stderr().contains("out of memory"), "{}", wrapper.stderr());
}

#[test]
fn a_main_process_that_fails_is_told_of_with_its_last_lines() {
    let place = Place::new();
    main_is(&place, "for i in $(seq 30); do echo line $i; done; echo boom >&2; exit 3", "");
    let mut wrapper = reported(&place);
    assert_eq!(wrapper.wait(), 3);
    let stderr = wrapper.stderr();
    let lines: Vec<_> = stderr.lines().collect();
    let head = "coproc: left with status 3: the main process ended with exit status 3";
    assert_eq!(lines[..2], [head, "coproc: the last lines of main:"], "{stderr}");
    assert_eq!(lines.len(), 22, "{stderr}");
    assert!(lines.contains(&"  boom") && lines.contains(&"  line 30"), "{stderr}");
    let report = report(&place);
    assert_eq!((&report["status"], &report["who"]), (&json!(3), &json!("main")));
    assert_eq!((&report["cause"], &report["end"]), (&json!("main-ended"), &json!({ "code": 3 })));
    assert_eq!(report["out_of_memory"], json!(false));
    assert_eq!(report["lines"].as_array().unwrap().len(), 20);
    assert_eq!(report["stop"]["killed"], json!(false));
}

#[test]
fn what_ends_well_says_nothing_on_standard_error() {
    let place = Place::new();
    main_is(&place, "echo done", "");
    let mut wrapper = reported(&place);
    assert_eq!(wrapper.wait(), 0);
    assert_eq!(wrapper.stderr(), "");
    let report = report(&place);
    assert_eq!((&report["status"], &report["main"]), (&json!(0), &json!({ "code": 0 })));
    assert_eq!(report["lines"], json!([]));
}

#[test]
fn a_signal_that_ends_the_main_process_is_told_of() {
    let place = Place::new();
    main_is(&place, "echo up; kill -KILL $$", "");
    let mut wrapper = reported(&place);
    assert_eq!(wrapper.wait(), 137);
    let stderr = wrapper.stderr();
    assert!(
        stderr
            .starts_with("coproc: left with status 137: the main process was ended by signal KILL")
    );
    let report = report(&place);
    assert_eq!(report["end"], json!({ "signal": "KILL" }));
    // Nobody was killed for want of memory, where the kernel lets that be known.
    assert!(matches!(report["out_of_memory"], Value::Null | Value::Bool(false)), "{report}");
    assert_eq!(stderr.contains("cannot be known here"), report["out_of_memory"].is_null());
}

#[test]
fn a_coprocess_whose_failure_ends_all_is_the_culprit() {
    let place = Place::new();
    let rest = "background = true\non_give_up = \"shutdown\"";
    let agent = coprocess("agent", "[\"sh\", \"-c\", \"echo no license; exit 7\"]", rest);
    main_is(&place, "exec sleep 1000", &agent);
    let mut wrapper = reported(&place);
    assert_eq!(wrapper.wait(), 7);
    assert_eq!(
        wrapper.stderr(),
        "coproc: left with status 7: agent has failed for good\ncoproc: the last lines of \
         agent:\n  no license"
    );
    let report = report(&place);
    assert_eq!((&report["cause"], &report["who"]), (&json!("gave-up"), &json!("agent")));
    assert_eq!(report["end"], json!({ "code": 7 }));
    assert_eq!(report["lines"], json!(["no license"]));
    assert_eq!(report["main"], json!({ "signal": "TERM" }));
}

#[test]
fn a_stop_that_was_asked_for_tells_how_long_it_took_and_who_was_slowest() {
    let place = Place::new();
    let slow = "[\"sh\", \"-c\", \"trap 'sleep 0.3; exit 0' TERM; echo up; while :; do sleep 0.05; done\"]";
    let config = [
        coprocess("quick", "\"sleep 1000\"", "background = true"),
        coprocess("slow", slow, "background = true"),
    ];
    main_is(&place, "echo serving; exec sleep 1000", &config.concat());
    let mut wrapper = reported(&place);
    wrapper.wait_for("slow: up");
    wrapper.wait_for("main: serving");
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.stderr(), "");
    let line = wrapper.wait_for("msg=\"pm: stopped in ");
    assert!(line.contains(" of 30.0 s; slowest: slow, 0."), "{line}");
    let report = report(&place);
    assert_eq!((&report["cause"], &report["who"]), (&json!("signal"), &Value::Null));
    let stop = &report["stop"];
    assert_eq!((&stop["slowest"]["name"], &stop["limit_s"]), (&json!("slow"), &json!(30.0)));
    assert!(stop["took_s"].as_f64() >= stop["slowest"]["took_s"].as_f64(), "{stop}");
    assert!(stop["slowest"]["took_s"].as_f64() >= Some(0.3), "{stop}");
}

#[test]
fn a_stop_that_had_to_kill_says_so() {
    let place = Place::new();
    let deaf = "[\"sh\", \"-c\", \"trap '' TERM INT; echo up; while :; do sleep 0.05; done\"]";
    main_is(
        &place,
        "exec sleep 1000",
        &coprocess("deaf", deaf, "background = true\nstop_timeout = \"6s\""),
    );
    let text = place.read("coproc.toml");
    place.write("coproc.toml", &format!("shutdown_timeout = \"500ms\"\n{text}"));
    let mut wrapper = reported(&place);
    wrapper.wait_for("deaf: up");
    assert_eq!(wrapper.stop(), 143);
    wrapper.wait_for("; what was left was killed");
    let stop = report(&place)["stop"].clone();
    assert_eq!((&stop["killed"], &stop["slowest"]["name"]), (&json!(true), &json!("deaf")));
}

#[test]
fn what_standard_error_has_told_already_is_not_told_twice() {
    let place = Place::new();
    main_is(&place, "exec sleep 1000", &coprocess("migrate", "\"no-such-program-anywhere\"", ""));
    let mut wrapper = reported(&place);
    assert_eq!(wrapper.wait(), 1);
    assert_eq!(wrapper.stderr().lines().count(), 1, "{}", wrapper.stderr());
    let report = report(&place);
    assert_eq!((&report["cause"], &report["who"]), (&json!("boot"), &json!("migrate")));
    assert!(report["sentence"].as_str().unwrap().contains("no-such-program-anywhere"), "{report}");
}

#[test]
fn a_report_that_cannot_be_written_keeps_all_from_starting() {
    let place = Place::new();
    main_is(&place, "echo up", "");
    let mut wrapper = place.run_with(&["--report", "no/such/folder/report.json"], &[]);
    assert_eq!(wrapper.wait(), 1);
    assert!(wrapper.stderr().starts_with("error: --report: `no/such/folder/report.json`: "));
    assert_eq!(wrapper.count("main: up"), 0);
}

/// In a mount namespace with a `/dev` that has little besides the termination log.
#[test]
fn kubernetes_finds_the_last_words() {
    if !is_root() {
        return skipped("only root can make a mount namespace without a user namespace");
    }
    let place = Place::new();
    main_is(&place, "for i in $(seq 20); do printf %0900d $i; echo; done; echo boom; exit 4", "");
    place.write("log", "");
    std::fs::create_dir(place.at("dev")).unwrap();
    let script = "mount --rbind /dev dev && mount -t tmpfs none /dev && \
                  ln -s \"$PWD/dev/null\" /dev/null && touch /dev/termination-log && \
                  mount --bind log /dev/termination-log && exec \"$@\"";
    let above = ["unshare", "--mount", "sh", "-c", script, "sh"];
    let mut wrapper = Wrapper::start(place.command_below(&above, &["run"]));
    let code = wrapper.wait();
    if code != 4 && wrapper.lines().is_empty() {
        return skipped(&format!("no mount namespace: {}", wrapper.stderr()));
    }
    assert_eq!(code, 4, "{}", wrapper.dump());
    let log = place.read("log");
    let head = "coproc: left with status 4: the main process ended with exit status 4\n";
    assert!(log.starts_with(head), "{log}");
    assert!(log.ends_with("\n  boom\n"), "{log}");
    assert!(log.len() <= 4096 && log.len() > 3000, "{}", log.len());
}

#[test]
fn an_old_report_does_not_stay() {
    let place = Place::new();
    main_is(&place, "echo up; exec sleep 1000", "");
    place.write("report.json", "old");
    let mut wrapper = reported(&place);
    wrapper.wait_for("main: up");
    assert_eq!(place.read("report.json"), "");
    kill(Pid::from_raw(wrapper.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(wrapper.wait(), 143);
}

#[test]
fn the_plan_of_a_stop_stops_nothing() {
    let place = Place::new();
    let agent = coprocess(
        "agent",
        "\"sleep 1000\"",
        "background = true\nstop_exec = \"true\"\nstop_exec_timeout = \"2s\"\nstop_timeout = \"1s\"",
    );
    let done = coprocess("done", "\"true\"", "background = true");
    main_is(
        &place,
        "echo serving; exec sleep 1000",
        &format!("stop_signal = \"INT\"\n{agent}{done}"),
    );
    let mut wrapper = reported(&place);
    wrapper.wait_for("main: serving");
    wrapper.wait_for("event: [coprocess.done.stopped]");
    let output = place.coproc(&["stop", "--plan"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<_>> = text
        .lines()
        .map(|row| row.split("  ").map(str::trim).filter(|s| !s.is_empty()).collect())
        .collect();
    assert_eq!(
        rows[1..],
        [
            vec!["0.0 s", "main", "INT"],
            vec!["25.0 s", "main", "KILL"],
            vec!["25.0 s", "agent", "its stop command, killed after 2.0 s"],
            vec!["27.0 s", "agent", "TERM"],
            vec!["28.0 s", "agent", "INT"],
            vec!["29.0 s", "agent", "KILL"],
            vec!["30.0 s", "all that is left", "KILL"],
            vec!["31.0 s", "coproc", "leaves"],
            vec!["31.0 s", "what left its group", "TERM, and KILL 1.0 s later"],
        ]
    );
    let output = place.coproc(&["stop", "--plan", "--format", "json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["steps"][0], json!({ "by_s": 0.0, "who": "main", "signal": "INT" }));
    for words in
        [&["stop"][..], &["stop", "agent", "--plan"], &["stop", "agent", "--format", "json"]]
    {
        assert_eq!(place.coproc(words).status.code(), Some(2), "{words:?}");
    }
    assert_eq!(wrapper.stop(), 130);
}

#[test]
fn a_run_that_comes_to_nothing_is_told_of() {
    let place = Place::new();
    place.write("coproc.toml", "[log]\nlevel = \"loud\"\n");
    let mut wrapper = reported(&place);
    assert_eq!(wrapper.wait(), 2);
    assert!(!wrapper.stderr().contains("left with status"), "{}", wrapper.stderr());
    let report = report(&place);
    assert_eq!((&report["status"], &report["cause"]), (&json!(2), &json!("not-started")));
    assert!(report["sentence"].as_str().unwrap().contains("log.level"), "{report}");
}

#[test]
fn a_runtime_that_is_killed_is_told_of_by_the_init() {
    let place = Place::new();
    main_is(&place, "echo up; exec sleep 1000", "");
    let mut wrapper = reported(&place);
    wrapper.wait_for("main: up");
    let runtime = children(wrapper.pid());
    assert_eq!(runtime.len(), 1);
    kill(Pid::from_raw(runtime[0]), Signal::SIGKILL).unwrap();
    assert_eq!(wrapper.wait(), 1);
    let report = report(&place);
    assert_eq!((&report["status"], &report["cause"]), (&json!(1), &json!("runtime")));
    assert_eq!(report["end"], json!({ "signal": "KILL" }));
}

#[test]
fn a_report_goes_to_a_device_or_a_pipe_as_well() {
    let place = Place::new();
    main_is(&place, "echo done", "");
    let mut wrapper = place.run_with(&["--report", "/dev/null"], &[]);
    assert_eq!(wrapper.wait(), 0);
    assert_eq!(wrapper.stderr(), "");
    let mut wrapper = place.run_with(&["--report", "/dev/stderr"], &[]);
    assert_eq!(wrapper.wait(), 0);
    let report: Value = serde_json::from_str(&wrapper.stderr()).unwrap();
    assert_eq!(report["cause"], "main-ended");
}
