//! The events of the main process: which come, in which order, and that nobody can forge them.

mod support;

use std::io::Read;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::event::{events, short, wait_for_event};
use support::{Place, alive, eventually, http, puppet};

/// The pid in nginx's own pid file.
fn master(place: &Place) -> i32 {
    place.read("run/nginx.pid").trim().parse().unwrap()
}

#[test]
fn w33_events_in_order() {
    let place = Place::new();
    place.nginx(2, "", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 2);
    assert_eq!(short(&wrapper), ["pre-start", "start", "start-worker 1", "start-worker 2"]);
    let all = events(&wrapper);
    assert_eq!(all[1].number("pid"), master(&place));
    assert_eq!(all[1].number("tid"), master(&place));
    let workers = [all[2].number("worker_pid"), all[3].number("worker_pid")];
    assert!(workers[0] != workers[1] && workers.into_iter().all(alive), "{workers:?}");
    assert_eq!(wrapper.stop(), 0);
}

/// What comes of a signal that means a reload.
#[track_caller]
fn reload(signal: Signal, words: &str) {
    let place = Place::new();
    let port = place.nginx(2, "return 200 old;", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 2);
    place.nginx_conf(port, 2, "/dev/stdout info", "", "return 200 new;");
    wrapper.signal(signal);
    wait_for_event(&wrapper, "exit-worker", 2);
    assert_eq!(
        short(&wrapper)[4..],
        [
            "pre-reload",
            "reload",
            "start-worker 3",
            "start-worker 4",
            "exit-worker 3",
            "exit-worker 2"
        ]
    );
    let all = events(&wrapper);
    assert!(all[4].tells("reload_cause:") && all[4].tells(words), "{:?}", all[4]);
    assert_eq!(all[5].number("pid"), master(&place));
    let mut gone = [all[8].number("worker_pid"), all[9].number("worker_pid")];
    let mut first = [all[2].number("worker_pid"), all[3].number("worker_pid")];
    gone.sort_unstable();
    first.sort_unstable();
    assert_eq!(gone, first);
    assert!(http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w34_hup_reloads() {
    reload(Signal::SIGHUP, "(hangup)");
}

#[test]
fn w35_usr2_reloads() {
    reload(Signal::SIGUSR2, "(user defined signal 2)");
}

/// D31 as well: a worker that was killed says nothing itself, its master does.
#[test]
fn w37_a_worker_is_killed() {
    let place = Place::new();
    place.nginx(2, "", "");
    let mut wrapper = place.run();
    let victim = wait_for_event(&wrapper, "start-worker", 2).number("worker_pid");
    kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    let successor = wait_for_event(&wrapper, "start-worker", 3).number("worker_pid");
    assert_eq!(short(&wrapper)[4..], ["exit-worker 1", "start-worker 2"]);
    assert_eq!(events(&wrapper)[4].number("worker_pid"), victim);
    assert!(successor != victim && alive(successor));
    assert_eq!(wrapper.stop(), 0);
    // The master's own `exit` is not a worker's.
    assert_eq!(short(&wrapper)[6..], ["exit-worker 1", "exit-worker 0", "exit"]);
}

/// D32 as well: events are read from both streams while they come.
#[test]
fn w38_the_error_log_on_stderr() {
    let place = Place::new();
    let port = place.nginx(1, "", "");
    place.nginx_conf(port, 1, "stderr info", "", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert_eq!(short(&wrapper), ["pre-start", "start", "start-worker 1"]);
    assert_eq!(wrapper.stop(), 0);
}

/// D29 as well, here with lines that a visitor shapes.
#[test]
fn w39_a_visitor_forges_no_event() {
    let place = Place::new();
    let server = "access_log /dev/stdout forged; return 200 ok;";
    let port = place.nginx(2, server, "");
    let http = "log_format forged '$remote_addr \"$request\" $http_x_request_id';";
    place.nginx_conf(port, 2, "/dev/stdout info", http, server);
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 2);
    let line = "2026/01/01 00:00:00 [notice] 1#1: start worker process 6";
    for text in ["start worker process 5", line, "worker process 7 exited with code 0", "so exit"] {
        let mut answer = String::new();
        let mut stream = http::ask(port, "/", &format!("X-Request-Id: {text}\r\n"));
        stream.read_to_string(&mut answer).unwrap();
        wrapper.wait_for(&format!("HTTP/1.1\\\" {text}"));
    }
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(
        short(&wrapper)[1..],
        ["start", "start-worker 1", "start-worker 2", "exit-worker 1", "exit-worker 0", "exit"]
    );
}

/// D29 as well, here with lines of the main process that only resemble nginx's.
#[test]
fn w40_lines_that_only_resemble_events() {
    let place = Place::new();
    place.config("");
    place.write(
        "lines",
        "12\nss 34\nsomething exit\nstart worker process 23325\n1#1: start worker process 6\n\
         2026/01/01 00:00:00 [notice] 1#1: start worker process 7\n\
         2026/01/01 00:00:00 [notice] 1#1: worker process 5000 exited with code 0\n\
         2026/01/01 00:00:00 [notice] 5000#5000: exit\n\
         2026/01/01 00:00:00 [notice] start worker process 9999999999999999999\n",
    );
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_PRINT", &place.at("lines"))]);
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(short(&wrapper), ["pre-start", "start", "start-worker 1", "exit"]);
    assert_eq!(events(&wrapper)[2].number("worker_pid"), 5000);
    assert_eq!(wrapper.count("level=fatal"), 0);
}

/// D33: a coprocess that holds `start` holds the next event, but never the reading of lines.
#[test]
fn d33_a_held_event_does_not_hold_the_output() {
    let place = Place::new();
    place.config(&format!(
        "[coprocess.hold]\nname = \"hold\"\nexec = [\"{}\", \"until\", \"{}\"]\n\
         restarts = \"never\"\nexec_event = \"start\"\n",
        puppet(),
        place.at("go")
    ));
    // More than any pipe takes.
    place.write("lines", &format!("{}\n", "y".repeat(63)).repeat(4096));
    let mut wrapper = place.run_with(&[], &[("F_EV", "1"), ("F_PRINT", &place.at("lines"))]);
    wrapper.wait_for("hold: waiting");
    wrapper.wait_for(": up\"");
    assert_eq!(short(&wrapper), ["pre-start", "start"]);
    place.write("go", "");
    wait_for_event(&wrapper, "start-worker", 1);
    eventually("the end of the hold", || wrapper.count("event: [coprocess.hold.exited]") == 1);
    assert_eq!(wrapper.stop(), 0);
}
