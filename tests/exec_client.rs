//! `coproc exec`: the client of the exec socket.

mod support;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::exec::Server;
use support::{PATIENCE, Place, alive, eventually, text};

/// `coproc exec` with these words, not yet started. Tests that run in the background of a shell inherit
/// an ignored INT, and the client would leave it so.
fn command(server: &Server, words: &[&str]) -> Command {
    let words = [&["exec", "--socket", server.path(), "--"], words].concat();
    server.place.command_below(&["env", "--default-signal=INT,TERM"], &words)
}

/// Its whole output and its status.
#[allow(clippy::disallowed_methods)]
fn exec(server: &Server, words: &[&str]) -> Output {
    command(server, words).output().unwrap()
}

/// A client whose three streams are pipes; it is killed when the test is over.
struct Running(Child);

impl Running {
    #[allow(clippy::disallowed_methods)]
    fn start(server: &Server, words: &[&str]) -> Self {
        let mut command = command(server, words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Its exit code, or the number of the signal that ended it, negated.
    #[track_caller]
    fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().or(status.signal().map(|signal| -signal)).unwrap();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn expect(&mut self, text: &str) {
        let mut read = vec![0; text.len()];
        self.0.stdout.as_mut().unwrap().read_exact(&mut read).unwrap();
        assert_eq!(String::from_utf8_lossy(&read), text);
    }

    fn send(&mut self, text: &str) {
        self.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most memory that a process has used so far, in KiB.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn both_streams_and_the_status_are_the_programs() {
    let server = Server::with(&[], &[]);
    let output = exec(&server, &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(7));
    let output = exec(&server, &["nosuch"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).starts_with("nosuch: "), "{}", text(&output.stderr));
}

#[test]
fn a_signal_is_128_and_its_number_however_the_server_tells_it() {
    for settings in [&[][..], &[("TERMSIG", "name")]] {
        let server = Server::with(&[], settings);
        for (signal, code) in [("TERM", 143), ("KILL", 137), ("29", 157)] {
            let output = exec(&server, &["sh", "-c", &format!("kill -{signal} $$")]);
            assert_eq!(output.status.code(), Some(code), "{signal}");
            assert_eq!(text(&output.stderr), "", "{signal}");
        }
    }
    // sockexec's way has no name for it.
    for (settings, code) in [(&[][..], 128 + 40), (&[("TERMSIG", "name")], 255)] {
        let server = Server::with(&[], settings);
        let output = exec(&server, &["sh", "-c", "kill -40 $$"]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(code), String::new()));
    }
}

#[test]
fn words_after_the_program_are_the_programs_own() {
    let server = Server::with(&[], &[]);
    let mut command = server.place.command(&["exec", "--socket", server.path()]);
    command.args(["printf", "[%s]", "--socket", "-c", "--", "a b", "", "--help"]);
    #[allow(clippy::disallowed_methods)]
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "[--socket][-c][--][a b][][--help]");
}

#[test]
fn megabytes_go_through_cat() {
    let server = Server::with(&[], &[]);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(server.place.at("in"), &bytes).unwrap();
    let mut command = command(&server, &["cat"]);
    #[allow(clippy::disallowed_methods)]
    let output = command.stdin(File::open(server.place.at("in")).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
}

#[test]
fn a_hundred_megabytes_each_way_take_little_memory() {
    let server = Server::with(&[], &[]);
    let mut running = Running::start(&server, &["sh", "-c", "head -c 100000000 /dev/zero; wc -c"]);
    let mut piece = vec![0; 1 << 20];
    let mut left = 100_000_000;
    while left > 0 {
        let read = running.0.stdout.as_mut().unwrap().read(&mut piece).unwrap();
        assert!(read > 0 && read <= left, "{read} of {left}");
        left -= read;
    }
    let mut stdin = running.0.stdin.take().unwrap();
    for _ in 0..100 {
        stdin.write_all(&piece[..1_000_000]).unwrap();
    }
    let peak = peak(running.pid());
    assert!(peak < 32 << 10, "{peak} KiB");
    drop(stdin);
    running.expect("100000000\n");
    assert_eq!(running.wait(), 0);
}

#[test]
fn a_conversation() {
    let server = Server::with(&[], &[]);
    let mut running = Running::start(&server, &["cat"]);
    for line in ["one\n", "two\n"] {
        running.send(line);
        running.expect(line);
    }
    running.0.stdin = None;
    assert_eq!(running.wait(), 0);
}

#[test]
fn a_terminals_input_is_passed_on_until_it_ends() {
    let server = Server::with(&[], &[]);
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = command(&server, &["cat"]);
    command.stdin(terminal.slave).stdout(Stdio::piped());
    #[allow(clippy::disallowed_methods)]
    let mut running = Running(command.spawn().unwrap());
    // The command holds a descriptor of the terminal's other end.
    drop(command);
    let mut keyboard = File::from(terminal.master);
    keyboard.write_all(b"typed\n").unwrap();
    running.expect("typed\n");
    keyboard.write_all(b"\x04").unwrap();
    assert_eq!(running.wait(), 0);
}

#[test]
fn a_program_that_reads_no_more_ends_the_client() {
    let server = Server::with(&[], &[]);
    let mut running = Running::start(&server, &["head", "-n", "1"]);
    // As `yes | coproc exec head -1`: the one who writes learns it by a broken pipe.
    let mut stdin = running.0.stdin.take().unwrap();
    let error = loop {
        if let Err(error) = stdin.write_all("y\n".repeat(10_000).as_bytes()) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    running.expect("y\n");
    assert_eq!(running.wait(), 0);
}

#[test]
fn a_reader_that_has_gone_ends_the_program() {
    let server = Server::with(&[], &[]);
    let mut running = Running::start(&server, &["sh", "-c", "echo $$; exec yes"]);
    let mut head = [0; 64];
    let read = running.0.stdout.as_mut().unwrap().read(&mut head).unwrap();
    let pid = text(&head[..read]).lines().next().unwrap().parse().unwrap();
    running.0.stdout = None;
    assert_eq!(running.wait(), 0);
    eventually("the program ends", || !alive(pid));
}

#[test]
fn output_that_is_lost_is_a_failure() {
    let server = Server::with(&[], &[]);
    let mut command = command(&server, &["echo", "x"]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    #[allow(clippy::disallowed_methods)]
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("standard output cannot be written"));
}

#[test]
fn input_that_cannot_be_read_ends_the_program() {
    let server = Server::with(&[], &[]);
    let mut command = command(&server, &["sh", "-c", "cat; sleep 60"]);
    #[allow(clippy::disallowed_methods)]
    let output = command.stdin(File::open("/").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("standard input cannot be read"));
}

#[test]
fn the_first_term_ends_the_program_in_order() {
    let server = Server::with(&[], &[]);
    let flag = server.place.at("flag");
    let script =
        format!("trap 'sleep 0.3; : >{flag}; exit 4' TERM; echo up; while :; do sleep 0.05; done");
    let mut running = Running::start(&server, &["sh", "-c", &script]);
    running.expect("up\n");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait(), 143);
    eventually("the handler of the program runs", || fs::exists(&flag).unwrap());

    let mut running = Running::start(&server, &["sh", "-c", "echo up; exec sleep 60"]);
    running.expect("up\n");
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait(), 130);
}

#[test]
#[allow(clippy::disallowed_methods)]
fn what_is_ignored_at_the_start_stays_ignored() {
    let server = Server::with(&[], &[]);
    let above = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"];
    let script = "echo up; read line; echo $line";
    let words = ["exec", "--socket", server.path(), "sh", "-c", script];
    let mut command = server.place.command_below(&above, &words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    running.expect("up\n");
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 2, 2, "{ignored}");
    running.signal(Signal::SIGINT);
    running.send("on\n");
    running.expect("on\n");
    assert_eq!(running.wait(), 0);
}

#[test]
#[allow(clippy::disallowed_methods)]
fn output_that_has_nowhere_to_go() {
    let server = Server::with(&[], &[]);
    for (script, code) in [("echo lost", 1), ("exit 3", 3), ("echo seen >&2", 0)] {
        let above = ["sh", "-c", "exec \"$@\" >&-", "sh"];
        let words = ["exec", "--socket", server.path(), "sh", "-c", script];
        let output = server.place.command_below(&above, &words).output().unwrap();
        let why = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{script}: {why}");
        assert_eq!(why.contains("error: standard output cannot be written"), code == 1, "{why}");
    }
}

#[test]
#[allow(clippy::disallowed_methods)]
fn streams_that_somebody_made_non_blocking_are_waited_for() {
    let server = Server::with(&[], &[]);
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let ((stdin, ours), (output, stdout)) = (pipe(), pipe());
    rustix::pipe::fcntl_setpipe_size(&output, 4096).unwrap();
    for stream in [&stdin, &stdout] {
        rustix::io::ioctl_fionbio(stream, true).unwrap();
    }
    let mut command = command(&server, &["sh", "-c", "head -c 1000000 /dev/zero; cat"]);
    let mut running = Running(command.stdin(stdin).stdout(stdout).spawn().unwrap());
    // It has our end of the pipe as well, which would never be closed.
    drop(command);
    eventually("the pipe is full", || rustix::io::ioctl_fionread(&output).unwrap() > 0);
    let mut ours = File::from(ours);
    ours.write_all(b"end").unwrap();
    drop(ours);
    let mut read = Vec::new();
    File::from(output).read_to_end(&mut read).unwrap();
    assert_eq!((read.len(), running.wait()), (1_000_003, 0));
    assert!(read.ends_with(b"\0end"));
}

#[test]
fn the_second_term_leaves_at_once() {
    let server = Server::with(&[], &[]);
    let mut running = Running::start(&server, &["sh", "-c", "echo $$ >&2; read go; exec yes"]);
    let mut head = [0; 64];
    let read = running.0.stderr.as_mut().unwrap().read(&mut head).unwrap();
    let pid = text(&head[..read]).trim().parse().unwrap();
    // Not before the number was read: which of two streams comes first is not known.
    running.send("\n");
    // Nobody reads: once the pipe is full, what has come already cannot be written.
    let stdout = running.0.stdout.take().unwrap();
    rustix::pipe::fcntl_setpipe_size(&stdout, 4096).unwrap();
    eventually("the pipe is full", || rustix::io::ioctl_fionread(&stdout).unwrap() > 0);
    running.signal(Signal::SIGTERM);
    eventually("the program ends", || !alive(pid));
    assert!(alive(running.pid()));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait(), -15);
}

#[test]
fn a_server_that_vanishes() {
    let server = Server::with(&[], &[]);
    let mut running = Running::start(&server, &["sh", "-c", "echo up; sleep 60"]);
    running.expect("up\n");
    server.wrapper.signal(Signal::SIGKILL);
    assert_eq!(running.wait(), 111);
    let mut why = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut why).unwrap();
    assert!(why.starts_with("error: the server closed the connection"), "{why}");
}

#[test]
fn who_is_no_exec_server() {
    let place = Place::new();
    let output = place.coproc(&["exec", "--socket", "./none", "uname"]);
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).starts_with("error: no exec socket answers at `./none`: "));

    let listener = UnixListener::bind(place.at("http")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let output = place.coproc(&["exec", "--socket", "./http", "uname"]);
        assert_eq!(output.status.code(), Some(111));
        let why = text(&output.stderr);
        assert!(why.starts_with("error: the answer is not that of an exec socket: "), "{why}");
    });
}

#[test]
fn the_config_says_where_the_socket_is() {
    let server = Server::with(&[], &[]);
    let place = Place::new();
    let exec = |words: &[&str]| {
        let output = place.coproc(&[&["exec"], words].concat());
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, why) = exec(&["uname"]);
    assert_eq!(code, 2);
    assert!(why.contains("the config has no [exec_socket]"), "{why}");

    let folder = server.place.path().display();
    place.write(
        "coproc.toml",
        &format!("run_path = \"{folder}\"\n[exec_socket]\npath = \"${{run_path}}/e.sock\"\n"),
    );
    assert_eq!(exec(&["uname"]), (0, "Linux\n".into(), String::new()));

    place.write(
        "coproc.toml",
        &format!(
            "[exec_socket.one]\npath = \"/none\"\n[exec_socket.two]\npath = \"{folder}/e.sock\"\n"
        ),
    );
    assert_eq!(exec(&["--socket", "two", "uname"]), (0, "Linux\n".into(), String::new()));
    assert_eq!(exec(&["--socket", "one", "uname"]).0, 111);
    let (code, _, why) = exec(&["uname"]);
    assert_eq!(code, 2);
    assert!(why.contains("use --socket with `one`, `two`"), "{why}");
    let (code, _, why) = exec(&["--socket", "three", "uname"]);
    assert_eq!(code, 2);
    assert!(why.contains("is called `three`; there is `one`, `two`"), "{why}");
    assert!(why.contains("`./three`"), "{why}");
}
