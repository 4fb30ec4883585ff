//! The sample of the gateway, with the real nginx and the tests' plugin server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::sample::Sample;
use crate::support::{PATIENCE, coproc};

/// Answers everything with what it was sent in `Testheader`, on the port that it was asked for.
fn upstream(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let line = head.lines().find_map(|line| line.strip_prefix("testheader:"));
            let body = line.unwrap_or("none").trim().to_owned();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
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
    upstream(sample.port(9001));
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
