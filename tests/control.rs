//! The control socket: every command of a running wrapper's clients, and what it refuses.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::Output;

use serde_json::{Value, json};
use support::{Place, Wrapper, alive, children, coprocess, eventually, puppet, text};

fn background(name: &str, exec: &str, rest: &str) -> String {
    coprocess(name, exec, &format!("background = true\n{rest}"))
}

/// Runs a client command that has to succeed; gives its answer.
#[track_caller]
fn ask(place: &Place, words: &[&str]) -> String {
    let output = place.coproc(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{words:?}");
    text(&output.stdout)
}

/// Runs a client command that is refused; gives the reason.
#[track_caller]
fn refused(place: &Place, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = place.coproc(words);
    assert_eq!(status.code(), Some(1), "{words:?}: {}", text(&stderr));
    assert_eq!(text(&stdout), "", "{words:?}");
    text(&stderr)
}

#[track_caller]
fn status(place: &Place) -> Value {
    serde_json::from_str(&ask(place, &["status", "--format", "json"])).unwrap()
}

/// One coprocess's status.
#[track_caller]
fn of(place: &Place, name: &str) -> Value {
    let status = status(place);
    let all = status["coprocesses"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

fn events(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_at_the_end() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let metadata = std::fs::metadata(place.at("run/control.sock")).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(wrapper.stop(), 0);
    assert!(!place.path().join("run/control.sock").exists());
}

#[test]
fn status_says_everything_in_file_order() {
    let place = Place::new();
    let mut wrapper = place.serving(
        &[
            coprocess("zero", "[\"sh\", \"-c\", \"exit 3\"]", "restarts = 1"),
            background("b", "\"sleep 1000\"", ""),
            coprocess("a", "\"true\"", "exec_event = \"custom.x\""),
            coprocess("ok", "\"true\"", ""),
            background("killed", "[\"sh\", \"-c\", \"kill -KILL $$\"]", ""),
            background("slow", "\"true\"", "restarts = 9\ntime_between_restarts = \"1h\""),
        ]
        .concat(),
    );
    wrapper.wait_for("slow: starts again");
    wrapper.wait_for("event: [coprocess.killed.failed]");
    let all = status(&place);
    let main = &all["main"];
    assert_eq!(main["state"], "running");
    assert_eq!(children_main(&wrapper), main["pid"]);
    assert!(main["uptime_s"].as_f64().is_some() && main["memory_bytes"].as_u64() > Some(0));
    let coprocesses = all["coprocesses"].as_array().unwrap();
    let column =
        |key: &str| -> Vec<Value> { coprocesses.iter().map(|one| one[key].clone()).collect() };
    assert_eq!(column("name"), ["zero", "b", "a", "ok", "killed", "slow"]);
    assert_eq!(column("state"), ["failed", "running", "waiting", "stopped", "failed", "backoff"]);
    assert_eq!(json!(column("background")), json!([false, true, false, false, true, true]));
    assert_eq!(json!(column("restarts")), json!([1, 0, 0, 0, 0, 0]));
    assert_eq!(column("policy"), ["1", "never", "never", "never", "never", "9"]);
    assert_eq!(json!(column("ready")), json!([false, true, false, false, false, false]));
    let b = &coprocesses[1];
    assert_eq!(b["pid"], wrapper.started("b", 1));
    assert!(b["uptime_s"].as_f64().is_some() && b["memory_bytes"].as_u64() > Some(0));
    assert_eq!(b["last_exit"], Value::Null);
    assert_eq!(coprocesses[0]["pid"], Value::Null);
    assert_eq!(coprocesses[0]["last_exit"]["code"], 3);
    assert!(coprocesses[0]["last_exit"]["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(coprocesses[4]["last_exit"]["signal"], "KILL");
    let keys: Vec<_> = b.as_object().unwrap().keys().collect();
    for key in ["name", "state", "pid", "background", "restarts", "uptime_s", "ready"] {
        assert!(keys.iter().any(|k| *k == key), "{key}: {keys:?}");
    }

    let table = ask(&place, &["status"]);
    let first: Vec<_> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first, ["NAME", "main", "zero", "b", "a", "ok", "killed", "slow"]);
    assert_eq!(wrapper.stop(), 0);
}

/// Main's pid as its own line says it.
fn children_main(wrapper: &Wrapper) -> i32 {
    let line = wrapper.wait_for(": up");
    let (pid, _) = line.split_once("nginx: ").unwrap().1.split_once('#').unwrap();
    pid.parse().unwrap()
}

#[test]
fn nobody_there() {
    let place = Place::new();
    place.config("");
    for words in [&["status"][..], &["events"], &["logs"], &["stop", "a"], &["reload"]] {
        let output = place.coproc(words);
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(&place.at("run/control.sock")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let output = place.coproc(&["status", "--socket", "/no/such.sock"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("/no/such.sock"));
}

#[test]
fn the_socket_is_found_by_flag_variable_or_config() {
    let place = Place::new();
    place.config("");
    let socket = place.at("other.sock");
    let mut wrapper = place.run_with(&["--set", &format!("control.socket={socket}")], &[]);
    wrapper.wait_for(": up");
    assert_eq!(place.coproc(&["status"]).status.code(), Some(3));
    ask(&place, &["status", "--socket", &socket]);
    ask(&place, &["status", "--set", &format!("control.socket={socket}")]);
    let mut command = place.command(&["status"]);
    command.env("COPROC_SOCKET", &socket);
    assert_eq!(Wrapper::start(command).wait(), 0);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_wrapper_without_a_file_is_found() {
    let place = Place::new();
    let run_path = format!("run_path={}", place.at("run"));
    let output = place.coproc(&["status", "--set", &run_path]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&place.at("run/control.sock")));

    let mut wrapper = place.run_with(&["--set", &run_path, "--", "sleep", "1000"], &[]);
    eventually("it answers", || {
        place.coproc(&["status", "--set", &run_path]).status.code() == Some(0)
    });
    let mut command = place.command(&["status"]);
    command.env("COPROC_RUN_PATH", place.at("run"));
    assert_eq!(Wrapper::start(command).wait(), 0);

    // A file that is named is meant.
    assert_eq!(place.coproc(&["status", "-c", "no.toml"]).status.code(), Some(2));
    let mut command = place.command(&["status"]);
    command.env("COPROC_CONFIG", "no.toml");
    assert_eq!(Wrapper::start(command).wait(), 2);
    wrapper.stop();
}

#[test]
fn a_coprocess_finds_its_own_wrapper() {
    let place = Place::new();
    let exec = format!("[\"{}\", \"emit\", \"hello\"]", support::coproc());
    let mut wrapper = place.up(&[
        background("b", "\"echo heard\"", "exec_event = \"custom.hello\""),
        background("a", &exec, ""),
    ]
    .concat());
    wrapper.wait_for("b: heard");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn start_stop_and_restart() {
    let place = Place::new();
    let file = place.at("byes");
    let rest = format!(
        "exec_event = \"custom.x\"\nstop_exec = [\"sh\", \"-c\", \"sleep 0.2; echo >> {file}\"]"
    );
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", &rest));
    let byes = || place.read("byes").len();
    ask(&place, &["start", "a"]);
    let first = of(&place, "a");
    assert_eq!(first["state"], "running");
    assert_eq!(first["pid"], wrapper.started("a", 1));
    ask(&place, &["start", "a"]);
    assert_eq!(of(&place, "a")["pid"], first["pid"], "it runs already");

    ask(&place, &["restart", "a"]);
    let second = of(&place, "a");
    assert_eq!(second["state"], "running", "the answer comes when it is so");
    assert_ne!(second["pid"], first["pid"]);
    assert_eq!(byes(), 1);

    ask(&place, &["stop", "a"]);
    let third = of(&place, "a");
    assert_eq!(third["state"], "stopped", "the answer comes when it is so");
    assert!(!alive(second["pid"].as_i64().unwrap() as i32));
    assert_eq!(byes(), 2);
    assert_eq!(third["last_exit"]["signal"], "TERM");

    // What is down runs its stop command all the same.
    ask(&place, &["stop", "a"]);
    assert_eq!(byes(), 3);
    ask(&place, &["restart", "a"]);
    assert_eq!(of(&place, "a")["state"], "running");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn restart_answers_when_the_new_one_runs_however_slow_the_old_one_is() {
    let place = Place::new();
    let exec = "[\"sh\", \"-c\", \"trap 'sleep 0.4; exit 0' TERM; echo set; \
                while :; do sleep 0.02; done\"]";
    let stop = "stop_exec = \"sleep 0.3\"";
    let mut wrapper = place.up(&background("a", exec, stop));
    wrapper.wait_for("a: set");
    let first = wrapper.started("a", 1);
    ask(&place, &["restart", "a"]);
    assert!(!alive(first));
    assert_eq!(of(&place, "a")["state"], "running");
    assert_eq!(of(&place, "a")["pid"], wrapper.started("a", 2));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn refusals_exit_1_with_a_reason() {
    let place = Place::new();
    let mut wrapper = place.up(&background("a", "\"/no/such\"", "exec_event = \"custom.x\""));
    for action in ["start", "stop", "restart", "background", "foreground"] {
        let why = refused(&place, &[action, "nope"]);
        assert!(why.contains("`nope`") && why.contains("`a`"), "{why}");
    }
    let why = refused(&place, &["start", "a"]);
    assert!(why.contains("failed"), "{why}");
    let why = refused(&place, &["stop", "main"]);
    assert!(why.contains("main process"), "{why}");
    let why = refused(&place, &["set", "a", "restarts=often"]);
    assert!(why.contains("restarts") && why.contains("often"), "{why}");
    let why = refused(&place, &["set", "a", "restarts=3", "user=root"]);
    assert!(why.contains("`user`"), "{why}");
    assert_eq!(of(&place, "a")["policy"], "never", "all or nothing");
    assert!(refused(&place, &["signal", "nope", "HUP"]).contains("`nope`"));
    assert!(refused(&place, &["logs", "nope"]).contains("`nope`"));
    // Wrong usage is known before the wrapper is asked.
    assert_eq!(place.coproc(&["signal", "a", "NOPE"]).status.code(), Some(2));
    assert_eq!(place.coproc(&["emit", "a.b"]).status.code(), Some(2));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn set_changes_the_policy_of_what_runs() {
    let place = Place::new();
    let rest = "time_between_restarts = \"1h\"\nrestarts = 5";
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", rest));
    ask(&place, &["set", "a", "restarts=2", "time_between_restarts=10ms", "background=false"]);
    let now = of(&place, "a");
    assert_eq!((&now["policy"], &now["background"]), (&json!("2"), &json!(false)));
    for n in 1..=3 {
        wrapper.wait_for_nth("msg=\"event: [coprocess.a.started]", n);
        ask(&place, &["signal", "a", "TERM"]);
    }
    wrapper.wait_for("a: gave up after 2 restarts");
    assert_eq!(wrapper.count("msg=\"a: started"), 3);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn fewer_restarts_end_a_pause() {
    let place = Place::new();
    let rest = "time_between_restarts = \"1h\"\nrestarts = \"unlimited\"";
    let mut wrapper = place.up(&background("a", "\"true\"", rest));
    wrapper.wait_for("a: starts again in 1h");
    ask(&place, &["set", "a", "restarts=never"]);
    wrapper.wait_for("event: [coprocess.a.stopped]");
    assert_eq!(of(&place, "a")["state"], "stopped");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn background_lets_go_of_a_held_event() {
    let place = Place::new();
    place.config(&coprocess("a", "\"sleep 1000\"", ""));
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.started]");
    assert_eq!(status(&place)["main"]["pid"], Value::Null);
    assert_eq!(wrapper.count("pm: started"), 0);
    ask(&place, &["background", "a"]);
    wrapper.wait_for(": up");
    let now = of(&place, "a");
    assert_eq!((&now["state"], &now["background"]), (&json!("running"), &json!(true)));
    ask(&place, &["foreground", "a"]);
    assert_eq!(of(&place, "a")["background"], false);
    assert_eq!(wrapper.stop(), 0);
    assert!(!alive(wrapper.started("a", 1)));
}

#[test]
fn signals_reach_the_group_of_a_coprocess_and_main_itself() {
    let place = Place::new();
    let exec = "[\"sh\", \"-c\", \"trap 'echo got it' USR2; echo set; \
                while :; do sleep 0.02; done\"]";
    let mut wrapper = place.up(&background("a", exec, ""));
    wrapper.wait_for("a: set");
    for (n, name) in ["USR2", "sigusr2", "12"].into_iter().enumerate() {
        ask(&place, &["signal", "a", name]);
        // The loop's own `sleep` dies of it, the shell says so.
        wrapper.wait_for_nth("msg=\"a: got it\"", n + 1);
    }
    ask(&place, &["signal", "main", "HUP"]);
    wrapper.wait_for("reconfiguring");
    ask(&place, &["signal", "main", "KILL"]);
    assert_eq!(wrapper.wait(), 137);
}

#[test]
fn what_does_not_run_is_sent_no_signal() {
    let place = Place::new();
    let main = "[main]\nexec_event = \"custom.go\"\n";
    place.config(&[main, &background("a", "\"true\"", "exec_event = \"custom.go\"")].concat());
    let mut wrapper = place.run();
    eventually("somebody answers", || place.coproc(&["status"]).status.success());
    for name in ["a", "main"] {
        let head = format!("POST /v1/coprocesses/{name}/signal");
        let (line, body) = http(&place, &head, r#"{"signal": "USR1"}"#);
        assert_eq!(line, "HTTP/1.1 409 Conflict", "{body}");
        let why = refused(&place, &["signal", name, "USR1"]);
        assert!(why.contains(&format!("`{name}` does not run")), "{why}");
    }
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn reload_is_answered_when_it_is_over() {
    let place = Place::new();
    let mut wrapper =
        place.serving(&coprocess("a", "\"echo before\"", "exec_event = \"pre-reload\""));
    ask(&place, &["reload"]);
    let seen = events(&ask(&place, &["events"]));
    let names: Vec<_> = seen.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let before = names.iter().position(|name| *name == "coprocess.a.exited").unwrap();
    assert!(names[before..].contains(&"reload"), "{names:?}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn custom_events_start_and_stop() {
    let place = Place::new();
    let rest = "exec_event = \"custom.go\"\nstop_event = \"custom.halt\"";
    let mut wrapper = place.up(&[
        background("a", "\"sleep 1000\"", rest),
        background("b", "\"echo follows\"", "exec_event = \"coprocess.a.stopped\""),
    ]
    .concat());
    assert_eq!(of(&place, "a")["state"], "waiting");
    ask(&place, &["emit", "go"]);
    let first = wrapper.started("a", 1);
    ask(&place, &["emit", "halt"]);
    wrapper.wait_for("b: follows");
    assert!(!alive(first));
    ask(&place, &["emit", "go"]);
    assert!(alive(wrapper.started("a", 2)));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn events_from_the_first_on_or_after_a_number() {
    let place = Place::new();
    let mut wrapper = place.up(&coprocess("a", "\"true\"", ""));
    ask(&place, &["emit", "one"]);
    let all = events(&ask(&place, &["events"]));
    let names: Vec<_> = all.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "pre-start",
            "coprocess.a.started",
            "coprocess.a.ready",
            "coprocess.a.exited",
            "coprocess.a.stopped",
            "custom.one"
        ]
    );
    for (at, event) in all.iter().enumerate() {
        assert_eq!(event["seq"], at + 1);
        assert!(event["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(all[1]["pid"], wrapper.started("a", 1));
    assert_eq!(all[3]["code"], 0);
    let later = events(&ask(&place, &["events", "--since", "5"]));
    assert_eq!(later.iter().map(|event| &event["seq"]).collect::<Vec<_>>(), [6]);
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn events_as_they_happen() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let mut follower = Wrapper::start(place.command(&["events", "--follow", "--since", "0"]));
    follower.wait_for("pre-start");
    for name in ["one", "two", "three"] {
        ask(&place, &["emit", name]);
        follower.wait_for(&format!("\"custom.{name}\""));
    }
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(follower.wait(), 0, "{}", follower.dump());
    let seen = events(&follower.lines().join("\n"));
    let numbers: Vec<_> = seen.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
}

/// Who follows leaves as soon as nobody reads it, also if nothing more happens.
#[test]
fn a_reader_that_goes_away_ends_its_follower() {
    let place = Place::new();
    let mut wrapper = place.up("");
    for words in [["events", "--follow"], ["logs", "--follow"]] {
        let mut command = place.command(&words);
        command.stdout(std::process::Stdio::piped());
        #[allow(clippy::disallowed_methods)]
        let mut follower = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(follower.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let mut status = None;
        eventually("the follower ends", || {
            status = follower.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{words:?}");
    }
    assert_eq!(wrapper.stop(), 0);
}

/// How often the threads of these processes went to sleep by themselves so far.
fn sleeps(pids: &[i32]) -> u64 {
    let count = |status: std::path::PathBuf| -> Option<u64> {
        let status = std::fs::read_to_string(status).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    let threads = pids.iter().flat_map(|pid| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.map(|task| task.unwrap().path().join("status"))
    });
    threads.filter_map(count).sum()
}

/// Neither side looks from time to time whether the other is still there.
#[test]
fn who_waits_for_the_next_line_is_not_woken_before_it_comes() {
    let place = Place::new();
    // No nginx, whose silence would be remarked on after a while.
    let main = format!("[main]\nexec = [{:?}]\nkind = \"program\"\n", puppet());
    let mut wrapper = place.up(&main);
    let mut follower = Wrapper::start(place.command(&["events", "--follow"]));
    follower.wait_for("pre-start");
    let pids = [&[wrapper.pid(), follower.pid()], &children(wrapper.pid())[..]].concat();
    assert_eq!(pids.len(), 3, "both halves of the wrapper, and the follower");
    let second = std::time::Duration::from_secs(1);
    let mut before = 0;
    eventually("all have come to rest", || {
        let now = sleeps(&pids);
        // A second after its start the wrapper gives back what only the start needed.
        std::thread::sleep(second * 3 / 2);
        std::mem::replace(&mut before, now) == now
    });
    std::thread::sleep(2 * second);
    assert_eq!(sleeps(&pids), before);
    ask(&place, &["emit", "one"]);
    follower.wait_for("custom.one");
    assert!(sleeps(&pids) > before, "what is counted is what happens");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(follower.wait(), 0, "{}", follower.dump());
}

#[test]
fn logs_of_one_of_all_and_as_they_come() {
    let place = Place::new();
    let exec = "[\"sh\", \"-c\", \"for n in 1 2 3 4 5; do echo line $n; done; echo bad >&2; \
                trap 'echo more' USR1; while :; do sleep 0.02; done\"]";
    let mut wrapper = place.up(&background("a", exec, ""));
    wrapper.wait_for("a: bad");
    wrapper.wait_for("a: line 5");
    let last = ask(&place, &["logs", "-n", "2", "a"]);
    assert_eq!(last.lines().count(), 2, "{last}");
    let all = ask(&place, &["logs", "a"]);
    for n in 1..=5 {
        assert!(all.contains(&format!("a | line {n}\n")), "{all}");
    }
    assert!(all.contains("a | bad\n"), "{all}");
    assert!(!all.contains(": up"), "{all}");
    assert!(ask(&place, &["logs", "main"]).contains("up"), "main has a log by its name");
    let everything = ask(&place, &["logs"]);
    assert!(everything.contains("up") && everything.contains("line 5"), "{everything}");

    let mut follower = Wrapper::start(place.command(&["logs", "--follow", "-n", "1", "a"]));
    follower.wait_for("a | ");
    ask(&place, &["signal", "a", "USR1"]);
    follower.wait_for("a | more");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(follower.wait(), 0, "{}", follower.dump());
}

#[test]
fn a_second_wrapper_leaves_the_first_unharmed() {
    let place = Place::new();
    let mut first = place.up("");
    let pid = first.pid().to_string();
    let mut second = place.run();
    second.wait_for(": up");
    let line = second.wait_for("there is no control socket");
    assert!(line.contains("level=warning") && line.contains("control.sock"), "{line}");
    assert_eq!(second.stop(), 0);
    assert_eq!(status(&place)["main"]["pid"], children_main(&first));
    assert_eq!(place.read("run/coproc.pid").trim(), pid, "its pid file is its own");
    assert_eq!(first.stop(), 0);
}

#[test]
fn a_configured_socket_that_is_taken_ends_the_second_wrapper() {
    let place = Place::new();
    let control = format!("[control]\nsocket = \"{}\"\n", place.at("c.sock"));
    let mut first = place.up(&control);
    let mut second = place.run();
    assert_eq!(second.wait(), 1);
    assert!(second.stderr().contains("c.sock"), "{}", second.stderr());
    assert_eq!(status(&place)["main"]["pid"], children_main(&first));
    assert_eq!(first.stop(), 0);
}

#[test]
fn a_stale_socket_is_replaced_and_none_means_none() {
    let place = Place::new();
    drop(std::os::unix::net::UnixListener::bind(place.at("run/control.sock")).unwrap());
    let mut wrapper = place.up("");
    status(&place);
    assert_eq!(wrapper.stop(), 0);
    let mut wrapper = place.up("[control]\nsocket = \"none\"\n");
    assert!(!place.path().join("run/control.sock").exists());
    let output = place.coproc(&["status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("none"));
    assert_eq!(wrapper.stop(), 0);
}

/// One request written by hand: status line and body of the answer.
fn http(place: &Place, head: &str, body: &str) -> (String, String) {
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_same_by_http() {
    let place = Place::new();
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", ""));
    let ok = "HTTP/1.1 200 OK";
    let (line, body) = http(&place, "GET /v1/status", "");
    assert_eq!(line, ok);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["coprocesses"][0]["pid"], wrapper.started("a", 1));
    for (head, body, expected) in [
        ("GET /v1/events?since=0", "", ok),
        ("GET /v1/logs?name=a&n=3", "", ok),
        ("POST /v1/coprocesses/a/set", r#"{"restarts": 3, "background": true}"#, ok),
        ("POST /v1/coprocesses/a/signal", r#"{"signal": "CONT"}"#, ok),
        ("POST /v1/coprocesses/a/restart", "", ok),
        ("POST /v1/coprocesses/a/background", "", ok),
        ("POST /v1/coprocesses/a/foreground", "", ok),
        ("POST /v1/coprocesses/a/stop", "", ok),
        ("POST /v1/coprocesses/a/start", "", ok),
        ("POST /v1/emit", r#"{"name": "x"}"#, ok),
        ("POST /v1/coprocesses/b/stop", "", "HTTP/1.1 404 Not Found"),
        ("POST /v1/coprocesses/a/explode", "", "HTTP/1.1 404 Not Found"),
        ("GET /v2/status", "", "HTTP/1.1 404 Not Found"),
        ("GET /v1/reload", "", "HTTP/1.1 405 Method Not Allowed"),
        ("POST /v1/coprocesses/a/signal", r#"{"signal": "NOPE"}"#, "HTTP/1.1 400 Bad Request"),
        ("POST /v1/coprocesses/a/set", "no json", "HTTP/1.1 400 Bad Request"),
        ("POST /v1/emit", r#"{"name": "a.b"}"#, "HTTP/1.1 400 Bad Request"),
        ("GET /v1/events?since=x", "", "HTTP/1.1 400 Bad Request"),
    ] {
        let (line, answer) = http(&place, head, body);
        assert_eq!(line, expected, "{head}: {answer}");
        if expected != ok {
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert!(answer["error"].as_str().is_some_and(|why| !why.is_empty()), "{head}");
        }
    }
    assert_eq!(of(&place, "a")["policy"], "3");
    // What is no HTTP at all does no harm.
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    stream.write_all(b"\x00\x01 nonsense\r\n\r\n").unwrap();
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    assert!(line.is_empty() || line.contains(" 400 "), "{line}");
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sS", "--unix-socket", &place.at("run/control.sock"), "http://coproc/v1/status"]);
    if std::path::Path::new("/usr/bin/curl").exists() {
        let mut curl = Wrapper::start(curl);
        assert_eq!(curl.wait(), 0);
        curl.wait_for("\"coprocesses\"");
    }
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn main_waits_for_an_event_of_its_own() {
    let place = Place::new();
    place.config("[main]\nexec_event = \"custom.go\"\n");
    let mut wrapper = place.run();
    eventually("somebody answers", || place.coproc(&["status"]).status.success());
    ask(&place, &["emit", "other"]);
    wrapper.wait_for("event: [custom.other]");
    assert_eq!(wrapper.count("pm: started"), 0);
    ask(&place, &["emit", "go"]);
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn an_event_does_not_cut_a_pause_short() {
    let place = Place::new();
    let rest = "exec_event = \"custom.go\"\nrestarts = 5\ntime_between_restarts = \"1h\"";
    let mut wrapper = place.up(&background("a", "\"true\"", rest));
    ask(&place, &["emit", "go"]);
    wrapper.wait_for("a: starts again in 1h");
    ask(&place, &["emit", "go"]);
    wrapper.wait_for("a: [custom.go] ignored");
    assert_eq!(of(&place, "a")["state"], "backoff");
    // An operator may.
    ask(&place, &["start", "a"]);
    wrapper.started("a", 2);
    assert_eq!(wrapper.stop(), 0);
}

/// The stop is over when the old program is gone, whatever is wanted of the new one.
#[test]
fn what_is_started_while_it_stops_runs_anew_and_holds_nobody_up() {
    let place = Place::new();
    let file = place.at("go");
    let exec = format!(
        "[\"sh\", \"-c\", \"trap 'until [ -e {file} ]; do sleep 0.02; done; exit 0' TERM; \
         echo set; while :; do sleep 0.02; done\"]"
    );
    let rest = "exec_event = \"custom.go\"\nstop_event = \"pre-reload\"";
    let mut wrapper = place.serving(&background("a", &exec, rest));
    ask(&place, &["emit", "go"]);
    wrapper.wait_for("a: set");
    wrapper.signal(nix::sys::signal::Signal::SIGHUP);
    wrapper.wait_for("a: sending TERM");
    ask(&place, &["emit", "go"]);
    wrapper.wait_for_nth("event: [custom.go]", 2);
    place.write("go", "");
    wrapper.wait_for("event: [reload]");
    assert!(alive(wrapper.started("a", 2)));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("ignored: it runs already"), 0);
}

// D09: neither a stop nor a second life changes the policy.
#[test]
fn d09_a_second_life_has_all_its_restarts() {
    let place = Place::new();
    let mut wrapper = place.up(&background("a", "\"sleep 1000\"", "restarts = 1"));
    for life in 0..2 {
        for run in 1..=2 {
            wrapper.wait_for_nth("event: [coprocess.a.started]", life * 2 + run);
            ask(&place, &["signal", "a", "KILL"]);
        }
        wrapper.wait_for_nth("event: [coprocess.a.failed]", life + 1);
        ask(&place, &["start", "a"]);
    }
    assert_eq!(of(&place, "a")["restarts"], 0);
    ask(&place, &["stop", "a"]);
    ask(&place, &["start", "a"]);
    assert!(alive(wrapper.started("a", 6)));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(wrapper.count("msg=\"a: started"), 6);
}

#[test]
fn stopping_what_holds_an_event_lets_it_go_on_and_restarting_does_not() {
    let place = Place::new();
    place.config(&coprocess("a", "\"sleep 1000\"", ""));
    let mut wrapper = place.run();
    wrapper.wait_for("event: [coprocess.a.started]");
    ask(&place, &["restart", "a"]);
    assert!(alive(wrapper.started("a", 2)));
    assert_eq!(wrapper.count("pm: started"), 0, "{}", wrapper.dump());
    ask(&place, &["stop", "a"]);
    wrapper.wait_for(": up");
    assert_eq!(wrapper.stop(), 0);
}

/// Clients that hang up, or send nothing, keep nobody from being answered.
#[test]
fn clients_that_misbehave_keep_nobody_waiting() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let silent: Vec<_> =
        (0..20).map(|_| UnixStream::connect(place.at("run/control.sock")).unwrap()).collect();
    let mut follower = UnixStream::connect(place.at("run/control.sock")).unwrap();
    follower.write_all(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    drop(follower);
    let mut large = UnixStream::connect(place.at("run/control.sock")).unwrap();
    let head = "POST /v1/emit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    large.write_all(head.as_bytes()).unwrap();
    // It may hang up before it was sent everything.
    let _ = large.write_all(&vec![b' '; 1_000_000]);
    for _ in 0..3 {
        assert_eq!(status(&place)["coprocesses"], json!([]));
    }
    drop(silent);
    assert_eq!(wrapper.stop(), 0);
}

/// Followers have a share of their own, which those that left leave to others.
#[test]
fn followers_keep_nobody_from_being_answered() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let follow = || {
        let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
        stream.write_all(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        (stream, line)
    };
    let followers: Vec<_> = (0..64).map(|_| follow()).collect();
    assert!(followers.iter().all(|(_, line)| line.contains(" 200 ")));
    assert!(follow().1.contains(" 503 "));
    status(&place);
    drop(followers);
    eventually("they have left", || follow().1.contains(" 200 "));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn who_has_said_all_is_answered() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let place = Place::new();
    let mut wrapper = place.up("");
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    let head = "POST /v1/emit HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert!(line.contains(" 408 "), "{line}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_wrapper_that_says_nothing_is_not_waited_for() {
    let place = Place::new();
    place.config("");
    let _listener = std::os::unix::net::UnixListener::bind(place.at("run/control.sock")).unwrap();
    let reason = refused(&place, &["status"]);
    assert!(reason.contains("does not answer"), "{reason}");
}
