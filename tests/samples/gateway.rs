//! The samples of the gateway: with the real nginx and the tests' plugin server, and with hooks in Python.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::sample::Sample;
use crate::support::{PATIENCE, coproc, eventually};

/// Answers everything with what it was sent in a header, on the port that it was asked for.
fn upstream(port: u16, header: &'static str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let line = head.lines().find_map(|line| line.strip_prefix(header));
            let body = line.unwrap_or("none").trim().to_owned();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

fn up(port: u16) {
    eventually("the gateway listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

fn ask(port: u16, key: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "GET /orders/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    write!(stream, "{head}Authorization: {key}\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn both_ways_ask_the_plugin() {
    let sample = Sample::copy("gateway", &[8080, 8081, 9001], &[]);
    let plugin = Path::new(coproc()).with_file_name("examples/plugin");
    assert!(plugin.exists(), "the plugin is built by `cargo build --examples`");
    sample.stand_in("orders-plugin", &format!("exec {} \"$@\"", plugin.display()));
    upstream(sample.port(9001), "testheader:");
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("[start-worker]");
    for port in [8080, 8081].map(|port| sample.port(port)) {
        let good = ask(port, "good");
        assert!(good.starts_with("HTTP/1.1 200 "), "{good}\n{}", wrapper.dump());
        assert!(good.ends_with("testvalue"), "{good}");
        let bad = ask(port, "bad");
        assert!(bad.starts_with("HTTP/1.1 403 "), "{bad}\n{}", wrapper.dump());
    }
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn hooks_in_lua_change_requests_and_say_who_is_let_in() {
    let sample = Sample::copy("gateway-lua", &[8080, 9001], &[]);
    upstream(sample.port(9001), "testheader:");
    let mut wrapper = sample.run(&[]);
    up(sample.port(8080));
    let good = ask(sample.port(8080), "good");
    assert!(good.ends_with("testvalue"), "{good}\n{}", wrapper.dump());
    assert!(ask(sample.port(8080), "bad").starts_with("HTTP/1.1 403 "));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "nothing else waits for processes here")]
fn a_hook_in_c_is_built_as_it_says_and_sets_a_header() {
    let sample = Sample::copy("gateway-native", &[8080, 9001], &[]);
    let root = env!("CARGO_MANIFEST_DIR");
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-I", &format!("{root}/include"), "-o"]);
    compiler.arg(sample.place.at("hooks.so")).arg(sample.place.at("hooks.c"));
    assert!(compiler.status().unwrap().success());
    upstream(sample.port(9001), "x-native:");
    let mut wrapper = sample.run(&[]);
    up(sample.port(8080));
    let answer = ask(sample.port(8080), "any");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}\n{}", wrapper.dump());
    assert!(answer.ends_with("yes"), "{answer}");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn hooks_in_python_ask_their_files() {
    let sample = Sample::copy("gateway-python", &[8080, 9001], &[]);
    upstream(sample.port(9001), "x-who:");
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("gateway-python-1 is up");
    wrapper.wait_for("gateway-python-2 is up");
    let ask = |key| ask(sample.port(8080), key);
    let good = ask("good");
    assert!(good.starts_with("HTTP/1.1 200 "), "{good}\n{}", wrapper.dump());
    assert!(good.ends_with("alice"), "{good}");
    let new = ask("new");
    assert!(new.starts_with("HTTP/1.1 403 "), "{new}\n{}", wrapper.dump());
    wrapper.wait_for("somebody at 127.0.0.1 was refused");
    sample.place.write("hooks/tokens.json", "{ \"new\": \"carol\" }");
    eventually("the new token is known", || ask("new").ends_with("carol"));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}
