//! `coproc task` by a coordinator that it reaches over HTTP, with the words of mistify's client.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::thread;

use serde_json::json;

use crate::rig::{Answer, Rig, call, frame, ok, take_message, unix};
use crate::support::{Place, eventually, free_port};

/// Runs `coproc task`; gives status, answer and complaint.
#[allow(clippy::disallowed_methods)]
fn task(place: &Place, words: &[&str], input: &[u8], token: &str) -> (i32, String, String) {
    let mut command = place.command(&[&["task"], words].concat());
    command.env("COPROC_COORDINATOR_TOKEN", token);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who does not read it is gone before.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn url(rig: &Rig) -> String {
    format!("http://127.0.0.1:{}", rig.port)
}

/// A provider that gives the stream of its one request back, in another.
fn stream_echo(rig: &Rig) -> thread::JoinHandle<()> {
    std::fs::create_dir_all(rig.at("StreamEcho")).unwrap();
    let listener = UnixListener::bind(rig.at("StreamEcho/1-e.sock")).unwrap();
    let (response, streams) = (rig.response(), rig.at("streams/StreamEcho"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = take_message(&mut stream).unwrap();
        let id = request["id"].as_str().unwrap();
        stream.write_all(&frame(ok(id).to_string().as_bytes())).unwrap();
        drop(stream);
        let mut data = Vec::new();
        let source = request["stream_url"]["Path"].as_str().unwrap();
        UnixStream::connect(source).unwrap().read_to_end(&mut data).unwrap();
        std::fs::create_dir_all(&streams).unwrap();
        let path = streams.join("1.sock");
        let offer = UnixListener::bind(&path).unwrap();
        let answer = json!({ "id": id, "stream_url": unix(path.to_str().unwrap()) });
        call(&response, &frame(answer.to_string().as_bytes())).unwrap();
        offer.accept().unwrap().0.write_all(&data).unwrap();
    })
}

#[test]
fn the_words_of_the_old_client_reach_a_coordinator_over_http() {
    let rig = Rig::start();
    let result = json!({ "greeting": "Hello,\n you!" });
    let f = rig.provider("Greet", "1-f.sock", Answer::Result(result.clone()));
    let (url, line) = (url(&rig), format!("{result}\n"));
    let (named, all) = (format!("127.0.0.1:{}", free_port()), format!(":{}", free_port()));
    for words in [
        &["-c", &url, "-t", "Greet", "-a", "name=you"][..],
        &["-c", &url, "-t", "Greet", "-a", "name=you", "-r", &named],
        &["-u", &url, "-r", &all, "Greet", "{\"name\": \"you\"}"],
        &["--url", &url, "--task", "Greet", "{\"name\": \"you\"}"],
    ] {
        let done = task(&rig.place, words, b"", "");
        assert_eq!(done, (0, line.clone(), String::new()), "{words:?}");
    }
    for request in f.requests.all() {
        assert_eq!(request["args"], json!({ "name": "you" }));
    }
    // And one of this machine, by the form of address that the old client has for it.
    let socket = format!("unix://{}", rig.internal().display());
    assert_eq!(
        task(&rig.place, &["-c", &socket, "-t", "Greet"], b"", ""),
        (0, line, String::new())
    );
}

#[test]
fn streams_go_there_and_back_over_http() {
    let rig = Rig::with(&[("tokens", "a-long-token")]);
    let provider = stream_echo(&rig);
    let data = "0123456789".repeat(30_000);
    let words = ["-c", &url(&rig), "-t", "StreamEcho", "-s"];
    let refused = task(&rig.place, &words, b"", "another");
    assert_eq!(refused.0, 1, "{}", refused.2);
    assert!(refused.2.contains("a token is missing or wrong"), "{}", refused.2);
    let (code, answer, complaint) = task(&rig.place, &words, data.as_bytes(), "a-long-token");
    assert!((code, complaint.as_str()) == (0, "") && answer == data, "{code} {complaint}");
    provider.join().unwrap();
}

#[test]
fn c66_what_goes_wrong_over_http() {
    let rig = Rig::with(&[("request_timeout", "500ms")]);
    let _silent = rig.provider("Silent", "1-f.sock", Answer::Ack);
    let url = url(&rig);
    let place = &rig.place;
    let none = "error: no providers available for task\n";
    assert_eq!(task(place, &["-c", &url, "-t", "Nope"], b"", ""), (1, "".into(), none.into()));
    let late = "error: response timeout\n";
    assert_eq!(task(place, &["-u", &url, "Silent"], b"", ""), (1, "".into(), late.into()));
    let words = ["-u", &url, "Silent", "--timeout", "50ms"];
    assert_eq!(task(place, &words, b"", ""), (1, "".into(), late.into()));
    // Nobody there, or somebody else.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let (code, _, complaint) = task(place, &["-u", &nobody, "Nope"], b"", "");
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains(&format!("no coordinator answers at `{nobody}`")), "{complaint}");
    let other = crate::rig::Hook::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nweb"]);
    let web = format!("http://127.0.0.1:{}", other.port);
    let (code, _, complaint) = task(place, &["-u", &web, "Nope"], b"", "");
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("what answers there is no coordinator"), "{complaint}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let (code, _, complaint) = task(place, &["-u", &url, "-r", &at, "Silent"], b"", "");
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains(&format!("`{at}` cannot be listened on")), "{complaint}");
    for (words, complaint) in [
        (&["-u", "https://h", "Nope"][..], "is not the address of a coordinator"),
        (&["-u", "http://", "Nope"], "is not the address of a coordinator"),
        (&["-c", "ftp://h/x", "Nope"], "is not the address of a coordinator"),
        (&["-u", &url, "-r", "bogus", "Nope"], "`bogus` is not an address to listen on"),
        (&["-u", &url, "--list"], "on the coordinator's own machine"),
        (&["-u", &url, "-t", "a", "b", "c"], "named twice"),
        (&["-u", &url, "a/b"], "is not the name of a task"),
        (&["-u", &url, "a", "{}", "-a", "b=1"], "either JSON or -a"),
        (&["-u", &url, "-a", "b=1"], "the name of a TASK is missing"),
    ] {
        let (code, _, said) = task(place, words, b"", "");
        assert_eq!(code, 2, "{words:?}: {said}");
        assert!(said.contains(complaint), "{words:?}: {said}");
    }
    eventually("nobody is left waiting", || {
        std::fs::read_dir(rig.at("response")).unwrap().count() == 1
    });
}

#[test]
fn the_head_of_a_stream_that_the_command_offers_does_not_use_it_up() {
    let rig = Rig::start();
    let silent = rig.provider("Silent", "1-f.sock", Answer::Ack);
    let own = free_port();
    let (url, at) = (url(&rig), format!("127.0.0.1:{own}"));
    let words = ["task", "-u", &url, "-r", &at, "-s", "Silent"];
    let mut asking = crate::support::Wrapper::start(rig.place.command(&words));
    silent.requests.nth(0);
    let ask = |method: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", own)).unwrap();
        write!(stream, "{method} /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let asked = ["HEAD", "HEAD", "GET", "GET", "HEAD"].map(ask);
    let ok = "HTTP/1.1 200 OK";
    let gone = "HTTP/1.1 404 Not Found";
    assert_eq!(asked, [ok, ok, ok, gone, gone]);
    asking.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(asking.wait(), 143);
}
