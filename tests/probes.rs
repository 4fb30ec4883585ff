//! Readiness and liveness, with programs that become ready on a sign and fall ill on another.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;
use support::{Place, Wrapper, alive, eventually, free_port, puppet};

/// A main process that runs until it is told to end.
const MAIN: &str = "[main]\nexec = \"sleep 3600\"\n";

/// A coprocess in the background with further lines.
fn coprocess(name: &str, words: &[&str], more: &str) -> String {
    let words: Vec<_> = [puppet().as_str()].iter().chain(words).map(|w| format!("{w:?}")).collect();
    format!(
        "[coprocess.{name}]\nname = \"{name}\"\nexec = [{}]\nrestarts = \"unlimited\"\n\
         background = true\nexec_event = \"pre-start\"\n{more}\n",
        words.join(", ")
    )
}

fn status(place: &Place) -> Value {
    let output = place.coproc(&["status", "--format", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn of<'a>(status: &'a Value, name: &str) -> &'a Value {
    if name == "main" {
        return &status["main"];
    }
    let all = status["coprocesses"].as_array();
    all.into_iter().flatten().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

fn field(place: &Place, name: &str, key: &str) -> Value {
    of(&status(place), name)[key].clone()
}

/// Exit status and output of `coproc health`.
fn health(place: &Place) -> (i32, String) {
    let output = place.coproc(&["health"]);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text + &String::from_utf8(output.stderr).unwrap())
}

fn get(place: &Place, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(place.path().join("run/control.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A coprocess `web` that becomes ready once the file `go` is there.
struct Case {
    place: Place,
    wrapper: Wrapper,
}

impl Case {
    /// Starts it, checks that it is not ready, gives the sign and waits for the event.
    fn readiness(words: impl Fn(&Place) -> Vec<String>, probe: impl Fn(&Place) -> String) -> Self {
        let place = Place::new();
        let words = words(&place);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let ready = format!("ready = {{ {} }}", probe(&place));
        place.config(&format!("{MAIN}{}", coprocess("web", &words, &ready)));
        let wrapper = place.run();
        wrapper.wait_for("[coprocess.web.started]");
        eventually("it is watched", || field(&place, "web", "probes")["ready"].is_string());
        let web = status(&place);
        assert_eq!(of(&web, "web")["state"], "starting", "{web:#}");
        assert_eq!(of(&web, "web")["ready"], false, "{web:#}");
        assert_eq!(wrapper.count("[coprocess.web.ready]"), 0, "{}", wrapper.dump());
        let (code, text) = health(&place);
        assert_eq!(code, 1, "{text}");
        assert!(text.starts_with("web: starting ("), "{text}");

        place.write("go", "");
        wrapper.wait_for("[coprocess.web.ready]");
        let web = status(&place);
        assert_eq!(of(&web, "web")["state"], "running", "{web:#}");
        assert_eq!(of(&web, "web")["ready"], true, "{web:#}");
        assert_eq!(of(&web, "web")["probes"], Value::Null, "{web:#}");
        assert_eq!(health(&place), (0, String::new()));
        assert_eq!(get(&place, "/readyz"), (200, "ok\n".to_owned()));
        Self { place, wrapper }
    }

    fn end(mut self) {
        assert_eq!(self.wrapper.stop(), 143, "{}", self.wrapper.dump());
        assert_eq!(self.wrapper.count("[coprocess.web.ready]"), 1, "{}", self.wrapper.dump());
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn ready_by_a_command() {
    let case = Case::readiness(
        |_| words(&["ignore"]),
        // The folder `run` is the run path.
        |_| "exec = [\"test\", \"-e\", \"${run_path}/../go\"], interval = \"20ms\"".to_owned(),
    );
    case.end();
}

#[test]
fn ready_by_http() {
    let port = free_port();
    let case = Case::readiness(
        |place| {
            let (go, status) = (place.at("go"), place.at("status"));
            words(&["serve", "http", &format!("127.0.0.1:{port}"), &go, &status])
        },
        |_| format!("http = \"http://127.0.0.1:{port}/ready\", interval = \"20ms\""),
    );
    // What was ready can cease to be, and is not restarted for it.
    let pid = field(&case.place, "web", "pid");
    case.place.write("status", "503");
    case.wrapper.wait_for("no longer ready");
    let (code, text) = health(&case.place);
    assert_eq!(code, 1);
    let expected = format!("web: not ready (http 127.0.0.1:{port}/ready: status 503, try ");
    assert!(text.starts_with(&expected), "{text}");
    let (code, text) = get(&case.place, "/readyz");
    assert_eq!(code, 503);
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(get(&case.place, "/livez"), (200, "ok\n".to_owned()));
    case.place.write("status", "302");
    case.wrapper.wait_for("ready again");
    assert_eq!(health(&case.place).0, 0);
    assert_eq!(field(&case.place, "web", "pid"), pid);
    case.end();
}

#[test]
fn ready_by_http_on_a_socket() {
    let case = Case::readiness(
        |place| {
            let socket = format!("unix:{}", place.at("socket"));
            words(&["serve", "http", &socket, &place.at("go"), &place.at("status")])
        },
        |place| format!("http = \"unix://{}:/x\", interval = \"20ms\"", place.at("socket")),
    );
    case.end();
}

#[test]
fn ready_by_a_port() {
    let port = free_port();
    let case = Case::readiness(
        |place| words(&["serve", "tcp", &format!("127.0.0.1:{port}"), &place.at("go")]),
        |_| format!("tcp = \"127.0.0.1:{port}\", interval = \"20ms\", successes = 3"),
    );
    case.end();
}

#[test]
fn ready_by_a_socket() {
    let case = Case::readiness(
        |place| words(&["serve", "unix", &place.at("run/s"), &place.at("go")]),
        |_| "unix = \"${run_path}/s\", interval = \"20ms\"".to_owned(),
    );
    case.end();
}

#[test]
fn ready_by_a_line() {
    let case = Case::readiness(
        |place| words(&["say", "listening on port 80", &place.at("go")]),
        |_| r#"log = "listening on port \\d+$""#.to_owned(),
    );
    case.end();
}

#[test]
fn ready_by_a_file() {
    let case =
        Case::readiness(|_| words(&["ignore"]), |place| format!("file = {:?}", place.at("go")));
    case.end();
}

#[test]
fn ready_by_a_newline_on_a_descriptor() {
    for descriptor in ["3", "7"] {
        let case = Case::readiness(
            |place| words(&["newline", descriptor, &place.at("go")]),
            |_| format!("fd = {descriptor}"),
        );
        case.end();
    }
}

#[test]
fn a_descriptor_is_passed_through_the_stage() {
    let case = Case::readiness(
        |place| words(&["newline", "3", &place.at("go")]),
        // The umask needs the stage, whose own pipe would be at 3.
        |_| "fd = 3 }\numask = \"0027\"\nenv = { A = \"b\"".to_owned(),
    );
    case.end();
}

#[test]
fn a_descriptor_is_the_only_one_that_is_passed() {
    let place = Place::new();
    let more = "ready = { fd = 5 }\nlive = { notify = true }\numask = \"0027\"";
    place.config(&format!("{MAIN}{}", coprocess("list", &["descriptors"], more)));
    let mut wrapper = place.run();
    let line = wrapper.wait_for("descriptors: ");
    let numbers: Vec<_> = line
        .split_once("descriptors: ")
        .unwrap()
        .1
        .trim_end_matches('"')
        .split(", ")
        .map(|one| one.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(numbers, ["0", "1", "2", "5"], "{line}");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn ready_by_notification() {
    let case = Case::readiness(
        |place| words(&["notify", "READY=1\\nSTATUS=Serving three clients", &place.at("go")]),
        |_| "notify = true".to_owned(),
    );
    assert_eq!(field(&case.place, "web", "status"), "Serving three clients");
    let table = String::from_utf8(case.place.coproc(&["status"]).stdout).unwrap();
    assert!(table.contains("yes: Serving three clients"), "{table}");
    case.end();
}

#[test]
fn a_stranger_cannot_say_that_it_is_ready() {
    let place = Place::new();
    let web =
        coprocess("web", &["notify", "READY=1", &place.at("go")], "ready = { notify = true }");
    place.config(&format!("{MAIN}{web}"));
    let mut wrapper = place.run();
    wrapper.wait_for("[coprocess.web.started]");
    let pid = field(&place, "web", "pid").as_i64().unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let socket = environment.split('\0').find_map(|v| v.strip_prefix("NOTIFY_SOCKET=")).unwrap();
    #[allow(clippy::disallowed_methods)]
    let sent = std::process::Command::new(puppet())
        .args(["notify-other", socket, "READY=1"])
        .status()
        .unwrap();
    assert!(sent.success());
    wrapper.wait_for("NOTIFY_SOCKET is passed over");
    assert_eq!(wrapper.count("[coprocess.web.ready]"), 0);
    place.write("go", "");
    wrapper.wait_for("[coprocess.web.ready]");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn a_failing_live_command_goes_through_the_restart_policy() {
    let place = Place::new();
    place.write("well", "");
    let live = format!(
        "time_between_restarts = \"50ms\"\nlive = {{ exec = [\"test\", \"-e\", {:?}], interval = \"20ms\", failures = 2 }}",
        place.at("well")
    );
    let web = coprocess("web", &["serve", "unix", &place.at("s"), &place.at("no")], &live);
    place.config(&format!("{MAIN}{web}"));
    let mut wrapper = place.run();
    wrapper.wait_for("[coprocess.web.ready]");
    let first = field(&place, "web", "pid").as_i64().unwrap();
    std::fs::remove_file(place.path().join("well")).unwrap();
    let line = wrapper.wait_for("shows no life: stopping it");
    assert!(line.contains(": exit status 1, try 2"), "{line}");
    let line = wrapper.wait_for("[coprocess.web.exited]");
    assert!(line.contains("unhealthy"), "{line}");
    place.write("well", "");
    eventually("it runs anew", || {
        let web = status(&place);
        let pid = of(&web, "web")["pid"].as_i64();
        of(&web, "web")["state"] == "running" && pid.is_some_and(|pid| pid != first)
    });
    assert!(!alive(first as i32));
    let restarts = field(&place, "web", "restarts").as_u64().unwrap();
    assert!(restarts >= 1, "{restarts}");
    assert_eq!(field(&place, "web", "last_exit")["why"], "unhealthy");
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn a_failing_live_url_uses_the_restarts_up() {
    let port = free_port();
    let place = Place::new();
    place.write("go", "");
    let live = format!(
        "live = {{ http = \"http://127.0.0.1:{port}/\", interval = \"20ms\", delay = \"100ms\" }}"
    );
    let words =
        ["serve", "http", &format!("127.0.0.1:{port}"), &place.at("go"), &place.at("status")];
    let web = coprocess("web", &words, &live).replace("\"unlimited\"", "1");
    place.config(&format!("{MAIN}{web}"));
    let mut wrapper = place.run();
    wrapper.wait_for("listening");
    place.write("status", "500");
    wrapper.wait_for("gave up after 1 restarts: it showed no life");
    wrapper.wait_for("[coprocess.web.failed]");
    assert_eq!(health(&place), (1, "web: failed\n".to_owned()));
    assert_eq!(get(&place, "/livez"), (503, "web: failed\n".to_owned()));
    assert_eq!(wrapper.count("[coprocess.web.started]"), 2);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn a_watchdog_that_is_not_fed_bites() {
    let place = Place::new();
    place.write("go", "");
    place.write("alive", "");
    let probes =
        "ready = { notify = true }\nlive = { notify = true, interval = \"200ms\", failures = 5 }";
    let words = ["notify", "READY=1", &place.at("go"), &place.at("alive")];
    place.config(&format!("{MAIN}{}", coprocess("web", &words, probes)));
    let mut wrapper = place.run();
    wrapper.wait_for("[coprocess.web.ready]");
    let pid = field(&place, "web", "pid").as_i64().unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("WATCHDOG_USEC=1000000\0"));
    std::fs::remove_file(place.path().join("alive")).unwrap();
    let line = wrapper.wait_for("shows no life: stopping it");
    assert!(line.contains("no WATCHDOG=1 within 1s"), "{line}");
    wrapper.wait_for_nth("[coprocess.web.started]", 2);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn not_ready_in_time_goes_through_the_restart_policy() {
    let place = Place::new();
    let ready = "time_between_restarts = \"10ms\"\nready = { file = \"/no/such/file\", within = \"150ms\" }";
    let web = coprocess("web", &["ignore"], ready).replace("\"unlimited\"", "2");
    place.config(&format!("{MAIN}{web}"));
    let mut wrapper = place.run();
    let line = wrapper.wait_for("not ready within 150ms: stopping it");
    assert!(line.contains("file /no/such/file: no such file or directory, try "), "{line}");
    let line = wrapper.wait_for("[coprocess.web.exited]");
    assert!(line.contains("not-ready"), "{line}");
    wrapper.wait_for("gave up after 2 restarts: it was not ready in time");
    assert_eq!(wrapper.count("[coprocess.web.started]"), 3, "{}", wrapper.dump());
    assert_eq!(wrapper.count("[coprocess.web.ready]"), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn others_wait_for_its_readiness() {
    let place = Place::new();
    let ready = format!("ready = {{ file = {:?}, interval = \"10ms\" }}", place.at("go"));
    let base = coprocess("base", &["ignore"], &ready);
    let after =
        coprocess("after", &["ignore"], "").replace("\"pre-start\"", "\"coprocess.base.ready\"");
    place.config(&format!(
        "[main]\nexec = \"sleep 3600\"\nexec_event = \"coprocess.base.ready\"\n{base}{after}"
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("[coprocess.base.started]");
    assert_eq!(field(&place, "main", "state"), "waiting");
    assert_eq!(field(&place, "after", "state"), "waiting");
    let (code, text) = health(&place);
    assert_eq!(code, 1);
    assert!(text.starts_with("main: waiting\nbase: starting ("), "{text}");
    place.write("go", "");
    wrapper.wait_for("[coprocess.after.ready]");
    wrapper.wait_for("[start]");
    let ready = wrapper.position("[coprocess.base.ready]");
    assert!(ready < wrapper.position("[coprocess.after.started]"));
    assert!(ready < wrapper.position("[start]"));
    assert_eq!(health(&place), (0, String::new()));
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn the_main_process_starts_when_it_is_ready() {
    let place = Place::new();
    place.config(&format!(
        "[main]\nkind = \"program\"\nexec = [{:?}, \"say\", \"up and away\", {:?}]\nready = {{ log = \"^up and\" }}\n{}",
        puppet(),
        place.at("go"),
        coprocess("late", &["ignore"], "").replace("\"pre-start\"", "\"start\""),
    ));
    let mut wrapper = place.run();
    eventually("it is watched", || field(&place, "main", "probes")["ready"].is_string());
    let main = status(&place);
    assert_eq!(main["main"]["state"], "starting");
    assert_eq!(main["main"]["ready"], false);
    assert_eq!(main["main"]["probes"]["ready"], "log /^up and/: no such line yet");
    assert_eq!(wrapper.phases(), ["pre-start"]);
    let (code, text) = health(&place);
    assert_eq!((code, text.as_str()), (1, "main: starting (log /^up and/: no such line yet)\n"));
    place.write("go", "");
    wrapper.wait_for("[start]");
    wrapper.wait_for("[coprocess.late.ready]");
    assert_eq!(health(&place), (0, String::new()));
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.phases(), ["pre-start", "start", "exit"]);
}

#[test]
fn a_main_process_that_is_not_ready_in_time_ends_the_wrapper() {
    let place = Place::new();
    place.config(
        "[main]\nexec = \"sleep 3600\"\nready = { tcp = \"127.0.0.1:1\", within = \"100ms\" }\n",
    );
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    wrapper.wait_for(
        "the main process was not ready within 100ms (tcp 127.0.0.1:1: connection refused, try ",
    );
    assert_eq!(wrapper.phases(), ["pre-start", "exit"]);
}

#[test]
fn a_main_process_without_life_is_stopped_in_order() {
    let place = Place::new();
    place.write("well", "");
    let agent = coprocess("agent", &["ignore"], "stop_event = \"exit\"");
    place.config(&format!(
        "[main]\nexec = \"sleep 3600\"\nlive = {{ file = {:?}, interval = \"10ms\" }}\n{agent}",
        place.at("well")
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("[start]");
    assert_eq!(health(&place).0, 0);
    std::fs::remove_file(place.path().join("well")).unwrap();
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    wrapper.wait_for("the main process shows no life");
    assert!(wrapper.position("[exit]") < wrapper.position("[coprocess.agent.exited]"));
}

#[test]
fn health_of_nobody_is_one() {
    let place = Place::new();
    place.config(MAIN);
    let (code, text) = health(&place);
    assert_eq!(code, 1);
    assert!(text.starts_with("error: no wrapper answers at `"), "{text}");
    assert_eq!(place.coproc(&["health", "--no-such-flag"]).status.code(), Some(1));
    place.config("[main]\nkind = 3\n");
    assert_eq!(health(&place).0, 1);
}

#[test]
fn a_job_that_rests_between_two_good_runs_is_well() {
    let place = Place::new();
    let job = coprocess("job", &["exit", "0"], "time_between_restarts = \"1h\"");
    let bad = coprocess("bad", &["exit", "3"], "time_between_restarts = \"1h\"");
    let once = coprocess("once", &["exit", "3"], "").replace("\"unlimited\"", "\"never\"");
    place.config(&format!("{MAIN}{job}{bad}{once}"));
    let mut wrapper = place.run();
    wrapper.wait_for("[start]");
    eventually("both rest", || {
        let now = status(&place);
        ["job", "bad"].iter().all(|name| of(&now, name)["state"] == "backoff")
            && of(&now, "once")["state"] == "failed"
    });
    assert_eq!(health(&place), (1, "bad: backoff\n".to_owned()));
    assert_eq!(get(&place, "/livez").0, 200);
    assert_eq!(wrapper.stop(), 143);
}

#[test]
fn nginx_starts_by_its_log_and_is_ready_by_its_probe() {
    let place = Place::new();
    // Without `exec` the puppet stands in for nginx and announces a worker.
    place.config(&format!("[main]\nready = {{ file = {:?} }}\n", place.at("go")));
    let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for("[start-worker]");
    let main = status(&place);
    assert_eq!(main["main"]["state"], "running");
    assert_eq!(main["main"]["ready"], false);
    let (code, text) = health(&place);
    assert_eq!(code, 1);
    assert!(text.starts_with("main: not ready (file "), "{text}");
    place.write("go", "");
    eventually("it is ready", || field(&place, "main", "ready") == true);
    assert_eq!(health(&place), (0, String::new()));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.count("event: [start]"), 1);
}

#[test]
fn a_program_of_a_probe_that_hangs_is_killed_when_its_time_is_over() {
    let place = Place::new();
    let marker = format!("{}", 700_000 + std::process::id());
    let ready = format!(
        "ready = {{ exec = [\"sleep\", \"{marker}\"], timeout = \"50ms\", interval = \"60ms\" }}"
    );
    place.config(&format!("{MAIN}{}", coprocess("web", &["ignore"], &ready)));
    let mut wrapper = place.run();
    eventually("it was tried twice", || {
        let answer = field(&place, "web", "probes")["ready"].as_str().unwrap_or("").to_owned();
        let expected = format!("exec sleep {marker}: no answer within 50ms, try ");
        answer.strip_prefix(&expected).and_then(|n| n.parse().ok()).is_some_and(|n: u32| n >= 2)
    });
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(support::with_command_line(&format!("sleep {marker}")), [0; 0]);
}

#[test]
fn probes_end_with_their_process() {
    let place = Place::new();
    let count = place.at("count");
    let script = format!("echo x >> {count}");
    let live = format!("live = {{ exec = [\"sh\", \"-c\", {script:?}], interval = \"10ms\" }}");
    place.config(&format!("{MAIN}{}", coprocess("web", &["ignore"], &live)));
    let mut wrapper = place.run();
    eventually("it is asked", || place.read("count").len() > 4);
    assert!(place.coproc(&["stop", "web"]).status.success());
    eventually("it is stopped", || field(&place, "web", "state") == "stopped");
    let asked = place.read("count");
    // As long as many intervals.
    for _ in 0..5 {
        status(&place);
    }
    assert_eq!(place.read("count"), asked);
    assert!(place.coproc(&["start", "web"]).status.success());
    eventually("it is asked again", || place.read("count").len() > asked.len());
    assert_eq!(wrapper.stop(), 143);
}
