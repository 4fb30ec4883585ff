//! From the first socket to the exit code.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::rig::{Answer, Hook, Rig, failed, ok, unix};
use crate::support::{Place, Wrapper, eventually, free_port, text};

#[test]
fn c47_term_ends_it_and_its_sockets() {
    let mut rig = Rig::start();
    assert_eq!(rig.wrapper.stop(), 0);
    assert!(!rig.internal().exists() && !rig.response().exists());
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut rig = Rig::start();
        rig.wrapper.signal(signal);
        assert_eq!(rig.wrapper.wait(), 0);
    }
}

#[test]
fn c48_what_waits_for_a_response_gets_it_before_the_end() {
    let mut rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let request = json!({ "id": "a", "task": "foo", "responsehook": hook.url("/") });
    assert_eq!(rig.post(&request), ok("a"));
    let hop = f.requests.nth(0)["id"].clone();
    rig.wrapper.signal(Signal::SIGTERM);
    eventually("nothing new comes in", || {
        TcpStream::connect(("127.0.0.1", rig.port)).is_err() && !rig.internal().exists()
    });
    rig.respond(&json!({ "id": hop, "result": 1 }));
    assert_eq!(hook.posts.nth(0).body["result"], 1);
    assert_eq!(rig.wrapper.wait(), 0);
    assert!(!rig.response().exists());
}

#[test]
fn c49_what_is_not_answered_is_told_so_before_the_end() {
    let mut rig = Rig::with(&[("request_timeout", "1s")]);
    let hook = Hook::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let request = json!({ "id": "a", "task": "foo", "responsehook": hook.url("/") });
    assert_eq!(rig.post(&request), ok("a"));
    assert_eq!(rig.wrapper.stop(), 0);
    assert_eq!(hook.posts.nth(0).body, failed("a", "response timeout"));
}

#[test]
fn c49_who_waits_when_the_time_to_stop_is_over_is_told_so() {
    let mut rig = Rig::with(&[("stop_timeout", "2s"), ("request_timeout", "600s")]);
    let hook = Hook::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    for id in ["a", "b"] {
        let request = json!({ "id": id, "task": "foo", "responsehook": hook.url("/") });
        assert_eq!(rig.post(&request), ok(id));
    }
    assert_eq!(rig.wrapper.stop(), 0);
    let told = [0, 1].map(|n| hook.posts.nth(n).body);
    for id in ["a", "b"] {
        assert!(told.contains(&failed(id, "response timeout")), "{told:?}");
        let line = format!("`{id}` has no response in time");
        assert!(rig.wrapper.stderr().contains(&line), "{}", rig.wrapper.stderr());
    }
}

#[test]
fn c50_k11_nobody_holds_up_the_end() {
    let mut rig = Rig::with(&[("stop_timeout", "1s"), ("request_timeout", "60s")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = json!({ "Scheme": "http", "Host": silent.local_addr().unwrap().to_string() });
    let _f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let _idle = UnixStream::connect(rig.internal()).unwrap();
    let mut begun = TcpStream::connect(("127.0.0.1", rig.port)).unwrap();
    begun.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").unwrap();
    assert_eq!(rig.post(&json!({ "id": "a", "task": "foo", "responsehook": url })), ok("a"));
    let (_held, _) = silent.accept().unwrap();
    let started = Instant::now();
    assert_eq!(rig.wrapper.stop(), 0);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(rig.wrapper.stderr().contains("the end came before"), "{}", rig.wrapper.stderr());
}

#[test]
fn c51_k13_what_was_killed_is_replaced() {
    let mut rig = Rig::start();
    rig.wrapper.signal(Signal::SIGKILL);
    assert_eq!(rig.wrapper.wait(), 137);
    assert!(rig.internal().exists() && rig.response().exists());
    rig.wrapper = Rig::launch(&rig.place, rig.port, &[]);
    rig.wait_until_up();
    let none = failed("a", "no providers available for task");
    assert_eq!(rig.ask(&json!({ "id": "a", "task": "x", "responsehook": unix("/x") })), none);
}

#[test]
fn c52_a_second_one_of_the_same_name_harms_nobody() {
    let rig = Rig::start();
    let mut second = Rig::launch(&rig.place, free_port(), &[]);
    assert_eq!(second.wait(), 1);
    assert!(second.stderr().contains("is already served"), "{}", second.stderr());
    let none = failed("a", "no providers available for task");
    assert_eq!(rig.ask(&json!({ "id": "a", "task": "x", "responsehook": unix("/x") })), none);
}

#[test]
fn c53_k16_the_sockets_of_another_stay() {
    let mut first = Rig::start();
    fs::remove_file(first.internal()).unwrap();
    fs::remove_file(first.response()).unwrap();
    let port = free_port();
    let second = Rig::launch(&first.place, port, &[]);
    eventually("the second is up", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(first.wrapper.stop(), 0);
    let none = failed("a", "no providers available for task");
    assert_eq!(first.ask(&json!({ "id": "a", "task": "x", "responsehook": unix("/x") })), none);
    drop(second);
}

#[test]
fn c54_k17_a_port_that_is_taken() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut wrapper = Rig::launch(&place, port, &[]);
    assert_eq!(wrapper.wait(), 1);
    assert!(wrapper.stderr().contains("cannot be bound"), "{}", wrapper.stderr());
    assert!(!place.path().join("d/coordinator/coord.sock").exists());
}

#[test]
fn c55_wrong_command_lines_and_values() {
    let place = Place::new();
    let ends = |words: &[&str], code: i32, said: &str| {
        let words = [&["coordinator"], words].concat();
        let Output { status, stdout, stderr } = place.coproc(&words);
        assert_eq!(status.code(), Some(code), "{words:?}: {}", text(&stderr));
        assert!(stdout.is_empty() && text(&stderr).contains(said), "{words:?}: {}", text(&stderr));
    };
    ends(&[], 1, "missing service_name");
    ends(&["-n", "c", "-p", "0"], 1, "missing external_port");
    ends(&["-n", "c", "-s", ""], 1, "missing socket_dir");
    ends(&["-n", "c", "-l", "bogus"], 1, "bogus");
    ends(&["-n", "c", "-c", "none.json"], 1, "none.json");
    ends(&["-n", "../x", "-s", &place.at("d")], 1, "not the name of a service");
    ends(&["-n", "c", "-p", "70000", "-s", &place.at("d")], 1, "70000");
    ends(&["-n", "c", "-p", "70000"], 1, "external_port (by -p): `70000` is not a port, expected");
    ends(&["-p", "abc"], 2, "error: `-p`: `abc` is not a whole number\nUsage");
    ends(&["-r", "bogus"], 2, "error: unknown option `-r`\nUsage");
    ends(&["-h"], 2, "--service_name");
    place.write("c.json", r#"{"service_name": "c", "socketdir": "/x", "external_port": "abc"}"#);
    ends(&["-c", "c.json"], 1, "`socketdir` in c.json is passed over: unknown key; did you mean");
    ends(&["-c", "c.json"], 1, "external_port (by c.json): `abc` is not a port");
    // What keeps it from its start is a log as mistify's: one JSON object a line.
    let output = place.coproc(&["coordinator", "-c", "c.json"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let levels: Vec<_> = lines.iter().map(|line| line["level"].clone()).collect();
    assert_eq!(levels, ["warning", "error", "fatal"]);
    ends(&[], 1, "encountered an error during startup");
}

#[test]
fn c56_a_flag_goes_before_the_file() {
    let place = Place::new();
    let (folder, port) = (place.at("d"), free_port());
    let file = json!({
        "service_name": "file", "socket_dir": folder, "external_port": port, "log_level": "info",
    });
    place.write("c.json", &file.to_string());
    let mut flagged = Wrapper::start(place.command(&["coordinator", "-c", "c.json", "-n", "flag"]));
    eventually("it is there", || place.path().join("d/coordinator/flag.sock").exists());
    // At info it tells where it is, as one JSON object a line.
    eventually("it says so", || flagged.stderr().contains("server addresses"));
    let line = flagged.stderr().lines().next().unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "info", "{line}");
    assert_eq!(flagged.stop(), 0);
    let mut filed = Wrapper::start(place.command(&["coordinator", "-c", "c.json"]));
    eventually("it is there", || place.path().join("d/coordinator/file.sock").exists());
    assert_eq!(filed.stop(), 0);
}

#[test]
fn c57_k18_modes_do_not_depend_on_the_mask() {
    for mask in ["000", "077"] {
        let place = Place::new();
        let (folder, port) = (place.at("d"), free_port().to_string());
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        let words = ["coordinator", "-n", "coord", "-s", &folder, "-p", &port];
        let mut command = place.command_below(&["sh", "-c", &script], &words);
        command.env("COPROC_COORDINATOR__SOCKET_MODE", "0666");
        let mut wrapper = Wrapper::start(command);
        let mode = |name: &str| {
            let path = place.path().join("d").join(name);
            fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
        };
        eventually("it is there", || mode("coordinator/coord.sock").is_some());
        for (name, expected) in [
            ("", 0o750),
            ("coordinator", 0o750),
            ("response", 0o750),
            ("streams", 0o750),
            ("coordinator/coord.sock", 0o666),
            ("response/coord.sock", 0o666),
        ] {
            assert_eq!(mode(name), Some(expected), "{name} under {mask}");
        }
        assert_eq!(wrapper.stop(), 0);
    }
}

#[test]
fn k26_with_few_descriptors_a_crowd_waits_and_nobody_is_refused() {
    let place = Place::new();
    let (folder, port) = (place.at("d"), free_port());
    let word = port.to_string();
    let words = ["coordinator", "-n", "coord", "-s", &folder, "-p", &word, "-l", "info"];
    let script = "ulimit -n 64; exec \"$0\" \"$@\"";
    let wrapper = Wrapper::start(place.command_below(&["sh", "-c", script], &words));
    let rig = Rig { place, port, wrapper };
    rig.wait_until_up();
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let asked =
        |id: usize| json!({ "id": id.to_string(), "task": "foo", "responsehook": unix("/x") });
    // All have come before the first is heard out.
    let mut crowd: Vec<_> = (0..90).map(|_| UnixStream::connect(rig.internal()).unwrap()).collect();
    rig.says("the socket of requests serves");
    for (id, stream) in crowd.iter_mut().enumerate() {
        stream.write_all(&crate::rig::frame(asked(id).to_string().as_bytes())).unwrap();
    }
    for (id, mut stream) in crowd.into_iter().enumerate() {
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        let ack: serde_json::Value = serde_json::from_slice(crate::rig::body(&answer)).unwrap();
        assert_eq!(ack, ok(&id.to_string()));
    }
    let said = rig.wrapper.stderr();
    assert!(!said.contains("cannot accept"), "{said}");
    assert_eq!(said.matches("the socket of requests serves").count(), 1, "{said}");
}

#[test]
fn who_waits_for_a_seat_is_told_of_once() {
    let rig = Rig::with(&[("max_clients", "2")]);
    for _ in 0..3 {
        let held = [0, 1].map(|_| UnixStream::connect(rig.internal()).unwrap());
        let told = "the socket of requests serves 2 connections; further ones wait (max_clients)";
        rig.says(told);
        let mut third = UnixStream::connect(rig.internal()).unwrap();
        third.write_all(&crate::rig::frame(b"{}")).unwrap();
        drop(held);
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut third, &mut answer).unwrap();
        let ack: serde_json::Value = serde_json::from_slice(crate::rig::body(&answer)).unwrap();
        assert_eq!(ack["error"], "missing id");
    }
    assert_eq!(rig.wrapper.stderr().matches("further ones wait").count(), 1);
}

#[test]
fn k27_k28_orders_to_stop_may_come_twice_and_in_a_hurry() {
    let mut rig = Rig::start();
    let hook = Hook::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let request = json!({ "id": "a", "task": "foo", "responsehook": hook.url("/") });
    assert_eq!(rig.post(&request), ok("a"));
    // Who came before the end is served: the message follows the signal.
    let late = json!({ "id": "b", "task": "foo", "responsehook": unix("/x") }).to_string();
    let mut early = UnixStream::connect(rig.internal()).unwrap();
    rig.wrapper.signal(Signal::SIGQUIT);
    rig.wrapper.signal(Signal::SIGQUIT);
    early.write_all(&crate::rig::frame(late.as_bytes())).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut early, &mut answer).unwrap();
    let ack: serde_json::Value = serde_json::from_slice(crate::rig::body(&answer)).unwrap();
    assert_eq!(ack, ok("b"));
    assert_eq!(rig.wrapper.wait(), 0);
    assert_eq!(hook.posts.nth(0).body, failed("a", "response timeout"));
    // A second TERM does not wait for what is open.
    let mut rig = Rig::with(&[("request_timeout", "60s")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&request), ok("a"));
    rig.wrapper.signal(Signal::SIGTERM);
    eventually("it stops", || !rig.internal().exists());
    rig.wrapper.signal(Signal::SIGTERM);
    assert_eq!(rig.wrapper.wait(), 1);
}
