//! `coproc exec-server`: its command line, its socket's file, its capacity, and its end.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use support::exec::{Client, LINUX, Server, UNAME, gone, request};
use support::{Place, Wrapper, children, eventually, state};

/// D19: as many as allowed, and not one more.
#[test]
fn e52_d19_capacity() {
    let server = Server::new(&["-m", "2"]);
    let mut clients: Vec<_> = (0..2).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("1:1,3:cat,1:x,");
        client.expect("6:stdout,1:x,");
    }
    for _ in 0..8 {
        let mut third = server.client();
        // It may be closed before it can send.
        let _ = third.try_send(UNAME);
        let answer = third.rest();
        assert!(answer.bytes.is_empty(), "{answer:?}");
        assert!(answer.took < Duration::from_secs(2));
    }
    let mut first = clients.remove(0);
    first.send("0:,");
    assert_eq!(first.rest().text(), "8:exitcode,1:0,");
    assert_eq!(server.ask(UNAME).text(), LINUX);
    drop(clients);
    eventually("both places are free", || {
        let mut two = [server.client(), server.client()];
        two.iter_mut().all(|client| client.try_send(UNAME).is_ok())
            && two.into_iter().all(|client| client.rest().bytes == LINUX.as_bytes())
    });
    server.done();
}

/// D19, D20: connections that say nothing hold their places for the deadline and no longer.
#[test]
fn e53_d19_d20_idle_connections() {
    let server = Server::new(&["-m", "100", "-t", "2"]);
    let idle: Vec<_> = (0..100).map(|_| server.client()).collect();
    thread::sleep(Duration::from_millis(100));
    let one_more = server.client().rest();
    assert!(one_more.bytes.is_empty() && one_more.took < Duration::from_millis(1500));
    for client in idle {
        assert_eq!(client.rest().at(2000).text(), "");
    }
    assert_eq!(server.ask(UNAME).text(), LINUX);
    server.done();
}

/// D20: with no deadline at all, a request that does not come still has one.
/// D19: descriptors are no places in a table; a server may inherit many, and pass on none.
#[test]
fn e52_d19_many_inherited_descriptors() {
    let place = Place::new();
    let path = place.at("e.sock");
    let opens = "for n in $(seq 10 460); do eval \"exec $n</dev/null\"; done; exec \"$@\"";
    let above = ["bash", "-c", opens, "bash"];
    let mut wrapper = Wrapper::start(place.command_below(&above, &["exec-server", &path]));
    eventually("it is served", || UnixStream::connect(&path).is_ok());
    let mut client = Client::new(&path);
    client.send([request(&["ls", "/proc/self/fd"]), "0:,".to_owned()].concat());
    assert_eq!(client.rest().stdout(), "0\n1\n2\n3\n");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

/// A server without standard streams keeps its programs' apart all the same.
#[test]
fn e52_no_inherited_descriptors_at_all() {
    let place = Place::new();
    let path = place.at("e.sock");
    let above = ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
    let mut wrapper = Wrapper::start(place.command_below(&above, &["exec-server", &path]));
    eventually("it is served", || UnixStream::connect(&path).is_ok());
    let mut client = Client::new(&path);
    let script = "cat; echo err >&2; ls /proc/self/fd | wc -l";
    client.send([request(&["sh", "-c", script]), "3:in\n,0:,".to_owned()].concat());
    let answer = client.rest();
    assert_eq!((answer.stdout().as_str(), answer.all("stderr")), ("in\n4\n", b"err\n".to_vec()));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn e53_d20_a_request_has_a_deadline_of_its_own() {
    let server = Server::with(&["-t", "0"], &[("HEADER_TIMEOUT", "300ms")]);
    assert_eq!(server.client().rest().at(300).text(), "");
    assert_eq!(server.run(&["sleep", "0.5"]).at(500).text(), "8:exitcode,1:0,");
    server.done();
}

#[test]
fn e54_the_queue() {
    let server = Server::new(&["-q", "2"]);
    server.wrapper.signal(Signal::SIGSTOP);
    eventually("it is stopped", || state(server.wrapper.pid()) == Some('T'));
    let address = SocketAddrUnix::new(server.path()).unwrap();
    let mut waiting = Vec::new();
    for attempt in 0..6 {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&socket, &address) {
            Ok(()) => waiting.push(UnixStream::from(socket)),
            Err(error) => {
                assert_eq!((error.raw_os_error(), attempt >= 3), (Errno::EAGAIN as i32, true))
            }
        }
    }
    assert_eq!(waiting.len(), 3);
    server.wrapper.signal(Signal::SIGCONT);
    for stream in waiting {
        use std::io::{Read, Write};
        stream.set_nonblocking(false).unwrap();
        (&stream).write_all(UNAME.as_bytes()).unwrap();
        let mut answer = String::new();
        (&stream).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, LINUX);
    }
    server.done();
}

#[test]
fn e55_the_version() {
    let output = Place::new().coproc(&["exec-server", "-v"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let expected = regex::Regex::new(r"^\S+ version: \d+\.\d+\.\d+\n$").unwrap();
    assert!(expected.is_match(&text), "{text}");
}

#[test]
fn e56_wrong_command_lines() {
    let place = Place::new();
    let path = place.at("e.sock");
    for words in [
        &[][..],
        &["-q", "0", &path],
        &["-k", "0", &path],
        &["-m", "0", &path],
        &["-t", "abc", &path],
        &["-t", "-1", &path],
        &["-M", "8", &path],
        &["-t", "99999999999", &path],
        &["-z", &path],
        &["-h"],
        &["-q"],
    ] {
        let output = place.coproc(&[&["exec-server"], words].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(100), "{words:?}: {stderr}");
        assert!(stderr.starts_with("exec-server: usage: coproc exec-server [-v]"), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn e57_modes() {
    for (options, mode) in [
        (&["-M", "0777"][..], 0o777),
        (&["-M", "666"], 0o666),
        (&["-M", "0"], 0),
        (&["-M", "1777"], 0o777),
        (&[], 0o660),
    ] {
        let place = Place::new();
        let path = place.at("e.sock");
        let mut wrapper =
            Wrapper::start(place.command(&[&["exec-server"], options, &[&path]].concat()));
        let is = || Some(fs::metadata(&path).ok()?.permissions().mode() & 0o777);
        eventually("the socket is there", || is().is_some());
        // What the umask takes is added a moment later; never is it more than asked for.
        assert_eq!(is().unwrap() & !mode, 0);
        eventually("it is served", || UnixStream::connect(&path).is_ok());
        assert_eq!(is(), Some(mode));
        assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
        assert!(fs::metadata(&path).is_err());
    }
}

/// D25: a socket that nobody listens on is replaced.
#[test]
fn e58_d25_a_stale_socket() {
    let place = Place::new();
    drop(UnixListener::bind(place.at("e.sock")).unwrap());
    Server::in_place(place, &[], &[]).done();
}

#[test]
fn e59_what_is_there_is_left_alone() {
    let server = Server::new(&[]);
    let file = server.place.at("file");
    fs::write(&file, "mine").unwrap();
    let long = format!("/tmp/{}", "x".repeat(103));
    assert_eq!(long.len(), 108);
    let nowhere = server.place.at("nowhere/e.sock");
    for path in [server.path(), &file, &long, &nowhere] {
        let output = server.place.coproc(&["exec-server", path]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(111), "{path}: {stderr}");
        assert!(stderr.contains("exec-server: fatal: "), "{stderr}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    server.done();
}

/// D24: programs get TERM, and their clients what they say then.
#[test]
fn e60_d24_an_orderly_end() {
    let mut server = Server::new(&["-k", "3"]);
    let mut client = server.client();
    let script = "trap 'sleep 1; echo bye; exit 7' TERM; sleep 60 & echo ready; wait";
    client.send(request(&["sh", "-c", script]));
    client.expect("6:stdout,6:ready\n,");
    let silent = server.client();
    server.term();
    // Whoever comes now is told at once, and does not wait for what still runs.
    eventually("clients are refused", || UnixStream::connect(server.path()).is_err());
    assert_eq!(client.rest().text(), "6:stdout,4:bye\n,8:exitcode,1:7,");
    // It may not even have been accepted.
    assert!(silent.rest().bytes.is_empty());
    assert_eq!(server.wrapper.wait(), 0, "{}", server.wrapper.dump());
    assert!(fs::metadata(server.path()).is_err());
}

/// D24: one that ignores TERM is killed when its time is over, or at a second TERM at once.
#[test]
fn e60_d24_an_end_that_takes_a_kill() {
    for hurry in [false, true] {
        let mut server = Server::new(&["-k", if hurry { "20" } else { "1" }]);
        let mut client = server.client();
        client.send(request(&["sh", "-c", "trap '' TERM; echo ready; sleep 60"]));
        client.expect("6:stdout,6:ready\n,");
        let program = children(server.wrapper.pid())[0];
        let began = Instant::now();
        server.term();
        if hurry {
            thread::sleep(Duration::from_millis(200));
            server.term();
        }
        let answer = client.rest();
        if !hurry {
            assert_eq!(answer.text(), "7:termsig,4:KILL,");
        }
        assert_eq!(server.wrapper.wait(), i32::from(hurry), "{}", server.wrapper.dump());
        assert!(began.elapsed() < Duration::from_secs(10));
        gone(program);
    }
}

#[test]
fn e61_killed_and_started_again() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,1:x,");
    client.expect("6:stdout,1:x,");
    let cat = children(server.wrapper.pid());
    assert_eq!(cat.len(), 1);
    server.wrapper.signal(Signal::SIGKILL);
    assert!(client.rest().bytes.is_empty());
    // The end of its input is the end of it.
    gone(cat[0]);
    let Server { place, mut wrapper, .. } = server;
    assert_eq!(wrapper.wait(), 137);
    assert!(fs::metadata(place.at("e.sock")).is_ok());
    Server::in_place(place, &[], &[]).done();
}

/// D28: a hang-up is no reason to leave.
#[test]
fn e62_d28_hup() {
    let server = Server::new(&[]);
    server.wrapper.signal(Signal::SIGHUP);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(server.ask(UNAME).text(), LINUX);
    server.done();
}

/// USR1 says what is going on.
#[test]
fn usr1_shows_what_runs() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,1:x,");
    client.expect("6:stdout,1:x,");
    server.wrapper.signal(Signal::SIGUSR1);
    eventually("it is shown", || server.wrapper.stderr().contains("`cat` runs as "));
    drop(client);
    server.done();
}

/// D26: arguments are secrets unless somebody asks for them.
#[test]
fn d26_arguments_are_logged_only_when_asked_for() {
    let server = Server::with(&[], &[]);
    assert_eq!(server.run(&["true", "s3cret"]).status(), "exitcode 0");
    assert_eq!(server.run(&["nosuch", "s3cret"]).status(), "exitcode 127");
    server.wrapper.stop_and(|wrapper| {
        assert!(wrapper.stderr().contains("nosuch"));
        assert!(!wrapper.stderr().contains("s3cret"));
    });
    let server = Server::with(&["-d"], &[]);
    assert_eq!(server.run(&["true", "s3cret x"]).status(), "exitcode 0");
    server.wrapper.stop_and(|wrapper| assert!(wrapper.stderr().contains("true 's3cret x'")));
}

/// The hexadecimal form of `:exit`, which only a status holds.
const STATUS: &str = r"\x3a\x65\x78\x69\x74";

/// What is sent, as the kernel sees it.
#[test]
fn e68_sends_are_whole_pairs_and_the_close_follows() {
    let server = Server::new(&[]);
    assert_eq!(server.ask(UNAME).text(), LINUX);
    let file = server.place.at("trace");
    let pid = server.wrapper.pid().to_string();
    #[allow(clippy::disallowed_methods)]
    let traced = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=network,close", "-s", "70000", "-xx", "-o", &file, "-p", &pid])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut strace) = traced else { return support::skipped("there is no strace") };
    // It says so when it has attached.
    use std::io::{BufRead, BufReader};
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    if !line.contains("attached") {
        let _ = strace.wait();
        return support::skipped("strace may not attach");
    }
    let answer = server.ask("1:4,4:head,2:-c,5:20000,9:/dev/zero,0:,");
    assert_eq!(answer.status(), "exitcode 0");
    eventually("the close is traced", || {
        let trace = fs::read_to_string(&file).unwrap_or_default();
        let mut after = trace.lines().skip_while(|line| !line.contains("sendto("));
        // The status is in the last send.
        let status = after.by_ref().any(|line| line.contains("sendto(") && line.contains(STATUS));
        status && after.any(|line| line.contains("close("))
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(strace.id() as i32), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    let trace = fs::read_to_string(&file).unwrap();
    let mut all = Vec::new();
    let lines: Vec<_> = trace.lines().filter(|line| !line.contains("+++")).collect();
    let mut last = None;
    for (at, line) in lines.iter().enumerate() {
        let Some((_, rest)) = line.split_once("sendto(") else { continue };
        let bytes: Vec<u8> = rest
            .split('"')
            .nth(1)
            .unwrap()
            .split("\\x")
            .skip(1)
            .map(|hex| u8::from_str_radix(hex, 16).unwrap())
            .collect();
        assert!(bytes.len() <= 16 << 10, "{} bytes in one send", bytes.len());
        // Whole pairs alone can be read as pairs.
        let send = support::exec::Answer { bytes, end: Ok(()), took: Duration::ZERO };
        assert!(!send.pairs().is_empty());
        all.extend(send.bytes);
        last = Some((at, line.split_whitespace().next().unwrap(), rest.split(',').next().unwrap()));
    }
    assert_eq!(all, answer.bytes);
    let (at, thread, fd) = last.unwrap();
    let next = lines[at + 1..].iter().find(|line| line.starts_with(thread)).unwrap();
    // The trace may end within it.
    let closes = [format!("close({fd})"), format!("close({fd} ")];
    assert!(closes.iter().any(|close| next.contains(close)), "{next}");
    server.done();
}
