//! The exec socket to the byte: requests, answers, and requests that are none.

mod support;

use support::exec::{LINUX, Server, UNAME, netstring, request};

/// One test: a server with these options, and what each request is answered.
macro_rules! answers {
    ($(#[$meta:meta])* fn $name:ident $options:tt: $($request:expr => $answer:expr),+ $(,)?) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            let server = Server::new(&$options);
            $(
                let answer = server.ask($request).at_once();
                assert_eq!(answer.text(), $answer, "{}", $request.escape_debug());
            )+
            server.done();
        }
    };
}

answers!(fn e01_a_program []: UNAME => LINUX);
answers!(fn e02_an_argument []: "1:2,5:uname,2:-s,0:," => LINUX);
answers!(fn e03_stdin []: "1:1,3:cat,5:hello,0:," => "6:stdout,5:hello,8:exitcode,1:0,");
answers!(fn e04_empty_stdin []: "1:1,3:cat,0:," => "8:exitcode,1:0,");
answers!(fn e05_no_end_mark []: "1:1,5:uname," => LINUX);
answers!(fn e06_an_exit_code []: "1:3,2:sh,2:-c,8:exit 255,0:," => "8:exitcode,3:255,");
answers!(fn e07_a_signal []: "1:3,2:sh,2:-c,13:kill -TERM $$,0:," => "7:termsig,4:TERM,");
answers!(fn e08_names_of_signals []:
    "1:3,2:sh,2:-c,13:kill -ABRT $$,0:," => "7:termsig,4:ABRT,",
    "1:3,2:sh,2:-c,11:kill -29 $$,0:," => "7:termsig,4:POLL,",
    "1:3,2:sh,2:-c,11:kill -40 $$,0:," => "7:termsig,3:???,",
);
answers!(fn e09_stderr []:
    "1:3,2:sh,2:-c,12:echo oops>&2,0:," => "6:stderr,5:oops\n,8:exitcode,1:0,");
answers!(fn e12_empty_arguments []:
    "1:4,6:printf,6:[%s]\\n,0:,1:b,0:," => "6:stdout,7:[]\n[b]\n,8:exitcode,1:0,");
answers!(fn e17_leading_zeros []:
    "01:1,05:uname,00:," => LINUX,
    "2:01,5:uname,0:," => LINUX,
);
answers!(
    /// D1: the server lives on whatever comes first.
    fn e18_d01_words_that_are_no_request []: "hello world\n" => ""
);
answers!(fn e19_counts_that_are_malformed []:
    "1:1;5:uname,0:," => "",
    ":1,5:uname,0:," => "",
    " 1:1,5:uname,0:," => "",
    "1,5:uname,0:," => "",
);
answers!(fn e20_an_argument_that_is_malformed ["-t", "60"]: "1:1,5:uname;0:," => "");
answers!(
    /// D16: the count is read from its own digits alone.
    fn e21_d16_counts_that_are_none []:
    "1:0,0:," => "",
    "0:," => "",
    "2:-1,5:uname," => "",
    "2:1x,5:uname,0:," => "",
);

/// The default tells signals by number, as lua-resty-exec reads them.
#[test]
fn e07_e08_d29_signals_are_numbers_by_default() {
    let server = Server::with(&[], &[]);
    for (script, answer) in [
        ("kill -TERM $$", "7:termsig,2:15,"),
        ("kill -ABRT $$", "7:termsig,1:6,"),
        ("kill -29 $$", "7:termsig,2:29,"),
        ("kill -40 $$", "7:termsig,2:40,"),
    ] {
        assert_eq!(server.sh(script).at_once().text(), answer);
    }
    server.done();
}

#[test]
fn e10_both_streams_and_a_code() {
    let server = Server::new(&[]);
    let answer = server.ask("1:3,2:sh,2:-c,30:printf a; printf b >&2; exit 3,0:,").text();
    let (a, b, end) = ("6:stdout,1:a,", "6:stderr,1:b,", "8:exitcode,1:3,");
    assert!([[a, b, end].concat(), [b, a, end].concat()].contains(&answer), "{answer}");
    server.done();
}

#[test]
fn e11_values_are_short_and_the_status_is_last() {
    let server = Server::new(&[]);
    let answer = server.ask("1:4,4:head,2:-c,5:20000,9:/dev/zero,0:,");
    assert_eq!(answer.status(), "exitcode 0");
    let pairs = answer.pairs();
    let (_, output) = pairs.split_last().unwrap();
    assert!(output.iter().all(|(tag, value)| tag == "stdout" && (1..=4096).contains(&value.len())));
    assert_eq!(answer.all("stdout"), vec![0; 20000]);
    server.done();
}

#[test]
fn e13_a_dialogue() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,");
    for word in ["one", "two"] {
        client.send(netstring(word));
        client.expect(&format!("6:stdout,3:{word},"));
    }
    client.send("0:,");
    assert_eq!(client.rest().text(), "8:exitcode,1:0,");
    server.done();
}

/// D1, D15: a request may come in any pieces.
#[test]
fn e14_d01_d15_byte_by_byte() {
    let server = Server::new(&[]);
    let mut client = server.client();
    for byte in UNAME.as_bytes() {
        // The program may have ended before the last of them.
        if client.try_send([*byte]).is_err() {
            break;
        }
        client.pause(20);
    }
    assert_eq!(client.rest().text(), LINUX);
    server.done();
}

#[test]
fn e15_a_count_in_two_pieces() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1");
    client.pause(200);
    client.send(":1,5:uname,0:,");
    assert_eq!(client.rest().text(), LINUX);
    server.done();
}

#[test]
fn e16_an_argument_in_two_pieces() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:2,4:ec");
    client.pause(200);
    client.send("ho,2:hi,0:,");
    assert_eq!(client.rest().text(), "6:stdout,3:hi\n,8:exitcode,1:0,");
    server.done();
}

/// D17: nothing is reserved for what is merely announced.
#[test]
fn e22_d17_large_numbers_cost_nothing() {
    let server = Server::new(&[]);
    assert_eq!(server.ask(UNAME).text(), LINUX);
    let before = server.resident();
    for _ in 0..20 {
        for request in ["10:4294967297,", "9:999999999,", "10:4294967295,", "1:1,99999999999:"] {
            assert_eq!(server.ask(request).at_once().text(), "");
        }
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB");
    server.done();
}

#[test]
fn e23_d18_a_nul_in_an_argument() {
    let server = Server::new(&[]);
    let file = server.place.at("made");
    let request = request(&["touch", &file, "a\0b"]);
    assert_eq!(server.ask(request).at_once().text(), "");
    assert_eq!(server.ask("1:2,4:echo,3:a\0b,0:,").at_once().text(), "");
    assert!(!std::path::Path::new(&file).exists());
    server.done();
}

#[test]
fn e24_a_protocol_error_after_the_start() {
    let server = Server::new(&[]);
    let mut client = server.client();
    client.send("1:1,3:cat,5:hello,5:worldX");
    client.expect("6:stdout,5:hello,");
    assert_eq!(client.rest().at_once().text(), "7:termsig,4:TERM,");
    server.done();
}

/// D23: what cannot be started says why.
#[test]
fn e38_d23_no_such_program() {
    let server = Server::new(&[]);
    let answer = server.ask("1:1,6:nosuch,0:,").at_once();
    let pairs = answer.pairs();
    assert_eq!(pairs.len(), 2);
    assert_eq!(pairs[0], ("stderr".into(), b"nosuch: no such file or directory\n".to_vec()));
    assert_eq!(answer.status(), "exitcode 127");
    server.done();
}

#[test]
fn e38_no_such_program_as_sockexec_tells_it() {
    let server = Server::with(&[], &[("EXEC_FAILURE", "close")]);
    for argv in [&["nosuch"][..], &["/"], &[""]] {
        let answer = server.run(argv).at_once();
        assert_eq!(answer.text(), "");
    }
    server.done();
}

#[test]
fn e39_what_may_not_be_executed() {
    let server = Server::new(&[]);
    server.place.write("plain", "text");
    let script = server.place.at("script");
    std::fs::write(&script, "echo no interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let folder = server.place.path().to_str().unwrap();
    for (program, code) in
        [(folder, 126), (&server.place.at("plain"), 126), (&script, 126), ("", 127)]
    {
        let answer = server.run(&[program]).at_once();
        assert_eq!(answer.status(), format!("exitcode {code}"), "{program}");
        assert!(!answer.all("stderr").is_empty());
        assert!(answer.all("stdout").is_empty());
    }
    server.done();
}

/// D26: what a client sends does not fill the log.
#[test]
fn e40_d26_a_huge_argument() {
    let server = Server::new(&["-d"]);
    let huge = "x".repeat(200_000);
    let mut client = server.client();
    let _ = client.try_send([request(&["echo", &huge]), "0:,".to_owned()].concat());
    let answer = client.rest().at_once();
    assert!(answer.bytes.is_empty());
    // The longest that Linux takes is taken, and shown in part.
    let long = "y".repeat(131_071);
    assert_eq!(server.run(&["printf", "%.3s", &long]).stdout(), "yyy");
    let name = "z".repeat(100_000);
    assert_eq!(server.run(&[&name]).status(), "exitcode 127");
    server.wrapper.stop_and(|wrapper| {
        let stderr = wrapper.stderr();
        assert!(stderr.contains("yyyy"));
        assert!(stderr.lines().all(|line| line.len() <= 1024), "a line is too long");
    });
}
