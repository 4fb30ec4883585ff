//! Every bound, and upstreams that fail.

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use coproc_gateway::config::Limits;

use crate::world::{Gate, OK, PATIENCE, Peer, answering, api, nobody, upstream, wait_until};

const SHORT: Duration = Duration::from_millis(100);

fn gate(up: &Peer, change: impl FnOnce(&mut Limits)) -> Gate {
    Gate::with(up.address, |config| change(&mut config.limits))
}

/// An upstream that sends for as long as somebody takes it, and tells each time that nobody does.
fn pouring() -> (Peer, Receiver<()>) {
    let (ended, ends) = channel();
    let up = upstream(move |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while client.stream.get_mut().write_all(&[b'x'; 1 << 16]).is_ok() {}
        let _ = ended.send(());
    });
    (up, ends)
}

const GET: &str = "GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn heads_are_bounded() {
    let (up, _asks) = answering(OK);
    let gate = gate(&up, |limits| {
        limits.max_header_bytes = 9000;
        limits.max_headers = 5;
    });
    let with = |header: &str| format!("GET /a/ HTTP/1.1\r\nHost: a\r\n{header}\r\n");
    assert_eq!(gate.ask(&with(&format!("X: {}\r\n", "x".repeat(8000)))).status(), 200);
    assert_eq!(gate.ask(&with(&format!("X: {}\r\n", "x".repeat(10_000)))).status(), 431);
    assert_eq!(gate.ask(&with(&"X: y\r\n".repeat(4))).status(), 200);
    assert_eq!(gate.ask(&with(&"X: y\r\n".repeat(5))).status(), 431);
    // One that never ends is not read for ever.
    let mut client = gate.connect();
    client.send(&format!("GET /a/ HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(200_000)));
    assert!(client.message().is_none_or(|answer| answer.status() == 431));
}

#[test]
fn bodies_are_bounded() {
    let up = upstream(|mut client| {
        while client.message().is_some() {
            client.send(OK);
        }
    });
    let gate = gate(&up, |limits| limits.max_body = 5);
    let sized = |length: usize| {
        let body = "x".repeat(length);
        gate.ask(&format!("POST /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    assert_eq!(sized(5).status(), 200);
    assert_eq!(sized(6).status(), 413);
    let chunked = |chunks: &str| {
        let head = "POST /a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        gate.ask(&format!("{head}{chunks}0\r\n\r\n"))
    };
    assert_eq!(chunked("3\r\nabc\r\n2\r\nde\r\n").status(), 200);
    assert_eq!(chunked("3\r\nabc\r\n3\r\ndef\r\n").status(), 413);
}

#[test]
fn slow_heads_and_idle_connections_are_closed_each_in_its_time() {
    let (up, _asks) = answering(OK);
    let slow = gate(&up, |limits| limits.header_timeout = SHORT);
    for begun in ["", "GET /a/ HTTP/1.1\r\nHost", "PRI * HT"] {
        let mut client = slow.connect();
        client.send(begun);
        assert!(client.is_closed(), "{begun}");
    }
    // Between requests there is more time.
    let mut client = slow.connect();
    assert_eq!(client.get("/a/").status(), 200);
    std::thread::sleep(3 * SHORT);
    assert_eq!(client.get("/a/").status(), 200);
    // The next head has its own.
    client.send("GET /a/ HTTP/1.1\r\n");
    assert!(client.is_closed());

    let idle = gate(&up, |limits| limits.idle_timeout = SHORT);
    let mut client = idle.connect();
    assert_eq!(client.get("/a/").status(), 200);
    assert!(client.is_closed());
}

#[test]
fn connections_and_requests_at_once_are_bounded() {
    let (began, begins) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let up = upstream(move |mut client| {
        while client.message().is_some() {
            let _ = began.send(());
            let _ = may_go_on.lock().unwrap().recv_timeout(PATIENCE);
            client.send(OK);
        }
    });
    let gate = gate(&up, |limits| {
        limits.max_connections = 2;
        limits.max_in_flight = 1;
    });
    let (mut first, mut second) = (gate.connect(), gate.connect());
    first.send(GET);
    begins.recv_timeout(PATIENCE).unwrap();
    second.send(GET);
    assert_eq!(second.answer().status(), 503);
    assert!(gate.connect().is_closed());
    go_on.send(()).unwrap();
    assert_eq!(first.answer().status(), 200);
    drop(first);
    wait_until("there is a place", || gate.bound.figures().connections == 1);
    go_on.send(()).unwrap();
    assert_eq!(second.get("/a/").status(), 200);
    let figures = gate.bound.figures();
    assert_eq!((figures.requests, figures.accepted, figures.refused), (3, 3, 1));
}

#[test]
fn a_body_that_stands_still_is_given_up() {
    let up = upstream(|mut client| {
        client.message();
    });
    let gate = gate(&up, |limits| limits.client_timeout = SHORT);
    let mut client = gate.connect();
    client.send("POST /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    assert_eq!(client.answer().status(), 408);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let (up, ends) = pouring();
    let gate = gate(&up, |limits| limits.client_timeout = SHORT);
    let mut client = gate.connect();
    client.send(GET);
    ends.recv_timeout(PATIENCE).unwrap();
    wait_until("the connection is closed", || gate.bound.figures().connections == 0);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A GET on a stream of HTTP/2, with each header spelt out.
fn get_on(stream: u8) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a/")]
    {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).unwrap());
            headers.extend_from_slice(text.as_bytes());
        }
    }
    frame(1, 5, stream, &headers)
}

#[test]
fn a_client_of_http_2_that_gives_no_room_is_given_up() {
    let (up, ends) = pouring();
    let gate = gate(&up, |limits| limits.client_timeout = SHORT);
    let mut client = gate.connect();
    let stream = client.stream.get_mut();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    // No room for any response.
    stream.write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
    for number in [1, 3] {
        stream.write_all(&get_on(number)).unwrap();
    }
    for _ in 0..2 {
        ends.recv_timeout(PATIENCE).unwrap();
    }
    wait_until("nothing is being answered", || gate.bound.figures().in_flight == 0);
    // What else the connection asks for is answered.
    assert_eq!((gate.bound.figures().connections, gate.bound.figures().requests), (1, 2));
}

#[test]
fn upstreams_that_fail() {
    let silent = upstream(|mut client| {
        client.head();
        client.is_closed();
    });
    let closing = upstream(|mut client| drop(client.head()));
    let says = |text: &'static str| {
        upstream(move |mut client| {
            client.head();
            client.send(text);
        })
    };
    let many: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200)).into_boxed_str());
    let large: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000)).into_boxed_str(),
    );
    let all = [
        (502, nobody()),
        (504, silent.address),
        (502, closing.address),
        (502, says("SSH-2.0-x\r\n\r\n").address),
        (502, says("HTTP/1.1 2OO OK\r\n\r\n").address),
        (502, says("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").address),
        (502, says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab").address),
        (502, says("HTTP/1.1 200 OK\r\nX : y\r\n\r\n").address),
        (502, says("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n").address),
        (502, says(many).address),
        (502, says(large).address),
    ];
    let apis = all.iter().enumerate().map(|(number, (_, address))| {
        api(&number.to_string(), &format!("/{number}/"), &format!("http://{address}/"))
    });
    let gate = Gate::serving(apis.collect(), |config| {
        config.limits.upstream_timeout = 3 * SHORT;
    });
    let mut client = gate.connect();
    for (number, (expected, _)) in all.iter().enumerate() {
        // The client's connection is none the worse for it.
        assert_eq!(client.get(&format!("/{number}/")).status(), *expected, "{number}");
    }
    assert_eq!(gate.bound.figures().upstream_failures, all.len() as u64);
}

#[test]
fn a_response_that_stands_still_is_given_up() {
    let (closed, closes) = channel();
    let up = upstream(move |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
        let _ = closed.send(client.is_closed());
    });
    let gate = gate(&up, |limits| limits.upstream_timeout = SHORT);
    let mut client = gate.connect();
    client.send(GET);
    assert_eq!(client.head().unwrap().status(), 200);
    let mut body = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut body);
    assert_eq!(body, b"ab");
    assert!(closes.recv_timeout(PATIENCE).unwrap());
}

#[test]
fn a_slow_upload_is_no_slow_upstream() {
    let (up, asks) = answering(OK);
    let gate = gate(&up, |limits| limits.upstream_timeout = 3 * SHORT);
    let mut client = gate.connect();
    client.send("POST /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n");
    for _ in 0..8 {
        std::thread::sleep(SHORT);
        client.send("x");
    }
    assert_eq!(client.answer().status(), 200);
    assert_eq!(asks.recv().unwrap().text(), "xxxxxxxx");
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let up = upstream(|mut client| {
        client.head();
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        client.is_closed();
    });
    let gate = gate(&up, |limits| limits.tunnel_timeout = SHORT);
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 101);
    assert!(client.is_closed());
}
