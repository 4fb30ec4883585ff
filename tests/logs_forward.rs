//! Lines that are forwarded: to syslog over each of its ways, and to a collector that speaks OTLP.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;

use serde_json::Value;
use support::{PATIENCE, Place, coprocess, eventually, free_port};

/// A coprocess that writes so many numbered lines to stdout, and one to stderr.
fn writer(lines: u32) -> String {
    let words = format!("seq -f 'number %g' 1 {lines}; echo oops >&2");
    coprocess("writer", &format!("[\"sh\", \"-c\", \"{words}\"]"), "")
}

/// The config of one place, and what follows.
fn config(place: &Place, to: &str, keys: &str, rest: &str) {
    place.config(&format!("[log.forward.siem]\nto = \"{to}\"\nlevel = \"info\"\n{keys}\n{rest}"));
}

/// The messages' texts of `writer`, each with its stream.
fn of_writer(messages: &[String]) -> Vec<(String, String)> {
    let parse = |message: &String| {
        let words: Vec<_> = message.splitn(8, ' ').collect();
        let of = words.len() == 8 && words[3] == "writer";
        of.then(|| (words[5].to_owned(), words[7].to_owned()))
    };
    messages.iter().filter_map(parse).collect()
}

fn expected(lines: u32) -> Vec<(String, String)> {
    (1..=lines).map(|n| ("stdout".to_owned(), format!("number {n}"))).collect()
}

/// Receives datagrams until the writer's last line has come.
fn datagrams(receive: impl Fn(&mut [u8]) -> std::io::Result<usize>) -> Vec<String> {
    let mut messages = Vec::new();
    let mut buffer = vec![0; 65536];
    let done = |messages: &[String]| {
        let of = of_writer(messages);
        of.iter().any(|(stream, _)| stream == "stderr") && of.len() > 20
    };
    while !done(&messages) {
        let count = receive(&mut buffer).unwrap();
        messages.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
    }
    messages
}

fn check_messages(messages: &[String], priority: &str) {
    let mut of = of_writer(messages);
    of.retain(|(stream, _)| stream == "stdout");
    assert_eq!(of, expected(20), "{messages:?}");
    for message in messages {
        let words: Vec<_> = message.splitn(4, ' ').collect();
        assert!(words[0].ends_with(">1") && words[1].ends_with('Z'), "{message}");
        assert!(words[1].parse::<jiff::Timestamp>().is_ok(), "{message}");
    }
    let numbered = messages.iter().find(|message| message.ends_with("number 1")).unwrap();
    assert!(numbered.starts_with(priority), "{numbered}");
}

#[test]
fn datagrams_over_a_unix_socket() {
    let place = Place::new();
    let socket = UnixDatagram::bind(place.path().join("syslog")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    config(&place, &format!("unix://{}", place.at("syslog")), "", &writer(20));
    let mut wrapper = place.run();
    let messages = datagrams(|buffer| socket.recv(buffer));
    check_messages(&messages, "<30>1 ");
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn datagrams_over_udp_with_a_facility() {
    let place = Place::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = format!("udp://{}", socket.local_addr().unwrap());
    config(&place, &to, "facility = \"local0\"", &writer(20));
    let mut wrapper = place.run();
    let messages = datagrams(|buffer| socket.recv(buffer));
    check_messages(&messages, "<134>1 ");
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

/// Reads messages with their lengths before them, to the end of the stream.
fn counted(stream: impl Read) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut messages = Vec::new();
    loop {
        let mut length = Vec::new();
        if stream.read_until(b' ', &mut length).unwrap_or(0) == 0 {
            return messages;
        }
        let length: usize = String::from_utf8(length).unwrap().trim_end().parse().unwrap();
        let mut message = vec![0; length];
        stream.read_exact(&mut message).unwrap();
        messages.push(String::from_utf8(message).unwrap());
    }
}

/// The place is not there at first; what waited comes when it is, and all is sent before the end.
#[test]
fn a_stream_over_tcp_that_comes_late() {
    let place = Place::new();
    let port = free_port();
    config(&place, &format!("tcp://127.0.0.1:{port}"), "", &writer(1000));
    let mut wrapper = place.run();
    wrapper.wait_for("writer: number 1000\"");
    wrapper.wait_for("level=warning msg=\"log: forward siem: Connection refused");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let reader = std::thread::spawn(move || counted(listener.accept().unwrap().0));
    eventually("all was sent", || {
        let status = place.coproc(&["status", "--format", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        status["forwarded_lines"]["siem"]["sent"].as_u64() >= Some(1001)
    });
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    let mut of = of_writer(&reader.join().unwrap());
    of.retain(|(stream, _)| stream == "stdout");
    assert_eq!(of, expected(1000));
    assert_eq!(wrapper.count("log: forward siem: dropped "), 0, "{}", wrapper.dump());
}

/// Nobody answers: the log goes on, what finds no room is counted, and the end comes in its time.
#[test]
fn a_place_that_hangs_holds_up_nothing() {
    let place = Place::new();
    // Takes connections into its queue and reads nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap());
    config(&place, &to, "queue = 10", &writer(5000));
    let mut wrapper = place.run();
    wrapper.wait_for("writer: number 5000\"");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.count("writer: number "), 5000);
    let dropped: u64 = wrapper
        .lines()
        .iter()
        .filter_map(|line| line.split_once("log: forward siem: dropped ")?.1.split(' ').next())
        .map(|count| count.parse::<u64>().unwrap())
        .sum();
    assert!(dropped >= 5001, "{dropped} of them\n{}", wrapper.dump());
}

/// Reads one request; its head and its body.
fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn records(body: &Value) -> Vec<Value> {
    let records = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    records.as_array().unwrap().clone()
}

fn is_of_writer(record: &Value) -> bool {
    let attributes = record["attributes"].as_array().unwrap();
    attributes.iter().any(|one| one["key"] == "logger" && one["value"]["stringValue"] == "writer")
}

#[test]
fn batches_to_a_collector_that_is_busy_at_first() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}/otlp/v1/logs", listener.local_addr().unwrap());
    let keys = "resource = { \"service.name\" = \"shop\", region = \"eu\" }\nheaders = { X-Token = \"s3cret\" }";
    config(&place, &to, keys, &writer(2000));
    let collector = std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut heads = Vec::new();
        let mut busy = 1;
        while all.iter().filter(|record| is_of_writer(record)).count() < 2001 {
            let (mut stream, _) = listener.accept().unwrap();
            let (head, body) = request(&mut stream);
            let status = match busy {
                0 => "200 OK",
                _ => "503 Service Unavailable\r\nRetry-After: 0",
            };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}").unwrap();
            if busy > 0 {
                busy -= 1;
                continue;
            }
            let attributes = &body["resourceLogs"][0]["resource"]["attributes"];
            assert_eq!(attributes[1]["value"]["stringValue"], "shop", "{body}");
            assert!(records(&body).len() <= 512);
            all.extend(records(&body));
            heads.push(head);
        }
        (all, heads)
    });
    let mut wrapper = place.run();
    let (all, heads) = collector.join().unwrap();
    let texts: Vec<_> = all
        .iter()
        .filter(|record| is_of_writer(record) && record["body"]["stringValue"] != "oops")
        .map(|record| record["body"]["stringValue"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, (1..=2000).map(|n| format!("number {n}")).collect::<Vec<_>>());
    for head in heads {
        assert!(head.starts_with("POST /otlp/v1/logs HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nX-Token: s3cret\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
    }
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.count("log: forward siem: HTTP 503; it is tried again"), 1);
}

#[test]
fn what_a_collector_refuses_is_not_sent_again() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap());
    config(&place, &to, "", "");
    let collector = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (head, _) = request(&mut stream);
        write!(stream, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        head
    });
    let mut wrapper = place.run();
    assert!(collector.join().unwrap().starts_with("POST /v1/logs HTTP/1.1\r\n"));
    eventually("metrics tell of it", || {
        let status = place.coproc(&["status", "--format", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        status["forwarded_lines"]["siem"]["dropped"].as_u64() > Some(0)
    });
    wrapper.stop();
    wrapper.wait_for("level=warning msg=\"log: forward siem: refuses lines: HTTP 400\"");
}
