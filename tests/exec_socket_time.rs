//! The exec socket in time: deadlines, TERM and KILL, and clients that go away.

mod support;

use std::fs;
use std::thread;

use support::exec::{LINUX, Server, UNAME, gone, request};
use support::{alive, eventually, puppet};

/// A shell command that says its pid, which is its group's, in a file before anything else.
fn noting(file: &str, script: &str) -> String {
    format!("echo $$ > {file}.new; mv {file}.new {file}; {script}")
}

/// The pid that a file names, once it does.
#[track_caller]
fn noted(file: &str) -> i32 {
    eventually("a pid is noted", || fs::metadata(file).is_ok());
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// Ignores TERM with all that it starts; says so with the file.
fn deaf(file: &str) -> String {
    format!("trap '' TERM; {}", noting(file, "sleep 60"))
}

together! {
    fn e25_silence() {
        let server = Server::new(&["-t", "1"]);
        assert_eq!(server.client().rest().at(1000).text(), "");
        server.done();
    }

    fn e26_half_a_request() {
        let server = Server::new(&["-t", "1"]);
        assert_eq!(server.ask("1:2,5:sleep,").at(1000).text(), "");
        server.done();
    }

    fn e27_the_deadline_counts_from_the_connection() {
        let server = Server::new(&["-t", "1"]);
        let mut client = server.client();
        client.send("1:2,5:sleep,");
        client.pause(700);
        client.send("2:30,0:,");
        let answer = client.rest().at(1000);
        assert!(answer.took.as_millis() < 1700, "{:?}", answer.took);
        assert_eq!(answer.text(), "7:termsig,4:TERM,");
        server.done();
    }

    /// A client that reads nothing has its place for no longer than its program may live.
    fn a_client_that_does_not_read_gives_its_place_back() {
        let server = Server::new(&["-t", "1", "-k", "3", "-m", "1"]);
        let mut deaf = server.client();
        deaf.send(request(&["yes"]));
        let begun = std::time::Instant::now();
        eventually("the place is free", || {
            let mut next = server.client();
            // One that comes too early is closed, perhaps before it has spoken.
            next.try_send(UNAME).is_ok() && next.rest().bytes == LINUX.as_bytes()
        });
        // A second after KILL, not another kill timeout later.
        assert!(begun.elapsed().as_millis() < 7500, "{:?}", begun.elapsed());
        drop(deaf);
        server.done();
    }

    fn e28_term_is_followed_by_kill() {
        let server = Server::new(&["-t", "1", "-k", "2"]);
        let file = server.place.at("pid");
        assert_eq!(server.sh(&deaf(&file)).at(3000).text(), "7:termsig,4:KILL,");
        assert!(!alive(noted(&file)));
        server.done();
    }

    /// D9, D10, D11: each connection has its own time, and its own TERM before its KILL.
    fn e29_d09_d10_d11_two_deadlines() {
        let server = Server::new(&["-t", "3", "-k", "1"]);
        let mut first = server.client();
        let file = server.place.at("pid");
        first.send(request(&["sh", "-c", &deaf(&file)]));
        first.pause(2000);
        let mut second = server.client();
        let script = "trap 'echo gotterm; exit 9' TERM; sleep 60 & wait";
        second.send(request(&["sh", "-c", script]));
        let first = thread::spawn(|| first.rest().at(4000).text());
        // The second came two seconds later.
        let answer = second.rest().at(3000);
        assert_eq!(answer.text(), "6:stdout,8:gotterm\n,8:exitcode,1:9,");
        assert_eq!(first.join().unwrap(), "7:termsig,4:KILL,");
        server.done();
    }

    fn e30_without_a_deadline() {
        let server = Server::new(&["-t", "0"]);
        let answer = server.ask("1:2,5:sleep,1:3,0:,").at(3000);
        assert_eq!(answer.text(), "8:exitcode,1:0,");
        server.done();
    }

    /// D7: a client that closes leaves its program the time between TERM and KILL.
    fn e32_d07_close_and_kill() {
        let server = Server::new(&["-k", "2"]);
        let (file, heard) = (server.place.at("pid"), server.place.at("heard"));
        let mut client = server.client();
        let loops = noting(&file, "while :; do sleep 60 & wait; done");
        let script = format!("trap 'echo x >> {heard}' TERM; {loops}");
        client.send(request(&["sh", "-c", &script]));
        let pid = noted(&file);
        let closed = std::time::Instant::now();
        drop(client);
        eventually("TERM came", || fs::metadata(&heard).is_ok());
        thread::sleep(std::time::Duration::from_millis(1000));
        assert!(alive(pid));
        gone(pid);
        assert!(closed.elapsed().as_millis() >= 1980);
        server.done();
    }

    fn e33_close_and_a_handler_that_takes_its_time() {
        let server = Server::new(&["-k", "5", "-m", "1"]);
        let (file, flag) = (server.place.at("pid"), server.place.at("flag"));
        let mut client = server.client();
        let waits = noting(&file, "wait");
        let script =
            format!("sleep 60 & trap 'kill $!; sleep 1; echo done > {flag}; exit' TERM; {waits}");
        client.send(request(&["sh", "-c", &script]));
        noted(&file);
        let closed = std::time::Instant::now();
        drop(client);
        // The one slot is free when the handler is through, and not when KILL would be due.
        eventually("the slot is free", || server.serves());
        assert_eq!(fs::read_to_string(&flag).unwrap(), "done\n");
        assert!((980..4900).contains(&(closed.elapsed().as_millis() as u64)));
        server.done();
    }

    /// D8: who sends no more still reads.
    fn e34_d08_half_close_while_it_runs() {
        let server = Server::new(&[]);
        let mut client = server.client();
        client.send("1:3,2:sh,2:-c,18:sleep 1; echo done,");
        client.shut();
        assert_eq!(client.rest().at(1000).text(), "6:stdout,5:done\n,8:exitcode,1:0,");
        server.done();
    }

    fn e35_half_close_is_the_end_of_stdin() {
        let server = Server::new(&[]);
        let mut client = server.client();
        client.send("1:1,3:cat,5:hello,");
        client.shut();
        assert_eq!(client.rest().at_once().text(), "6:stdout,5:hello,8:exitcode,1:0,");
        server.done();
    }

    fn e35_half_close_as_sockexec_took_it() {
        let server = Server::with(&[], &[("HALF_CLOSE", "disconnect")]);
        for input in ["", "5:cut"] {
            let file = server.place.at("pid");
            let mut client = server.client();
            client.send([&request(&["sh", "-c", &noting(&file, "sleep 60")]), input].concat());
            let pid = noted(&file);
            client.shut();
            assert_eq!(client.rest().text(), "");
            gone(pid);
            fs::remove_file(&file).unwrap();
        }
        server.done();
    }

    /// What was cut short within a string is not taken for complete: the program never reads an end.
    fn e35_half_close_within_a_string() {
        let server = Server::new(&[]);
        for cut in ["10:hello", "10:", "1", "5:hello"] {
            let mut client = server.client();
            client.send([request(&["sh", "-c", "cat >/dev/null; echo complete"]), cut.into()].concat());
            client.shut();
            assert_eq!(client.rest().at_once().text(), "7:termsig,4:TERM,", "{cut}");
        }
        server.done();
    }

    fn e37_half_close_before_the_arguments_are_there() {
        let server = Server::new(&[]);
        let mut client = server.client();
        client.send("1:2,4:echo,");
        client.shut();
        assert_eq!(client.rest().at_once().text(), "");
        server.done();
    }

    /// D4: what a child in the background writes is waited for.
    fn e42_d04_output_after_the_program_ended() {
        let server = Server::new(&[]);
        let mut client = server.client();
        client.send(
            [request(&["sh", "-c", "echo a; (sleep 1; echo b) & exit 3"]), "0:,".into()].concat(),
        );
        client.expect("6:stdout,2:a\n,");
        assert_eq!(client.rest().at(1000).text(), "6:stdout,2:b\n,8:exitcode,1:3,");
        server.done();
    }

    /// D12: the deadline goes on counting after the program itself has ended.
    fn e43_d12_a_child_that_holds_the_output() {
        let server = Server::new(&["-t", "1", "-k", "1"]);
        let file = server.place.at("pid");
        let answer = server.sh(&format!("echo a; (sleep 5; echo b) & echo $! > {file}; exit 3"));
        let answer = answer.at(1000);
        assert_eq!(answer.text(), "6:stdout,2:a\n,8:exitcode,1:3,");
        assert!(!alive(noted(&file)));
        server.done();
    }

    /// What has left the group and holds the output is waited for no longer than KILL takes, and the
    /// program's own status is told.
    fn e43_a_stranger_that_holds_the_output() {
        let server = Server::new(&["-t", "1", "-k", "1"]);
        let file = server.place.at("pid");
        let stranger = format!("setsid sh -c 'echo $$ > {file}.new; mv {file}.new {file}; exec sleep 60'");
        let answer = server.sh(&format!("{stranger} & sleep 0.3; exit 3")).at(3000);
        assert_eq!(answer.text(), "8:exitcode,1:3,");
        let stranger = nix::unistd::Pid::from_raw(noted(&file));
        nix::sys::signal::kill(stranger, nix::sys::signal::SIGKILL).unwrap();
        server.done();
    }

    fn e43_output_may_be_waited_for_only_so_long() {
        let server = Server::with(&["-k", "1"], &[("DRAIN", "200ms")]);
        let answer = server.sh("echo a; (sleep 5; echo b) & exit 3").at(200);
        assert_eq!(answer.text(), "6:stdout,2:a\n,8:exitcode,1:3,");
        server.done();
    }

    /// D5, D11: a program that closes its output runs on, also after one that was timed out.
    fn e44_d05_d11_closed_output() {
        let server = Server::new(&["-t", "1"]);
        let script = "exec >&- 2>&-; sleep 0.5; exit 5";
        for _ in 0..2 {
            assert_eq!(server.sh(script).at(500).text(), "8:exitcode,1:5,");
            assert_eq!(server.run(&["sleep", "60"]).at(1000).text(), "7:termsig,4:TERM,");
        }
        server.done();
    }

    /// D21: the whole group ends, not the shell alone.
    fn e51_d21_the_group_ends() {
        let server = Server::new(&["-t", "1"]);
        let file = server.place.at("pid");
        let script = format!("sleep 77 & echo $! > {file}.new; mv {file}.new {file}; wait");
        assert_eq!(server.sh(&script).at(1000).text(), "7:termsig,4:TERM,");
        gone(noted(&file));
        server.done();
    }

    fn e51_the_leader_alone_as_sockexec_did() {
        let server = Server::with(&["-t", "1"], &[("KILL_SCOPE", "leader"), ("TERMSIG", "name")]);
        let file = server.place.at("pid");
        // What outlives the program holds none of its output.
        let script = format!("sleep 3 </dev/null >/dev/null 2>&1 & echo $! > {file}; wait");
        assert_eq!(server.sh(&script).at(1000).text(), "7:termsig,4:TERM,");
        assert!(alive(noted(&file)));
        server.done();
    }

    /// A program that ignores TERM and is deaf to everything but KILL leaves nothing behind.
    fn what_ignores_term_is_killed_when_the_client_goes() {
        let server = Server::new(&["-k", "1"]);
        let puppet = puppet();
        let mut client = server.client();
        client.send(request(&[&puppet, "ignore", "TERM", "INT"]));
        client.expect("6:stdout,6:ready\n,");
        let below = support::children(server.wrapper.pid());
        assert_eq!(below.len(), 1);
        drop(client);
        eventually("it is reaped", || support::children(server.wrapper.pid()).is_empty());
        server.done();
    }
}

/// D27: no stream of bytes keeps a deadline away.
#[test]
fn e31_d27_deadlines_under_load() {
    let server = Server::new(&["-t", "1"]);
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = server.client();
            client.send("1:1,3:yes,0:,");
            thread::spawn(|| client.rest())
        })
        .collect();
    for client in clients {
        let answer = client.join().unwrap();
        assert!(answer.took.as_millis() >= 980, "{:?}", answer.took);
        assert_eq!(answer.status(), "termsig TERM");
    }
    server.done();
}

#[test]
fn e36_d08_what_comes_before_the_half_close_counts() {
    let server = Server::new(&[]);
    for _ in 0..100 {
        let mut client = server.client();
        client.send(UNAME);
        client.shut();
        assert_eq!(client.rest().text(), LINUX);
    }
    server.done();
}
