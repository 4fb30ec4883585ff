//! How it ends: by signals, by the main process, by what cannot be started; and with which status.

mod support;

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::event::{events, short, wait_for_event};
use support::{Place, Wrapper, alive, http, puppet, with_command_line};

/// The pid of the puppet in nginx's place, once it is up.
fn main_pid(wrapper: &Wrapper) -> i32 {
    let line = wrapper.wait_for(": up\"");
    line.split_once("nginx: ").unwrap().1.split_once('#').unwrap().0.parse().unwrap()
}

/// The pid of a coprocess, once it was started.
fn pid_of(wrapper: &Wrapper, name: &str) -> i32 {
    let line = wrapper.wait_for(&format!("msg=\"{name}: started `"));
    line.trim_end_matches('"').rsplit_once(" as ").unwrap().1.parse().unwrap()
}

/// A coprocess of the config: its name, which is its key too, its command and further lines.
fn coprocess(name: &str, exec: &[&str], rest: &str) -> String {
    format!(
        "[coprocess.{name}]\nname = \"{name}\"\nexec = {exec:?}\nrestarts = \"never\"\n{rest}\n"
    )
}

#[test]
fn w36_term_stops_nginx() {
    let place = Place::new();
    place.nginx(2, "", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 2);
    let asked = Instant::now();
    assert_eq!(wrapper.stop(), 0);
    // Less than a second, but on a machine that does much else; a fixed pause would be five.
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(short(&wrapper)[4..], ["exit-worker 1", "exit-worker 0", "exit"]);
    let all = events(&wrapper);
    assert_eq!(all[6].get("pid"), all[1].get("pid"));
    let nginx = [all[1].number("pid"), all[2].number("worker_pid"), all[3].number("worker_pid")];
    assert!(!nginx.into_iter().any(alive), "{nginx:?}");
}

/// A signal while `pre-start` is held gives the start up.
#[track_caller]
fn give_up_the_start(signal: Signal, code: i32) {
    let place = Place::new();
    let hold = coprocess("hold", &["sleep", "1000"], "exec_event = \"pre-start\"");
    place.config(&hold);
    let mut wrapper = place.run();
    let sleep = pid_of(&wrapper, "hold");
    let asked = Instant::now();
    wrapper.signal(signal);
    assert_eq!(wrapper.wait(), code);
    assert!(asked.elapsed() < Duration::from_secs(11), "{:?}", asked.elapsed());
    assert!(!alive(sleep));
    assert_eq!(wrapper.count("msg=\"nginx: "), 0, "{}", wrapper.dump());
    assert_eq!(short(&wrapper), ["pre-start", "exit"]);
}

/// D40 as well.
#[test]
fn w44_term_before_the_main_process_is_started() {
    give_up_the_start(Signal::SIGTERM, 143);
}

#[test]
fn d40_int_before_the_main_process_is_started() {
    give_up_the_start(Signal::SIGINT, 130);
}

#[test]
fn d41_quit_before_the_main_process_is_started() {
    give_up_the_start(Signal::SIGQUIT, 131);
}

/// D40: who holds an event cannot hold the end.
#[test]
fn d40_term_while_start_and_pre_reload_are_held() {
    for event in ["start", "pre-reload"] {
        let place = Place::new();
        place.config(&coprocess("hold", &["sleep", "1000"], &format!("exec_event = \"{event}\"")));
        let mut wrapper = place.run_with(&[], &[("F_EV", "1")]);
        wrapper.wait_for(": up\"");
        wait_for_event(&wrapper, "start", 1);
        if event == "pre-reload" {
            wrapper.signal(Signal::SIGHUP);
        }
        let sleep = pid_of(&wrapper, "hold");
        assert_eq!(wrapper.stop(), 0, "{event}: {}", wrapper.dump());
        assert!(!alive(sleep), "{event}");
        // The reload is given up with the rest.
        assert_eq!(wrapper.count("reconfiguring"), 0, "{event}");
    }
}

/// D20 as well.
#[test]
fn w45_a_second_term_ends_all_at_once() {
    let place = Place::new();
    place.config(&coprocess(
        "deaf",
        &[&puppet(), "ignore", "TERM", "INT"],
        "exec_event = \"pre-start\"\nbackground = true\nstop_timeout = \"20s\"",
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("deaf: ready");
    let (main, deaf) = (main_pid(&wrapper), pid_of(&wrapper, "deaf"));
    wrapper.signal(Signal::SIGTERM);
    wrapper.wait_for("deaf: sending ");
    let asked = Instant::now();
    assert_eq!(wrapper.stop(), 1);
    // Far less than any of its three steps takes.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(!alive(main) && !alive(deaf));
}

/// An answer that takes its time, asked for and begun; the signal comes in the middle of it.
#[track_caller]
fn in_flight(main: &str, signal: Signal) {
    const LENGTH: usize = 300_000;
    let place = Place::new();
    let server = format!("root {}; limit_rate 150k; limit_rate_after 50k;", place.path().display());
    let port = place.nginx(1, &server, main);
    place.write("page", &"z".repeat(LENGTH));
    let mut wrapper = place.run();
    let worker = wait_for_event(&wrapper, "start-worker", 1).number("worker_pid");
    let mut stream = http::ask(port, "/page", "");
    let mut answer = vec![0; 1000];
    stream.read_exact(&mut answer).unwrap();
    wrapper.signal(signal);
    wrapper.wait_for("gracefully shutting down");
    stream.read_to_end(&mut answer).unwrap();
    let body = answer.iter().filter(|byte| **byte == b'z').count();
    assert_eq!(body, LENGTH, "the answer was cut");
    assert_eq!(wrapper.wait(), 0);
    assert!(!alive(worker));
}

/// D41 as well.
#[test]
fn w46_quit_lets_answers_end() {
    in_flight("", Signal::SIGQUIT);
}

#[test]
fn d42_term_lets_answers_end_where_the_stop_signal_is_quit() {
    in_flight("[main]\nstop_signal = \"QUIT\"\n", Signal::SIGTERM);
}

/// D37 as well.
#[test]
fn w47_the_status_of_the_main_process() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run_with(&[], &[("F_RC", "9")]);
    kill(Pid::from_raw(main_pid(&wrapper)), Signal::SIGTERM).unwrap();
    assert_eq!(wrapper.wait(), 9);
    assert_eq!(short(&wrapper), ["pre-start", "exit"]);
}

/// D37 as well.
#[test]
fn w48_the_main_process_is_killed() {
    let place = Place::new();
    place.config("");
    let mut wrapper = place.run();
    let main = main_pid(&wrapper);
    kill(Pid::from_raw(main), Signal::SIGKILL).unwrap();
    assert_eq!(wrapper.wait(), 137);
    assert_eq!(events(&wrapper)[1].number("pid"), main);
    wrapper.wait_for("level=error msg=\"nginx-run: ");
}

/// D37: a program that leaves TERM to the system was ended by it.
#[test]
fn d37_the_main_process_dies_of_term() {
    let place = Place::new();
    place.config("[main]\nexec = [\"sleep\", \"1000\"]\n");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start", 1);
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(short(&wrapper), ["pre-start", "start", "exit"]);
}

/// D37 as well: the last words of a program that lives for a moment are not lost.
#[test]
fn w49_nginx_says_why_it_does_not_start() {
    let place = Place::new();
    place.nginx(1, "", "");
    place.write("run/conf/nginx.conf", "evnts {}\n");
    for time in 1..=20 {
        let mut wrapper = place.run();
        assert_eq!(wrapper.wait(), 1, "time {time}: {}", wrapper.dump());
        let said = wrapper.count("unknown directive");
        assert_eq!(said, 1, "time {time}: {}", wrapper.dump());
        let line = wrapper.wait_for("unknown directive");
        assert!(line.contains("level=error msg=\"nginx: "), "{line}");
    }
}

/// D37 as well.
#[test]
fn w50_the_port_is_taken() {
    let place = Place::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    place.nginx(1, "", "");
    let port = other.local_addr().unwrap().port();
    place.nginx_conf(port, 1, "/dev/stdout info", "", "");
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1);
    assert!(wrapper.count("bind() to 127.0.0.1:") >= 5, "{}", wrapper.dump());
    assert_eq!(short(&wrapper), ["pre-start", "exit"]);
}

/// D35 as well: what cannot be started ends the wrapper.
#[test]
fn w51_the_binary_vanishes() {
    let place = Place::new();
    let version = "#!/bin/sh\nrm \"$0\"\necho nginx version: nginx/1.22.1\n";
    place.write("nginx", version);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.at("nginx"), executable).unwrap();
    place.config(&coprocess("a", &["true"], "exec_event = \"pre-start\""));
    let binary = place.at("nginx");
    let mut wrapper = place.run_with(&["--set", &format!("nginx_binary={binary}")], &[]);
    assert_eq!(wrapper.wait(), 127, "{}", wrapper.dump());
    wrapper.wait_for("level=fatal msg=\"run: ");
    assert!(wrapper.stderr().contains(&binary), "{}", wrapper.stderr());
    assert_eq!(short(&wrapper), ["pre-start", "exit"]);
}

/// D35: the shell's statuses, whoever named the program.
#[test]
fn d35_programs_that_cannot_be_started() {
    let place = Place::new();
    place.config("");
    place.write("plain", "text");
    for (program, code) in [("/no/such/program", 127), ("no-such-program", 127), ("./plain", 126)] {
        let mut wrapper = place.run_with(&["--", program], &[]);
        assert_eq!(wrapper.wait(), code, "{}", wrapper.dump());
        wrapper.wait_for("level=fatal msg=\"run: ");
        assert!(wrapper.stderr().contains(program), "{}", wrapper.dump());
        assert_eq!(short(&wrapper), ["pre-start", "exit"]);
    }
}

/// An nginx that goes into the background, with its log in this place.
#[track_caller]
fn daemon(error_log: &str) {
    let place = Place::new();
    let port = place.nginx(2, "", "");
    place.nginx_conf(port, 2, &error_log.replace("RUN", &place.at("run")), "", "");
    let conf = place.read("run/conf/nginx.conf").replace("daemon off;", "daemon on;");
    place.write("run/conf/nginx.conf", &conf);
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    assert!(wrapper.stderr().contains("`daemon on;`"), "{}", wrapper.dump());
    wrapper.wait_for("level=fatal msg=\"nginx-run: ");
    // The master's command line names the run path.
    assert_eq!(with_command_line(&place.at("run")), [0; 0]);
    // The workers', which does not, is in the log, if they came that far.
    let log = wrapper.lines().join("\n") + &place.read("run/error.log");
    for line in log.lines().filter_map(|line| line.split_once("start worker process ")) {
        assert!(!alive(line.1.trim_end_matches('"').parse().unwrap()));
    }
}

/// D43 as well.
#[test]
fn w52_nginx_goes_into_the_background() {
    daemon("/dev/stdout info");
}

#[test]
fn d43_nginx_goes_into_the_background_and_logs_to_a_file() {
    daemon("RUN/error.log info");
}

#[test]
fn d43_nginx_goes_into_the_background_without_a_word() {
    daemon("/dev/stdout crit");
}

/// D43: success at once is nothing bad in itself.
#[test]
fn d43_nginx_only_tests_its_configuration() {
    let place = Place::new();
    place.nginx(1, "", "");
    let conf = place.at("run/conf/nginx.conf");
    let mut wrapper = place.run_with(&["--", "nginx", "-t", "-c", &conf], &[]);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    wrapper.wait_for("test is successful");
    assert_eq!(wrapper.stderr(), "");
}

/// D38: a foreground coprocess that cannot be started on `pre-start` gives the start up, and what
/// runs already is stopped.
#[test]
fn d38_a_failure_at_pre_start() {
    let place = Place::new();
    place.config(&format!(
        "{}{}",
        coprocess("early", &["sleep", "1000"], "exec_event = \"pre-start\"\nbackground = true"),
        coprocess("bad", &["/no/such"], "exec_event = \"pre-start\""),
    ));
    let mut wrapper = place.run();
    let early = pid_of(&wrapper, "early");
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    assert!(!alive(early));
    assert_eq!(wrapper.count("msg=\"nginx: "), 0, "{}", wrapper.dump());
    assert!(wrapper.stderr().contains("/no/such"), "{}", wrapper.stderr());
}

/// D38: not even a program that is to be restarted for ever may fail to start on `pre-start`.
#[test]
fn d38_a_failure_at_pre_start_with_unlimited_restarts() {
    let place = Place::new();
    let bad = coprocess("bad", &["/no/such"], "exec_event = \"pre-start\"");
    place.config(&bad.replace("never", "unlimited"));
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    assert_eq!(wrapper.count("msg=\"nginx: "), 0, "{}", wrapper.dump());
}

/// D38: later, a failure is an error and no more; at the exit it does not change the status.
#[test]
fn d38_a_failure_at_start_and_exit() {
    let place = Place::new();
    place.config(
        &["start", "start-worker", "exit"]
            .map(|event| coprocess(event, &["/no/such"], &format!("exec_event = \"{event}\"")))
            .concat(),
    );
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_RC", "5")]);
    let main = main_pid(&wrapper);
    for name in ["start", "start-worker"] {
        wrapper.wait_for(&format!("level=error msg=\"{name}: "));
    }
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    assert!(alive(main));
    assert_eq!(wrapper.stop(), 5);
    wrapper.wait_for("level=error msg=\"exit: ");
    assert_eq!(short(&wrapper), ["pre-start", "start", "start-worker 1", "exit"]);
}
