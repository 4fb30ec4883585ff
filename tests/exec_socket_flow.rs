//! The exec socket's flows: a lot of output, a lot of input, many at once, and what programs inherit.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use support::exec::{LINUX, Server, UNAME, gone, netstring, request};
use support::{alive, children, eventually};

/// D4, D22: the status is the last, whatever the pipes still hold.
#[test]
fn e41_d04_d22_the_status_is_last() {
    let server = Server::new(&[]);
    for _ in 0..100 {
        let answer = server.sh("head -c 60000 /dev/zero; echo line >&2");
        assert_eq!(answer.status(), "exitcode 0");
        assert_eq!(answer.all("stdout").len(), 60000);
        assert_eq!(answer.all("stderr"), b"line\n");
    }
    server.done();
}

/// D2: what comes late never starts the program again.
#[test]
fn e45_d02_each_request_is_one_run() {
    let server = Server::new(&[]);
    let file = server.place.at("f");
    let argv = request(&["sh", "-c", &format!("echo x >> {file}")]);
    thread::scope(|scope| {
        for worker in 0..4u64 {
            let (server, argv) = (&server, &argv);
            scope.spawn(move || {
                for run in 0..250u64 {
                    let mut client = server.client();
                    client.send(argv);
                    // Not random, and all of 0 to 10 ms.
                    let pause = (worker * 250 + run).wrapping_mul(2_654_435_761) >> 7;
                    thread::sleep(Duration::from_micros(pause % 10_000));
                    // The end mark is taken although the program has ended.
                    client.send("0:,");
                    assert_eq!(client.rest().text(), "8:exitcode,1:0,");
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1000);
    server.done();
}

/// D2: stdin after the program itself has ended starts nothing.
#[test]
fn e45_d02_stdin_while_a_child_holds_the_output() {
    let server = Server::new(&[]);
    let file = server.place.at("f");
    let mut client = server.client();
    client.send(request(&["sh", "-c", &format!("echo run >> {file}; sleep 1 & exit 0")]));
    client.pause(400);
    client.send("5:hello,");
    assert_eq!(client.rest().text(), "8:exitcode,1:0,");
    assert_eq!(fs::read_to_string(&file).unwrap(), "run\n");
    server.done();
}

/// D6: what comes after the end mark is passed over.
#[test]
fn e46_d06_more_after_the_end_mark() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send([request(&["sh", "-c", "cat; sleep 1"]), "0:,".to_owned()].concat());
    client.pause(300);
    client.send("5:hello,");
    client.send("no netstring at all");
    assert_eq!(client.rest().at(1000).text(), "8:exitcode,1:0,");
    server.done();
}

/// D5, D6: a program that does not read is none the worse for it.
#[test]
fn e47_d05_d06_closed_stdin() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send(request(&["sh", "-c", "exec <&-; echo closed; sleep 0.5; exit 4"]));
    client.expect("6:stdout,7:closed\n,");
    for _ in 0..3 {
        client.send(netstring(&"x".repeat(100_000)));
    }
    client.send("0:,");
    assert_eq!(client.rest().text(), "8:exitcode,1:4,");
    server.done();
}

/// D3: no program holds anything of another.
#[test]
fn e48_d03_streams_end_on_their_own() {
    let server = Server::new(&[]);
    let mut first = server.client();
    first.send(request(&["sh", "-c", "sleep 0.5; cat"]));
    let mut second = server.client();
    second.send([request(&["sleep", "3"]), "0:,".to_owned()].concat());
    first.send("4:data,0:,");
    let answer = first.rest();
    assert!(answer.took < Duration::from_millis(2500), "{:?}", answer.took);
    assert_eq!(answer.text(), "6:stdout,4:data,8:exitcode,1:0,");
    assert_eq!(second.rest().text(), "8:exitcode,1:0,");
    server.done();
}

/// D3: three descriptors and no more.
#[test]
fn e49_d03_descriptors() {
    let server = Server::new(&[]);
    let mut others: Vec<_> = (0..5).map(|_| server.client()).collect();
    others.iter_mut().for_each(|client| client.send("1:1,3:cat,"));
    eventually("they all run", || children(server.wrapper.pid()).len() == 5);
    // The fourth is the folder that is listed.
    assert_eq!(server.run(&["ls", "/proc/self/fd"]).stdout(), "0\n1\n2\n3\n");
    server.done();
}

#[test]
fn e50_a_group_of_its_own() {
    let server = Server::new(&[]);
    let answer = server.sh("cut -d' ' -f5 /proc/$$/stat; echo $$").stdout();
    let lines: Vec<_> = answer.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_ne!(lines[0], server.wrapper.pid().to_string());
    server.done();
}

/// D13: what nobody reads is not read either.
#[test]
fn e63_d13_a_client_that_does_not_read() {
    let server = Server::new(&[]);
    assert_eq!(server.ask(UNAME).text(), LINUX);
    let before = server.resident();
    let mut client = server.client();
    client.send([request(&["yes"]), "0:,".to_owned()].concat());
    client.pause(5000);
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    let yes = children(server.wrapper.pid());
    assert_eq!(yes.len(), 1);
    // It waits for a reader, and there is one again.
    let mut read = 0;
    while read < 4 << 20 {
        read += client.read_some();
    }
    drop(client);
    gone(yes[0]);
    server.done();
}

/// D14: input goes on while output waits.
#[test]
fn e64_d14_all_of_stdin_before_any_output_is_read() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,");
    let piece: String = ('a'..='z').cycle().take(65_536).collect();
    let string = netstring(&piece);
    for _ in 0..200 {
        client.send(&string);
    }
    client.send("0:,");
    let answer = client.rest();
    assert_eq!(answer.status(), "exitcode 0");
    let output = answer.all("stdout");
    assert_eq!(output.len(), 200 * 65_536);
    assert!(output.chunks(65_536).all(|chunk| chunk == piece.as_bytes()));
    server.done();
}

#[test]
fn e65_d13_a_lot_of_stdin() {
    let server = Server::new(&[]);
    assert_eq!(server.ask(UNAME).text(), LINUX);
    let before = server.resident();
    let mut client = server.client();
    client.send(request(&["sh", "-c", "cat >/dev/null"]));
    let string = netstring(&"x".repeat(1_000_000));
    let mut most = 0;
    for _ in 0..100 {
        client.send(&string);
        most = most.max(server.resident());
    }
    client.send("0:,");
    assert_eq!(client.rest().text(), "8:exitcode,1:0,");
    let grown = most.saturating_sub(before);
    assert!(grown < 8192, "{grown} KiB");
    server.done();
}

#[test]
fn e66_one_long_string_is_not_waited_for() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,2000000:");
    client.send("x".repeat(1_000_000));
    // The first output comes although the string is far from complete.
    let mut twin = client.twin();
    let read = twin.read_some();
    assert!(read > 0);
    let writer = thread::spawn(move || {
        twin.send("y".repeat(1_000_000));
        twin.send(",0:,");
    });
    let answer = client.rest();
    writer.join().unwrap();
    let tail = String::from_utf8_lossy(&answer.bytes[answer.bytes.len().saturating_sub(40)..]);
    assert!(tail.ends_with("8:exitcode,1:0,"), "{:?} {tail}", answer.end);
    let rest = answer.bytes.iter().filter(|byte| **byte == b'y').count();
    assert_eq!(rest, 1_000_000);
    server.done();
}

#[test]
fn e67_many_short_strings() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,");
    let mut twin = client.twin();
    let writer = thread::spawn(move || {
        twin.send("1:x,".repeat(100_000));
        twin.send("0:,");
    });
    assert_eq!(client.rest().all("stdout"), vec![b'x'; 100_000]);
    writer.join().unwrap();
    server.done();
}

/// A program that leaves its group to stay outlives its call.
#[test]
fn e76_a_daemon_stays() {
    let server = Server::new(&[]);
    let file = server.place.at("pid");
    for _ in 0..10 {
        let script =
            format!("setsid -f sh -c 'echo $$ > {file}; exec sleep 10' </dev/null >/dev/null 2>&1");
        let answer = server.sh(&script);
        assert!(answer.took < Duration::from_secs(5), "{:?}", answer.took);
        assert_eq!(answer.text(), "8:exitcode,1:0,");
        let pid = || fs::read_to_string(&file).ok()?.trim().parse().ok();
        eventually("the daemon runs", || pid().is_some_and(alive));
        let daemon: i32 = pid().unwrap();
        // Longer than what is left in a group is left alone.
        thread::sleep(Duration::from_millis(150));
        assert!(alive(daemon));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::SIGKILL)
            .unwrap();
        fs::remove_file(&file).unwrap();
    }
    server.done();
}

/// What stays in the group and holds no output goes a moment after the call.
#[test]
fn what_stays_in_the_group_is_swept() {
    let server = Server::new(&[]);
    let file = server.place.at("pid");
    let script = format!("sleep 60 </dev/null >/dev/null 2>&1 & echo $! > {file}");
    assert_eq!(server.sh(&script).text(), "8:exitcode,1:0,");
    gone(fs::read_to_string(&file).unwrap().trim().parse().unwrap());
    server.done();
}

#[test]
fn e77_the_configured_path() {
    let server = Server::with(&[], &[("ENV__PATH", "/usr/bin:/bin:/configured")]);
    assert_eq!(server.run(&["bash", "-c", "echo $PATH"]).stdout(), "/usr/bin:/bin:/configured\n");
    server.done();
}

/// D1 and all that garbage can do, in short: nothing is left behind, and only the five tags come.
#[test]
fn e78_d01_garbage() {
    let server = Server::new(&["-t", "2", "-k", "1"]);
    assert_eq!(server.ask(UNAME).text(), LINUX);
    let descriptors =
        || fs::read_dir(format!("/proc/{}/fd", server.wrapper.pid())).unwrap().count();
    // All threads have what they need once their number stays as it is.
    let mut before = 0;
    eventually("the server has come to rest", || {
        let now = descriptors();
        thread::sleep(Duration::from_millis(300));
        std::mem::replace(&mut before, now) == now
    });
    let requests = [
        request(&["cat"]),
        request(&["echo", "hello"]),
        request(&["sh", "-c", "cat; echo x >&2; exit 3"]),
        request(&["nosuch"]),
        netstring("stdin"),
        "0:,".to_owned(),
        ":".to_owned(),
        "12".to_owned(),
        "7:broken".to_owned(),
    ];
    thread::scope(|scope| {
        for worker in 0..10u64 {
            let (server, requests) = (&server, &requests);
            scope.spawn(move || {
                let mut random = worker + 1;
                let mut next = move |below: u64| {
                    // A linear congruence is random enough here, and always the same.
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 33) % below
                };
                for _ in 0..40 {
                    let mut bytes = Vec::new();
                    for _ in 0..1 + next(4) {
                        match next(5) {
                            0 => bytes.extend((0..next(12)).map(|_| next(256) as u8)),
                            _ => {
                                let part = &requests[next(requests.len() as u64) as usize];
                                let end = part.len() - next(3).min(part.len() as u64) as usize;
                                bytes.extend_from_slice(&part.as_bytes()[..end]);
                            }
                        }
                    }
                    let mut client = server.client();
                    let cut = next(bytes.len() as u64 + 1) as usize;
                    let sent = client
                        .try_send(&bytes[..cut])
                        .and_then(|()| client.try_send(&bytes[cut..]));
                    match next(3) {
                        0 => continue,
                        _ if sent.is_err() => continue,
                        _ => client.shut(),
                    }
                    let answer = client.rest();
                    let tags: BTreeSet<_> = answer.pairs().into_iter().map(|pair| pair.0).collect();
                    let known = ["stdout", "stderr", "exitcode", "termsig", "unknown"];
                    assert!(tags.iter().all(|tag| known.contains(&tag.as_str())), "{tags:?}");
                }
            });
        }
    });
    eventually("no child is left", || children(server.wrapper.pid()).is_empty());
    eventually("no descriptor is left", || descriptors() <= before);
    server.done();
}

/// A client that goes on sending after its answer keeps nobody else from theirs.
#[test]
fn a_client_that_never_stops_sending() {
    let server = Server::with(&[], &[("WORKERS", "1")]);
    let mut client = server.client();
    client.send("1:1,4:true,");
    let mut twin = client.twin();
    let writer = thread::spawn(move || {
        let piece = netstring(&"x".repeat(60_000));
        let mut sent = 0u64;
        while twin.try_send(&piece).is_ok() {
            sent += 1;
        }
        sent
    });
    assert_eq!(client.rest().text(), "8:exitcode,1:0,");
    for _ in 0..20 {
        assert_eq!(server.ask(UNAME).text(), LINUX);
    }
    // It is not listened to for long.
    assert!(writer.join().unwrap() > 0);
    server.done();
}
