//! How it ends: what has begun is answered, nothing new is taken.

use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use coproc_core::threads::Stop;

use crate::world::{Client, Gate, OK, PATIENCE, Peer, upstream};

/// An upstream that answers when it is told to, and tells when it was asked.
fn held() -> (Peer, std::sync::mpsc::Receiver<()>, Sender<()>) {
    let (began, begins) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let up = upstream(move |mut client| {
        while let Some(request) = client.message() {
            if request.first.contains("held") {
                let _ = began.send(());
                let _ = may_go_on.lock().unwrap().recv_timeout(PATIENCE);
            }
            client.send(OK);
        }
    });
    (up, begins, go_on)
}

fn asking(gate: &Gate) -> Client {
    let mut client = gate.connect();
    client.send("GET /a/held HTTP/1.1\r\nHost: a\r\n\r\n");
    client
}

#[test]
fn what_has_begun_is_answered_and_its_connection_closed() {
    let (up, begins, go_on) = held();
    let gate = Gate::to(up.address);
    let mut idle = gate.connect();
    assert_eq!(idle.get("/a/").status(), 200);
    let mut busy = asking(&gate);
    begins.recv_timeout(PATIENCE).unwrap();
    gate.threads.stop(Stop::InOrder);
    // One that waits for nothing is closed at once.
    assert!(idle.is_closed());
    assert!(!gate.is_over(Duration::from_millis(100)));
    go_on.send(()).unwrap();
    let answer = busy.answer();
    assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    assert!(busy.is_closed());
    assert!(gate.is_over(PATIENCE));
}

#[test]
fn what_takes_too_long_is_cut_off() {
    let (up, begins, _go_on) = held();
    let gate = Gate::to(up.address);
    let mut busy = asking(&gate);
    begins.recv_timeout(PATIENCE).unwrap();
    gate.threads.stop(Stop::InOrder);
    gate.threads.stop(Stop::Now);
    assert!(gate.is_over(PATIENCE));
    assert!(busy.message().is_none());
}

#[test]
fn another_server_takes_over_where_one_ended_by_itself() {
    let (up, _begins, _go_on) = held();
    let mut gate = Gate::to(up.address);
    assert_eq!(gate.connect().get("/a/").status(), 200);
    // The doors stay open; who comes between waits.
    gate.threads.stop(Stop::Now);
    assert!(gate.is_over(PATIENCE));
    let mut early = Client::new(TcpStream::connect(gate.address).unwrap());
    gate.threads = gate.bound.start().unwrap();
    assert_eq!(early.get("/a/").status(), 200);
}
