//! Bodies stream both ways: a slow side holds the other one up, and memory stays as it is.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::world::{Client, Gate, PATIENCE, upstream, wait_until};

const PIECE: usize = 64 << 10;
const GIB: usize = 1 << 30;

/// The most that may be on its way in sockets and buffers together.
const ON_THE_WAY: usize = 32 << 20;

/// The memory of this process in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

fn write_all(client: &mut Client, mut left: usize) {
    let piece = vec![b'x'; PIECE];
    while left > 0 {
        let length = left.min(PIECE);
        client.stream.get_mut().write_all(&piece[..length]).unwrap();
        left -= length;
    }
}

fn read_all(client: &mut Client, mut left: usize) {
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let length = left.min(PIECE);
        let read = client.stream.read(&mut piece[..length]).unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
}

#[test]
fn a_gibibyte_passes_in_either_direction_and_is_never_held() {
    let up = upstream(|mut client| {
        let Some(head) = client.head() else { return };
        match head.header("content-length") {
            Some(length) => {
                read_all(&mut client, length.parse().unwrap());
                client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
            None => {
                client.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n"));
                write_all(&mut client, GIB);
            }
        }
    });
    let gate = Gate::to(up.address);
    let before = resident();
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 200);
    read_all(&mut client, GIB / 2);
    let half = resident();
    read_all(&mut client, GIB / 2);
    let mut client = gate.connect();
    client.send(&format!("PUT /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n"));
    write_all(&mut client, GIB / 2);
    let other_half = resident();
    write_all(&mut client, GIB / 2);
    assert_eq!(client.answer().status(), 200);
    // Other tests of this program have memory of their own.
    for now in [half, other_half, resident()] {
        assert!(now < before + (256 << 20), "{before} bytes became {now}");
    }
}

#[test]
fn a_client_that_does_not_read_holds_the_upstream_up() {
    let written = Arc::<AtomicUsize>::default();
    let counted = written.clone();
    let up = upstream(move |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let piece = [format!("{PIECE:x}\r\n").into_bytes(), vec![b'x'; PIECE], b"\r\n".to_vec()];
        let piece = piece.concat();
        while client.stream.get_mut().write_all(&piece).is_ok() {
            counted.fetch_add(PIECE, Relaxed);
        }
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    let stalled = stalls(&written);
    assert!(stalled < ON_THE_WAY, "{stalled}");
    // It goes on as soon as somebody reads.
    read_all(&mut client, stalled + ON_THE_WAY);
    assert!(written.load(Relaxed) > stalled);
}

#[test]
fn an_upstream_that_does_not_read_holds_the_client_up() {
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let up = upstream(move |mut client| {
        client.head();
        let _ = may_go_on.lock().unwrap().recv_timeout(PATIENCE);
        read_all(&mut client, 2 * ON_THE_WAY);
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    let length = 2 * ON_THE_WAY;
    client.send(&format!("PUT /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    client.stream.get_ref().set_nonblocking(true).unwrap();
    let piece = vec![b'x'; PIECE];
    let (mut written, mut last) = (0, Instant::now());
    while last.elapsed() < Duration::from_millis(500) {
        match client.stream.get_mut().write(&piece) {
            Ok(more) => (written, last) = (written + more, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
        assert!(written < ON_THE_WAY);
    }
    go_on.send(()).unwrap();
    client.stream.get_ref().set_nonblocking(false).unwrap();
    write_all(&mut client, length - written);
    assert_eq!(client.answer().status(), 200);
}

/// What a count comes to that stands still.
fn stalls(count: &AtomicUsize) -> usize {
    let (mut known, mut last) = (0, Instant::now());
    while known == 0 || last.elapsed() < Duration::from_millis(500) {
        let now = count.load(Relaxed);
        if now != known {
            (known, last) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    known
}

#[test]
fn what_is_there_is_passed_on_at_once() {
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let up = upstream(move |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        let _ = may_go_on.lock().unwrap().recv_timeout(PATIENCE);
        client.send("two");
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    read_all(&mut client, 3);
    go_on.send(()).unwrap();
    read_all(&mut client, 3);
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let (began, begins) = channel();
    let (closed, closes) = channel();
    let up = upstream(move |mut client| {
        client.head();
        let _ = began.send(());
        let _ = closed.send(client.is_closed());
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    begins.recv_timeout(PATIENCE).unwrap();
    drop(client);
    assert!(closes.recv_timeout(PATIENCE).unwrap());
    wait_until("nothing is in flight", || gate.bound.figures().in_flight == 0);
}

#[test]
fn a_response_that_breaks_off_does_so_for_the_client_too() {
    let up = upstream(|mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    client.send("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().unwrap().header("content-length"), Some("6"));
    let mut body = Vec::new();
    let _ = client.stream.read_to_end(&mut body);
    assert_eq!(body, b"one");
}
