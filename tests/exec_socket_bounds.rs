//! The exec socket's bounds: many clients, many calls, much data and clients that misbehave leave
//! descriptors, memory and processes as they were.

mod support;

use std::fs;
use std::os::unix::net::UnixStream;
use std::thread;

use coproc_exec::answer::Answer;
use coproc_exec::protocol::Stream;
use support::exec::{Client, LINUX, Server, UNAME, gone, netstring, request};
use support::{Place, Wrapper, alive, children, eventually};

const MIB: u64 = 1 << 20;

/// A server's descriptors.
fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.wrapper.pid())).unwrap().count()
}

/// A value in KiB that the system tells of a server's memory.
fn memory(server: &Server, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.wrapper.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Nothing is left of what was served: no child, not even a zombie, and no descriptor more than before.
#[track_caller]
fn nothing_is_left(server: &Server, before: usize) {
    eventually("no child is left", || children(server.wrapper.pid()).is_empty());
    eventually("no descriptor is left", || descriptors(server) <= before);
}

/// All threads have served, so that each has what it needs for ever.
fn rested(server: &Server) -> usize {
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| assert_eq!(server.ask(UNAME).text(), LINUX)));
        }
    });
    let mut before = 0;
    eventually("the server has come to rest", || {
        let now = descriptors(server);
        thread::sleep(std::time::Duration::from_millis(300));
        std::mem::replace(&mut before, now) == now && children(server.wrapper.pid()).is_empty()
    });
    before
}

#[test]
fn two_hundred_clients_at_once() {
    let server = Server::new(&["-m", "200", "-q", "200"]);
    let before = rested(&server);
    let mut clients: Vec<_> = (0..200).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send([request(&["cat"]), netstring(&format!("{number:03}"))].concat());
    }
    // Each has had an answer before any of them ends.
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(&format!("6:stdout,3:{number:03},"));
    }
    assert_eq!(children(server.wrapper.pid()).len(), 200);
    for client in &mut clients {
        client.send("0:,");
    }
    for client in clients {
        assert_eq!(client.rest().text(), "8:exitcode,1:0,");
    }
    nothing_is_left(&server, before);
    server.done();
}

#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    let server = Server::new(&[]);
    let before = rested(&server);
    let resident = server.resident();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2500 {
                    assert_eq!(server.ask("1:1,9:/bin/true,0:,").text(), "8:exitcode,1:0,");
                }
            });
        }
    });
    nothing_is_left(&server, before);
    let grown = server.resident().saturating_sub(resident);
    assert!(grown < 2048, "{grown} KiB");
    server.done();
}

#[test]
fn a_gibibyte_through_cat_takes_little_memory() {
    let server = Server::new(&["-t", "0"]);
    rested(&server);
    let before = memory(&server, "VmHWM:");
    let mut client = server.client();
    client.send(request(&["cat"]));
    let mut feed = client.twin();
    let feeder = thread::spawn(move || {
        let piece = netstring(&"x".repeat(MIB as usize));
        (0..1024).for_each(|_| feed.send(&piece));
        feed.send("0:,");
    });
    let (mut answer, mut total, mut buffer) = (Answer::default(), 0, vec![0; 256 << 10]);
    loop {
        let read = client.read_into(&mut buffer);
        if read == 0 {
            break;
        }
        let mut bytes = &buffer[..read];
        while let Some((stream, output)) = answer.next(&mut bytes).unwrap() {
            assert_eq!(stream, Stream::Stdout);
            total += output.len() as u64;
        }
    }
    feeder.join().unwrap();
    assert_eq!(total, 1024 * MIB);
    assert_eq!(answer.status(), Some(coproc_core::exit::ExitStatus::Code(0)));
    let grown = memory(&server, "VmHWM:").saturating_sub(before);
    assert!(grown < 8192, "{grown} KiB");
    server.done();
}

/// Clients that never read, that never write, and that vanish at every point of a conversation: others
/// are served meanwhile, and when their time is over nothing is left of them.
#[test]
fn clients_that_misbehave_cost_nobody_anything() {
    let server = Server::new(&["-m", "100", "-t", "3", "-k", "1"]);
    let before = rested(&server);
    let resident = server.resident();
    let mut deaf: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut deaf {
        client.send([request(&["yes"]), "0:,".to_owned()].concat());
    }
    let silent: Vec<_> = (0..20).map(|_| server.client()).collect();
    let cat = request(&["cat"]);
    let whole = [&cat, "9:some text,", "0:,"].concat();
    for end in 0..whole.len() {
        let mut client = server.client();
        client.send(&whole[..end]);
        if end % 2 == 0 && end > cat.len() + 11 {
            client.expect("6:stdout,9:some text,");
        }
    }
    for _ in 0..20 {
        assert_eq!(server.ask(UNAME).text(), LINUX);
    }
    // A deaf client's pipe and queue are full by now.
    let grown = server.resident().saturating_sub(resident);
    assert!(grown < 20 * 1024, "{grown} KiB");
    for client in silent {
        assert_eq!(client.rest().text(), "");
    }
    nothing_is_left(&server, before);
    drop(deaf);
    nothing_is_left(&server, before);
    server.done();
}

/// Two megabytes of arguments each, in one long word after another and in many short ones.
#[test]
fn large_arguments_are_given_back() {
    let server = Server::new(&["-m", "100", "-t", "0"]);
    let before = rested(&server);
    let resident = server.resident();
    let long = vec!["x".repeat(131_000); 16];
    let short = vec!["x".repeat(30); 60_000];
    // What is freed must not change how the next is kept.
    for words in [&long, &short, &short] {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let request = request(&[&["true"], &words[..]].concat());
        let (most, last) = request.split_at(request.len() - 1);
        let mut clients: Vec<_> = (0..100).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| client.send(most));
        for mut client in clients {
            client.send(last);
            client.send("0:,");
            // How much Linux takes depends on the stack's limit.
            let status = client.rest().status();
            assert!(["exitcode 0", "exitcode 126"].contains(&&*status), "{status}");
        }
    }
    nothing_is_left(&server, before);
    let grown = server.resident().saturating_sub(resident);
    assert!(grown < 24 * 1024, "{grown} KiB");
    server.done();
}

/// D19: as many connections as there are descriptors for, and each of them is served to its end.
#[test]
fn e52_d19_few_descriptors() {
    let place = Place::new();
    let path = place.at("e.sock");
    let above = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    let words = ["exec-server", "-m", "100", &path];
    let mut command = place.command_below(&above, &words);
    command.env("COPROC_EXEC_SOCKET__WORKERS", "2");
    let mut wrapper = Wrapper::start(command);
    eventually("it is served", || UnixStream::connect(&path).is_ok());
    eventually("the limit is told", || wrapper.stderr().contains("RLIMIT_NOFILE is 64"));
    let said = wrapper.stderr();
    let (_, after) = said.split_once("at most ").unwrap();
    let most: usize = after.split_once(' ').unwrap().0.parse().unwrap();
    assert!(most >= 6, "{most}");
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..most).map(|_| Client::new(&path)).collect();
        for client in &mut clients {
            client.send([request(&["cat"]), netstring("x")].concat());
            client.expect("6:stdout,1:x,");
        }
        let mut one_more = Client::new(&path);
        let _ = one_more.try_send(UNAME);
        assert!(one_more.rest().bytes.is_empty());
        // Those of the round before may not be reaped yet.
        let cats: Vec<_> = children(wrapper.pid()).into_iter().filter(|pid| alive(*pid)).collect();
        assert_eq!(cats.len(), most);
        for mut client in clients {
            client.send("0:,");
            assert_eq!(client.rest().text(), "8:exitcode,1:0,");
        }
        cats.into_iter().for_each(gone);
    }
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert!(!wrapper.stderr().contains("cannot"), "{}", wrapper.dump());
}
