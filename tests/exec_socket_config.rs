//! `[exec_socket]` in a config: who runs what, what status and events tell, and how it ends with the
//! wrapper.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::exec::{Answer, Client, LINUX, UNAME, gone, request};
use support::{Place, Wrapper, coprocess, eventually, is_root, skipped};

/// A wrapper whose exec socket `e.sock` has these further lines, and nothing else.
fn wrapper(place: &Place, lines: &str, rest: &str) -> Wrapper {
    let path = place.at("e.sock");
    place.config(&format!("[exec_socket]\npath = {path:?}\n{lines}\n{rest}"));
    let wrapper = place.run();
    // The stand-in for nginx ends in order from then on.
    wrapper.wait_for(": up");
    wrapper
}

#[track_caller]
fn ask(place: &Place, socket: &str, argv: &[&str]) -> Answer {
    let mut client = Client::new(&place.at(socket));
    client.send([request(argv), "0:,".to_owned()].concat());
    client.rest()
}

#[track_caller]
fn run(place: &Place, argv: &[&str]) -> Answer {
    ask(place, "e.sock", argv)
}

fn status(place: &Place) -> Value {
    let output = place.coproc(&["status", "--format", "json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn several_sockets_beside_a_main_process() {
    let place = Place::new();
    let mut wrapper = place.up("[exec_socket.one]\npath = \"${run_path}/one.sock\"\n\
         [exec_socket.two]\npath = \"two.sock\"\nenv = { WHO = \"two\" }\nmode = \"0600\"\n");
    assert_eq!(ask(&place, "run/one.sock", &["sh", "-c", "echo .$WHO"]).stdout(), ".\n");
    assert_eq!(ask(&place, "two.sock", &["sh", "-c", "echo .$WHO"]).stdout(), ".two\n");
    assert_eq!(fs::metadata(place.at("two.sock")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert!(fs::metadata(place.at("run/one.sock")).is_err());
    assert!(fs::metadata(place.at("two.sock")).is_err());
}

#[test]
fn a_path_that_is_taken_starts_nothing() {
    let place = Place::new();
    place.write("e.sock", "mine");
    let mut wrapper = wrapper_that_fails(&place, &coprocess("x", "[\"touch\", \"made\"]", ""));
    assert_eq!(wrapper.wait(), 1);
    assert!(wrapper.stderr().contains("e.sock` is there and not a socket"), "{}", wrapper.dump());
    assert!(fs::metadata(place.at("made")).is_err());
    assert_eq!(place.read("e.sock"), "mine");
}

#[test]
fn the_surroundings_of_programs() {
    let place = Place::new();
    let lines = "cwd = \"/usr\"\numask = \"0027\"\nlimits = { nofile = 123 }\n\
                 env = { WHO = \"exec\" }\nenv_pass = [\"PATH\"]\n";
    let mut wrapper = wrapper(&place, lines, "");
    let script = "pwd; umask; ulimit -n; env | grep -v '^\\(PWD\\|OLDPWD\\|SHLVL\\|_\\)=' | cut -d= -f1 | sort";
    let answer = run(&place, &["sh", "-c", script]);
    assert_eq!(answer.stdout(), "/usr\n0027\n123\nPATH\nWHO\n");
    // The stage finds out what posix_spawn would.
    assert_eq!(run(&place, &["/usr/bin/nosuch"]).status(), "exitcode 127");
    let script = place.at("script");
    fs::write(&script, "no interpreter\n").unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let answer = run(&place, &[&script]);
    assert_eq!(answer.status(), "exitcode 126");
    assert!(!answer.all("stderr").is_empty());
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn a_setting_that_cannot_be_applied_is_not_the_programs_fault() {
    for (line, why) in [
        ("cwd = \"/nonexist\"", "its folder `/nonexist`: no such file or directory"),
        ("limits = { nofile = 99999999999 }", "its limit `nofile`: operation not permitted"),
    ] {
        let place = Place::new();
        let mut wrapper = wrapper(&place, line, "");
        let answer = run(&place, &["uname"]);
        assert_eq!(answer.status(), "exitcode 125");
        let told = String::from_utf8_lossy(&answer.all("stderr")).into_owned();
        assert!(
            told.starts_with("uname: ") && told != "uname: no such file or directory\n",
            "{told}"
        );
        wrapper.wait_for(&format!("`uname` cannot be started: {why}"));
        assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    }
}

#[test]
fn another_user_and_a_file_of_its_own() {
    if !is_root() {
        return skipped("only root can run programs as others");
    }
    let place = Place::new();
    let mut wrapper =
        wrapper(&place, "user = \"nobody\"\nowner = \"www-data:www-data\"\nmode = \"0600\"\n", "");
    // Its output can be opened anew, as nginx does it.
    let answer = run(&place, &["sh", "-c", "id -un; echo $HOME > /dev/stdout; cat /dev/stdin"]);
    assert_eq!(answer.stdout(), "nobody\n/nonexistent\n");
    let file = fs::metadata(place.at("e.sock")).unwrap();
    assert_eq!((file.uid(), file.gid()), (33, 33));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn a_user_that_does_not_exist() {
    let place = Place::new();
    let mut wrapper = wrapper_that_fails(&place, "user = \"no-such-user\"\n");
    assert_eq!(wrapper.wait(), 1);
    assert!(wrapper.stderr().contains("there is no user `no-such-user`"), "{}", wrapper.dump());
}

fn wrapper_that_fails(place: &Place, lines: &str) -> Wrapper {
    place.config(&format!("[exec_socket]\npath = \"e.sock\"\n{lines}"));
    place.run()
}

#[test]
fn only_what_is_allowed_runs() {
    let place = Place::new();
    let lines = r#"
        allow = [
            "/usr/bin/uname",
            { program = "/usr/bin/sleep", timeout = "300ms", kill_timeout = "1s" },
            { argv = '/usr/bin/echo (one|two)' },
        ]
    "#;
    let mut wrapper = wrapper(&place, lines, "");
    let text = |argv: &[&str]| run(&place, argv).text();
    assert_eq!(text(&["uname"]), LINUX);
    assert_eq!(text(&["/usr/bin/uname"]), LINUX);
    assert_eq!(text(&["sleep", "60"]), "7:termsig,2:15,");
    assert_eq!(text(&["echo", "two"]), "6:stdout,4:two\n,8:exitcode,1:0,");
    for argv in [&["echo", "three"][..], &["echo", "one", "two"], &["echo", "one two"], &["id"]] {
        let answer = run(&place, argv);
        assert_eq!(answer.status(), "exitcode 126");
        let said = format!("{}: it is not allowed here\n", argv[0]);
        assert_eq!(answer.all("stderr"), said.as_bytes());
    }
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn only_peers_that_are_named_may_connect() {
    let place = Place::new();
    let me = nix::unistd::geteuid().to_string();
    let group = nix::unistd::getegid().to_string();
    let other = "54321";
    for (lines, served) in [
        (format!("peer_users = [{me}]"), true),
        (format!("peer_users = [{other}]"), false),
        (format!("peer_users = [{other}]\npeer_groups = [{group}]"), true),
    ] {
        let mut wrapper = wrapper(&place, &lines, "");
        let mut client = Client::new(&place.at("e.sock"));
        let _ = client.try_send(UNAME);
        let answer = client.rest();
        assert_eq!(answer.bytes == LINUX.as_bytes(), served, "{lines}");
        if !served {
            assert!(answer.bytes.is_empty());
            assert_eq!(status(&place)["exec_sockets"][0]["refused"], 1);
        }
        assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    }
}

#[test]
fn one_user_has_no_more_than_a_share() {
    let place = Place::new();
    let mut wrapper = wrapper(&place, "max_connections_per_user = 2", "");
    let path = place.at("e.sock");
    let (mut first, mut second) = (Client::new(&path), Client::new(&path));
    for client in [&mut first, &mut second] {
        client.send([request(&["cat"]), "1:x,".to_owned()].concat());
        client.expect("6:stdout,1:x,");
    }
    let mut third = Client::new(&path);
    let _ = third.try_send(UNAME);
    assert!(third.rest().bytes.is_empty());
    let uid = nix::unistd::geteuid();
    let said = format!("connections are refused: uid {uid} has 2 already");
    eventually("it is told", || wrapper.dump().contains(&said));
    first.send("0:,");
    assert_eq!(first.rest().text(), "8:exitcode,1:0,");
    eventually("its place is free", || {
        let mut again = Client::new(&path);
        let _ = again.try_send(UNAME);
        again.rest().bytes == LINUX.as_bytes()
    });
    second.send("0:,");
    assert_eq!(second.rest().text(), "8:exitcode,1:0,");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

/// A group that is not its primary one lets a client in as well.
#[test]
fn a_supplementary_group_may_connect() {
    if !is_root() {
        return skipped("only root can be in any group");
    }
    let script = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; \
                  connect(S, sockaddr_un($ARGV[0])) or die; $| = 1; \
                  $SIG{PIPE} = 'IGNORE'; send(S, $ARGV[1], 0); \
                  print while <S>";
    let place = Place::new();
    let mut wrapper = wrapper(&place, "mode = \"0666\"\npeer_groups = [54322]", "");
    for (groups, answer) in [("54321,54322", LINUX), ("54321", "")] {
        #[allow(clippy::disallowed_methods)]
        let output = std::process::Command::new("setpriv")
            .args(["--reuid", "54321", "--regid", "54321", "--groups", groups])
            .args(["perl", "-e", script, &place.at("e.sock"), UNAME])
            .output();
        let Ok(output) = output else { return skipped("there is no setpriv") };
        assert_eq!(String::from_utf8_lossy(&output.stdout), answer, "{output:?}");
    }
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

fn metrics(place: &Place) -> String {
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn status_shows_what_runs() {
    let place = Place::new();
    let mut wrapper = wrapper(&place, "max_connections = 7", "");
    assert_eq!(run(&place, &["uname"]).text(), LINUX);
    assert_eq!(run(&place, &["nosuch"]).status(), "exitcode 127");
    let _ = ask(&place, "e.sock", &["x\0y"]);
    let mut client = Client::new(&place.at("e.sock"));
    client.send([request(&["cat"]), "5:hello,".to_owned()].concat());
    client.expect("6:stdout,5:hello,");
    let socket = status(&place)["exec_sockets"][0].clone();
    assert_eq!(socket["name"], "exec");
    assert_eq!(socket["path"], place.at("e.sock"));
    for (key, value) in [
        ("connected", 1),
        ("max_connections", 7),
        ("accepted", 4),
        ("started", 2),
        ("exec_failed", 1),
        ("protocol_errors", 1),
        ("refused", 0),
    ] {
        assert_eq!(socket[key], value, "{key} in {socket:#}");
    }
    assert!(socket["bytes_in"].as_u64() > Some(20) && socket["bytes_out"].as_u64() > Some(20));
    let run = &socket["running"][0];
    assert_eq!(run["program"], "cat");
    assert_eq!(run["peer_pid"], std::process::id());
    let table = String::from_utf8(place.coproc(&["status"]).stdout).unwrap();
    assert!(table.contains("1 of 7 connections, 2 started, 0 refused"), "{table}");
    let metrics = metrics(&place);
    for sample in [
        "coproc_exec_connections{name=\"exec\"} 1",
        "coproc_exec_running{name=\"exec\"} 1",
        "coproc_exec_sessions_total{name=\"exec\",outcome=\"not-started\"} 1",
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample} in {metrics}");
    }
    let pid = run["pid"].as_i64().unwrap() as i32;
    // It ends within the time of the wrapper's stop, and its client hears how.
    wrapper.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(client.rest().text(), "7:termsig,2:15,");
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    gone(pid);
}

/// A main process on its way out still has its programs run; only then the socket goes.
#[test]
fn the_socket_outlives_the_main_process() {
    let place = Place::new();
    let path = place.at("e.sock");
    place.write(
        "coproc.toml",
        &format!(
            "run_path = {:?}\n[log]\nlevel = \"debug\"\n\
             [main]\nexec = [\"sh\", \"-c\", \"trap 'sleep 0.5; exit 4' TERM; echo up; sleep 60 & wait\"]\n\
             [exec_socket]\npath = {path:?}\n",
            place.at("run")
        ),
    );
    let mut wrapper = place.run();
    wrapper.wait_for("main: up");
    wrapper.signal(nix::sys::signal::Signal::SIGTERM);
    thread::sleep(Duration::from_millis(150));
    assert_eq!(run(&place, &["uname"]).text(), LINUX);
    assert_eq!(wrapper.wait(), 4, "{}", wrapper.dump());
}

#[test]
fn events_are_published_for_those_who_wait_for_them() {
    let place = Place::new();
    let told = coprocess(
        "told",
        "[\"sh\", \"-c\", \"echo told\"]",
        "exec_event = \"exec.exited\"\nrestarts = \"never\"\n",
    );
    let mut wrapper = wrapper(&place, "", &told);
    assert_eq!(run(&place, &["sh", "-c", "exit 3"]).text(), "8:exitcode,1:3,");
    wrapper.wait_for("told: told");
    let events = String::from_utf8(place.coproc(&["events"]).stdout).unwrap();
    let line = |name: &str| {
        let line = events.lines().find(|line| line.contains(name)).expect(name);
        serde_json::from_str::<Value>(line).unwrap()
    };
    let (started, exited) = (line("\"exec.started\""), line("\"exec.exited\""));
    assert_eq!((&started["socket"], &started["program"]), (&"exec".into(), &"sh".into()));
    assert_eq!(started["pid"], exited["pid"]);
    assert_eq!((&exited["code"], &exited["timed_out"]), (&3.into(), &false.into()));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn nobody_who_waits_means_no_event() {
    let place = Place::new();
    let mut wrapper = wrapper(&place, "", "");
    assert_eq!(run(&place, &["uname"]).text(), LINUX);
    let events = String::from_utf8(place.coproc(&["events"]).stdout).unwrap();
    assert!(!events.contains("exec."), "{events}");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

/// Without a main process the wrapper runs until it is told to stop.
#[test]
fn no_main_process_at_all() {
    let place = Place::new();
    let path = place.at("e.sock");
    let agent = coprocess("agent", "\"sleep 3600\"", "background = true\n");
    place.write(
        "coproc.toml",
        &format!(
            "run_path = {:?}\n[main]\nkind = \"none\"\n[exec_socket]\npath = {path:?}\n{agent}",
            place.at("run")
        ),
    );
    let mut wrapper = place.run();
    eventually("the agent runs", || {
        let output = place.coproc(&["status", "--format", "json"]);
        serde_json::from_slice::<Value>(&output.stdout)
            .is_ok_and(|status| status["coprocesses"][0]["state"] == "running")
    });
    assert!(status(&place)["main"].is_null());
    assert_eq!(run(&place, &["uname"]).text(), LINUX);
    assert_eq!(place.coproc(&["health"]).status.code(), Some(0));
    assert_eq!(place.coproc(&["reload"]).status.code(), Some(1));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}
