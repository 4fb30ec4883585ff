//! Who may do what: roles on the control socket, tokens at its ports.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use serde_json::Value;
use support::{PATIENCE, Place, Wrapper, coproc, coprocess, eventually, is_root, skipped, text};

fn agent() -> String {
    coprocess("agent", "\"sleep 1000\"", "background = true")
}

/// Runs a client command as another user, with these groups.
#[allow(clippy::disallowed_methods)]
fn as_user(place: &Place, user: u32, groups: &str, words: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    let (user, group) = (user.to_string(), "65534");
    command.args(["--reuid", &user, "--regid", group, "--groups", groups, "--", coproc()]);
    command.args(words).args(["--socket", &place.at("run/control.sock")]);
    command.current_dir("/").output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// It was refused for want of this role.
#[track_caller]
fn lacks(output: &Output, role: &str) {
    let why = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{why}");
    assert!(why.contains(&format!("needs the role `{role}`")), "{why}");
    assert_eq!(why.lines().count(), 1, "{why}");
}

/// Whether users and groups can be changed here, and other users reach the program.
fn can_switch() -> bool {
    if !is_root() {
        skipped("only root can be somebody else");
        return false;
    }
    let open = std::path::Path::new(coproc()).ancestors().skip(1).all(|folder| {
        folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    });
    if !open {
        skipped("other users do not reach the program");
    }
    open
}

#[test]
fn roles_are_given_by_user_and_by_group() {
    if !can_switch() {
        return;
    }
    let place = Place::new();
    let control = "[control]\nmode = \"0666\"\nroles = { read = [\"41001\"], operate = [\"@42002\"], \
                   admin = [\"41003\"] }\n";
    let mut wrapper = place.serving(&[&agent(), control].concat());
    wrapper.wait_for("event: [coprocess.agent.ready]");
    let reader = |words: &[&str]| as_user(&place, 41001, "65534", words);
    for words in [&["status"][..], &["events"], &["logs"], &["why"], &["health"]] {
        succeeds(&reader(words));
    }
    lacks(&reader(&["restart", "agent"]), "operate");
    lacks(&reader(&["emit", "x"]), "operate");
    lacks(&reader(&["reload"]), "operate");
    lacks(&reader(&["keys", "list"]), "admin");
    let why = text(&reader(&["stop", "agent"]).stderr);
    let expected = "error: POST /v1/coprocesses/{name}/stop needs the role `operate`, and user 41001 \
                    has `read`: see control.roles\n";
    assert_eq!(why, expected);

    // By one of its supplementary groups.
    let operator = |words: &[&str]| as_user(&place, 41002, "42001,42002", words);
    succeeds(&operator(&["status"]));
    succeeds(&operator(&["restart", "agent"]));
    succeeds(&operator(&["signal", "agent", "CONT"]));
    // What ends the main process ends all.
    lacks(&operator(&["signal", "main", "KILL"]), "admin");

    let admin = |words: &[&str]| as_user(&place, 41003, "65534", words);
    succeeds(&admin(&["signal", "main", "CONT"]));
    let none = as_user(&place, 41004, "42001", &["status"]);
    lacks(&none, "read");
    assert!(text(&none.stderr).contains("user 41004 has none"));
    let unwell = as_user(&place, 41004, "42001", &["health"]);
    assert_eq!(unwell.status.code(), Some(1), "a health check knows well and not well only");
    // Root is an admin wherever it is not named.
    succeeds(&place.coproc(&["signal", "main", "CONT"]));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn without_roles_whoever_may_connect_may_do_everything() {
    if !can_switch() {
        return;
    }
    let place = Place::new();
    let control = "[control]\nmode = \"0660\"\nowner = \"41001:42001\"\n";
    let mut wrapper = place.serving(&[&agent(), control].concat());
    let socket = std::fs::metadata(place.at("run/control.sock")).unwrap();
    assert_eq!((socket.uid(), socket.gid(), socket.mode() & 0o777), (41001, 42001, 0o660));
    succeeds(&as_user(&place, 41001, "65534", &["restart", "agent"]));
    succeeds(&as_user(&place, 41002, "42001", &["signal", "main", "CONT"]));
    let stranger = as_user(&place, 41003, "65534", &["status"]);
    assert_eq!(stranger.status.code(), Some(3), "it cannot even connect");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn everybody_is_a_star() {
    if !can_switch() {
        return;
    }
    let place = Place::new();
    let mut wrapper = place.serving("[control]\nmode = \"0666\"\nroles = { read = \"*\" }\n");
    succeeds(&as_user(&place, 41009, "65534", &["status"]));
    lacks(&as_user(&place, 41009, "65534", &["reload"]), "operate");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_role_or_an_owner_that_does_not_exist_ends_the_wrapper_before_anything_is_started() {
    for (control, expected) in [
        (
            "roles = { operate = [\"@no-such-group\"] }",
            "control.roles.operate: there is no group `no-such-group`",
        ),
        ("owner = \"no-such-user\"", "control.owner: there is no user `no-such-user`"),
        (
            "listen = \"127.0.0.1:0\"\ntoken_files = { read = \"missing\" }",
            "control.token_files.read: `",
        ),
    ] {
        let place = Place::new();
        place
            .config(&[&coprocess("a", "\"touch ran\"", ""), "[control]\n", control, "\n"].concat());
        let mut wrapper = place.run();
        assert_eq!(wrapper.wait(), 1);
        assert!(wrapper.stderr().contains(expected), "{}", wrapper.stderr());
        assert!(!place.path().join("ran").exists());
    }
}

#[test]
fn a_pipe_in_the_place_of_a_token_file_is_not_waited_for() {
    let place = Place::new();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.config("[control]\nlisten = \"127.0.0.1:0\"\ntoken_files = { read = \"pipe\" }\n");
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1);
    let why = wrapper.stderr();
    assert!(
        why.contains("control.token_files.read: `") && why.contains("not a regular file"),
        "{why}"
    );
}

#[test]
fn a_member_without_a_name_is_an_error_of_check() {
    let place = Place::new();
    place.config("[control]\nroles = { operate = [\"@\"], watch = [\"a\"] }\n");
    let output = place.coproc(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    let why = text(&output.stderr);
    assert!(why.contains("control.roles.operate") && why.contains("`@` names nobody"), "{why}");
    assert!(why.contains("control.roles.watch"), "{why}");
}

/// What was at the socket's path stays if it is no socket.
#[test]
fn a_file_in_the_sockets_place_is_left_alone() {
    let place = Place::new();
    place.write("run/control.sock", "mine");
    let mut wrapper = place.serving("");
    wrapper.wait_for("there is no control socket");
    assert_eq!(place.read("run/control.sock"), "mine");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(place.read("run/control.sock"), "mine");
}

const READ: &str = "read-0123456789abcdef0123456789abcdef";
const OPERATE: &str = "operate-0123456789abcdef0123456789ab";
const ADMIN: &str = "admin/0123456789abcdef0123456789+==";

/// A wrapper with a port and a token for each role, and where the port is.
fn with_tokens(place: &Place, more: &str) -> (Wrapper, SocketAddr) {
    place.write("r", &format!("# of the dashboard\n{READ}\n"));
    place.write("o", OPERATE);
    place.write("a", ADMIN);
    let control = "[control]\nlisten = \"127.0.0.1:0\"\n\
                   token_files = { read = \"r\", operate = \"o\", admin = \"a\" }\n";
    let wrapper = place.serving(&[&agent(), control, more].concat());
    let line = wrapper.wait_for("are told on http://");
    assert!(line.contains("and everything to who shows a token"), "{line}");
    let address = line.split_once("http://").unwrap().1.split_once('/').unwrap().0;
    let address = address.parse().unwrap();
    (wrapper, address)
}

/// The whole answer to one request.
fn http(address: SocketAddr, head: &str, token: Option<&str>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn is(answer: &str, status: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

#[test]
fn a_token_opens_the_whole_api_at_a_port() {
    let place = Place::new();
    let (mut wrapper, address) = with_tokens(&place, "");
    let stop = "POST /v1/coprocesses/agent/stop";
    is(&http(address, "GET /livez", None), "200");
    is(&http(address, "GET /metrics", Some("nonsense")), "200");
    let unknown = http(address, "GET /v1/status", None);
    is(&unknown, "401");
    assert!(unknown.contains("www-authenticate: Bearer realm=\"coproc\"\r\n"), "{unknown}");
    assert!(unknown.contains("needs a token with the role `read`"), "{unknown}");
    is(&http(address, "GET /v1/nothing", None), "404");
    let seen = http(address, "GET /v1/status", Some(READ));
    is(&seen, "200");
    let seen: Value = serde_json::from_str(seen.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(seen["coprocesses"][0]["name"], "agent");
    is(&http(address, stop, Some(READ)), "403");
    is(&http(address, stop, Some(OPERATE)), "200");
    is(&http(address, "GET /v1/keys", Some(OPERATE)), "403");
    is(&http(address, "GET /v1/keys", Some(ADMIN)), "404");
    is(&http(address, "GET /v1/status", Some(ADMIN)), "200");
    let wrong = format!("{READ}x");
    is(&http(address, "GET /v1/status", Some(&wrong)), "401");
    // Nothing of a token is ever told.
    assert_eq!(wrapper.stop(), 0);
    for token in [READ, OPERATE, ADMIN] {
        assert_eq!(wrapper.count(token), 0, "{}", wrapper.dump());
    }
}

#[test]
fn who_shows_too_many_wrong_tokens_has_to_pause() {
    let place = Place::new();
    let (mut wrapper, address) = with_tokens(&place, "");
    for _ in 0..10 {
        is(&http(address, "GET /v1/status", Some("wrong")), "401");
    }
    let paused = http(address, "GET /v1/status", Some(READ));
    is(&paused, "429");
    assert!(paused.contains("\r\nretry-after: "), "{paused}");
    is(&http(address, "GET /readyz", None), "200");
    // The pause is that address's own, and the socket has nothing to do with it.
    succeeds(&place.coproc(&["status"]));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn commands_go_to_a_port_with_a_token() {
    let place = Place::new();
    let (mut wrapper, address) = with_tokens(&place, "");
    let url = format!("http://{address}");
    let ask = |file: &str, words: &[&str]| {
        place.coproc(&[words, &["--url", &url, "--token-file", file]].concat())
    };
    let output = ask("r", &["status"]);
    succeeds(&output);
    assert!(text(&output.stdout).contains("agent"));
    succeeds(&ask("o", &["restart", "agent"]));
    lacks(&ask("r", &["restart", "agent"]), "operate");
    let output = place.coproc(&["status", "--url", &url]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("needs a token with the role `read`"), "{output:?}");
    succeeds(&place.coproc(&["health", "--url", &url]));
    // Variables say the same, and the surrounding wrapper's socket comes first.
    let by_variables = |more: &[(&str, &str)]| {
        let mut command = place.command(&["restart", "agent"]);
        command.env("COPROC_URL", &url).env("COPROC_TOKEN_FILE", place.at("r"));
        command.envs(more.iter().copied());
        Wrapper::start(command).wait()
    };
    assert_eq!(by_variables(&[]), 4);
    assert_eq!(by_variables(&[("COPROC_SOCKET", &place.at("run/control.sock"))]), 0);
    let mut follower =
        Wrapper::start(place.command(&["events", "--follow", "--url", &url, "--token-file", "r"]));
    follower.wait_for("coprocess.agent.ready");

    place.write("short", "abc");
    let output = ask("short", &["status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a token of 3 characters"), "{output:?}");
    let output = place.coproc(&["status", "--url", "https://x:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(follower.wait(), 0, "{}", follower.dump());
    let output = ask("r", &["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains(&url), "{output:?}");
}

#[test]
fn tokens_are_read_anew_at_a_reload() {
    let place = Place::new();
    let (mut wrapper, address) = with_tokens(&place, "");
    let other = "another-0123456789abcdef0123456789abcdef";
    place.write("r", &format!("{other}\n"));
    is(&http(address, "GET /v1/status", Some(READ)), "200");
    place.coproc(&["reload"]);
    eventually("the new one is known", || {
        http(address, "GET /v1/status", Some(other)).starts_with("HTTP/1.1 200 ")
    });
    is(&http(address, "GET /v1/status", Some(READ)), "401");
    place.write("r", "too short");
    place.coproc(&["reload"]);
    let line = wrapper.wait_for("the tokens stay as they were");
    assert!(line.contains("control.token_files.read") && !line.contains("too short"), "{line}");
    is(&http(address, "GET /v1/status", Some(other)), "200");
    assert_eq!(wrapper.stop(), 0);
}

/// Strangers who crowd a port keep nobody with a token from following.
#[test]
fn a_crowd_at_a_port_does_not_push_followers_out() {
    let place = Place::new();
    let (mut wrapper, address) = with_tokens(&place, "");
    let mut follower = TcpStream::connect(address).unwrap();
    follower.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        follower,
        "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\r\n"
    )
    .unwrap();
    let mut heard = String::new();
    let mut hear = |text: &str| {
        while !heard.contains(text) {
            let mut bytes = [0; 4096];
            let count = follower.read(&mut bytes).unwrap();
            assert!(count > 0, "it was sent away: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    hear("pre-start");
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    is(&http(address, "GET /livez", None), "200");
    succeeds(&place.coproc(&["emit", "still-there"]));
    hear("custom.still-there");
    drop(crowd);
    assert_eq!(wrapper.stop(), 0);
}
