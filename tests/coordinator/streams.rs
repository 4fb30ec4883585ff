//! Streams in both directions, and addresses that lead nowhere.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::access::{STRANGER, call_as};
use crate::rig::{Answer, Hook, Rig, ok, unix};
use crate::support::{PATIENCE, eventually, free_port, is_root, skipped};

/// A socket that gives these bytes to whoever comes.
fn source(path: &Path, bytes: Vec<u8>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(&bytes);
        }
    });
}

/// Has a provider answer with a stream; gives the stream as its requester sees it.
fn published(rig: &Rig, stream: &Value) -> Value {
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let request = json!({ "id": "p", "task": "foo", "responsehook": hook.url("/") });
    assert_eq!(rig.post(&request), ok("p"));
    rig.respond(&json!({ "id": f.requests.nth(0)["id"], "stream_url": stream }));
    hook.posts.nth(0).body["stream_url"].clone()
}

fn target(url: &Value) -> String {
    format!("{}?{}", url["Path"].as_str().unwrap(), url["RawQuery"].as_str().unwrap())
}

#[test]
fn c34_a_providers_stream_is_offered_by_an_address_of_the_coordinator() {
    let rig = Rig::start();
    let path = rig.at("streams/foo/f/1.sock");
    source(&path, b"x".to_vec());
    let url = published(&rig, &unix(path.to_str().unwrap()));
    assert_eq!((&url["Scheme"], &url["Path"]), (&json!("http"), &json!("/stream")));
    assert_eq!(url["Host"], format!("127.0.0.1:{}", rig.port));
    let query = url["RawQuery"].as_str().unwrap();
    assert!(query.starts_with("addr=unix%3A%2F%2F%2F"), "{query}");
}

#[test]
fn c35_k01_a_providers_stream_is_read_once_through_the_coordinator() {
    let rig = Rig::start();
    let path = rig.at("streams/foo/f/1.sock");
    let bytes: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
    source(&path, bytes.clone());
    let url = published(&rig, &unix(path.to_str().unwrap()));
    let (status, body, whole) = rig.http_whole("GET", &target(&url), "", b"");
    assert!(status == 200 && body == bytes && whole);
    assert_eq!(rig.http("GET", &target(&url), "", b"").0, 403);
}

#[test]
fn c36_what_is_no_address() {
    let rig = Rig::start();
    for target in ["/stream", "/stream?addr=relative", "/stream?addr="] {
        let (status, body) = rig.http("GET", target, "", b"");
        assert_eq!((status, body.as_slice()), (400, &b"invalid addr\n"[..]), "{target}");
    }
}

#[test]
fn c37_k01_an_address_that_was_not_given_out_is_not_asked() {
    let rig = Rig::start();
    let secret = Hook::start();
    let path = rig.at("streams/foo/f/1.sock");
    source(&path, b"secret".to_vec());
    let http = format!("/stream?addr=http%3A%2F%2F127.0.0.1%3A{}%2Fx", secret.port);
    let unix = format!("/stream?addr=unix%3A%2F%2F{}", path.display());
    let signed = format!("{unix}&exp=99999999999&sig={}", "0".repeat(32));
    for target in [&*http, &unix, &signed, "/stream?addr=ftp%3A%2F%2Fx%2Fy"] {
        assert_eq!(rig.http("GET", target, "", b"").0, 403, "{target}");
    }
    assert!(secret.posts.all().is_empty());
}

#[test]
fn k01_streams_lie_beneath_their_folder() {
    let rig = Rig::start();
    let outside = rig.place.path().join("outside.sock");
    source(&outside, b"secret".to_vec());
    let path = outside.to_str().unwrap();
    let around = format!("{}/streams/../../outside.sock", rig.at("").display());
    assert_eq!(published(&rig, &unix(path)), Value::Null);
    assert_eq!(published(&rig, &unix(around)), Value::Null);
    // A link that leads out is found when it is followed.
    std::fs::create_dir_all(rig.at("streams/foo")).unwrap();
    let link = rig.at("streams/foo/link.sock");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    let url = published(&rig, &unix(link.to_str().unwrap()));
    let (status, body) = rig.http("GET", &target(&url), "", b"");
    assert_eq!((status, body.as_slice()), (500, &b"failed to stream data\n"[..]));
}

/// An HTTP server that gives one answer to everybody and closes.
fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

fn http(port: u16) -> Value {
    json!({ "Scheme": "http", "Host": format!("127.0.0.1:{port}"), "Path": "/data" })
}

#[test]
fn c38_k22_a_source_that_breaks_off_is_seen_to() {
    let rig = Rig::start();
    let half =
        server("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nhalf");
    let url = published(&rig, &http(half));
    let (status, body, whole) = rig.http_whole("GET", &target(&url), "", b"");
    assert_eq!((status, body.as_slice(), whole), (200, &b"half"[..], false));
    let absent = server("HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\npage");
    let url = published(&rig, &http(absent));
    assert_eq!(rig.http("GET", &target(&url), "", b"").0, 502);
    let url = published(&rig, &http(free_port()));
    let (status, body) = rig.http("GET", &target(&url), "", b"");
    assert_eq!((status, body.as_slice()), (500, &b"failed to stream data\n"[..]));
}

#[test]
fn k22_a_stream_is_bytes_to_a_browser_and_nothing_else() {
    let rig = Rig::start();
    let page = server("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>");
    let url = published(&rig, &http(page));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", rig.port)).unwrap();
    write!(stream, "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target(&url))
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("content-type: application/octet-stream\r\n"), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
}

#[test]
fn c39_a_requesters_stream_comes_to_the_provider_by_a_socket_once() {
    let rig = Rig::start();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let data = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes");
    let request = json!({
        "id": "a", "task": "foo", "responsehook": hook.url("/"), "stream_url": http(data),
    });
    assert_eq!(rig.post(&request), ok("a"));
    let stream = f.requests.nth(0)["stream_url"].clone();
    assert_eq!(stream["Scheme"], "unix");
    let path = Path::new(stream["Path"].as_str().unwrap()).to_owned();
    let mut reader = UnixStream::connect(&path).unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"bytes");
    assert!(UnixStream::connect(&path).is_err());
    eventually("its name is gone", || !path.exists());
    // A stream from a host that is not allowed.
    let rig = Rig::with(&[("stream_allow", "10.0.0.0/8")]);
    let _f = rig.provider("foo", "1-f.sock", Answer::Ack);
    assert_eq!(rig.post(&request)["error"], "stream is not allowed");
}

#[test]
fn k21_a_stream_is_for_those_who_were_asked() {
    if !is_root() {
        return skipped("only root can be another user");
    }
    let open = [("socket_mode", "0666"), ("dir_mode", "0755")];
    let data = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes");
    let hook = Hook::start();
    let request = |id: &str| json!({ "id": id, "task": "foo", "responsehook": hook.url("/"), "stream_url": http(data) });
    let read = |path: &str| call_as(STRANGER, STRANGER, Path::new(path), b"");
    for (more, may) in
        [(&[][..], false), (&[("peer_users", "0")], false), (&[("peer_users", "0 54321")], true)]
    {
        let rig = Rig::with(&[&open[..], more].concat());
        let f = rig.provider("foo", "1-f.sock", Answer::Ack);
        assert_eq!(rig.post(&request("a")), ok("a"));
        let path = f.requests.nth(0)["stream_url"]["Path"].as_str().unwrap().to_owned();
        let Some(strangers) = read(&path) else { return skipped("there is no setpriv") };
        assert_eq!(strangers == b"bytes", may, "{more:?}: {strangers:?}");
        if !may {
            // Who may not has used nothing up.
            let mut bytes = Vec::new();
            UnixStream::connect(&path).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!((strangers, bytes), (vec![], b"bytes".to_vec()));
            rig.says("uid 54321 and gid 54321 may not");
        }
    }
    // The socket that is asked belongs to the one who reads.
    let rig = Rig::with(&open);
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    std::os::unix::fs::chown(rig.at("foo/1-f.sock"), Some(54321), None).unwrap();
    assert_eq!(rig.post(&request("b")), ok("b"));
    let path = f.requests.nth(0)["stream_url"]["Path"].as_str().unwrap().to_owned();
    assert_eq!(read(&path).unwrap(), b"bytes");
}

#[test]
fn k01_to_ask_for_the_head_of_a_stream_does_not_use_it_up() {
    let rig = Rig::start();
    let path = rig.at("streams/foo/f/1.sock");
    source(&path, b"bytes".to_vec());
    let url = published(&rig, &unix(path.to_str().unwrap()));
    for _ in 0..2 {
        assert_eq!(rig.http("HEAD", &target(&url), "", b""), (200, vec![]));
    }
    assert_eq!(rig.http("GET", &target(&url), "", b""), (200, b"bytes".to_vec()));
    assert_eq!(rig.http("HEAD", &target(&url), "", b"").0, 403);
}

#[test]
fn k21_a_stream_that_nobody_reads_goes() {
    let rig = Rig::with(&[("stream_ttl", "300ms")]);
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Ack);
    let request = json!({
        "id": "a", "task": "foo", "responsehook": hook.url("/"), "stream_url": http(1),
    });
    assert_eq!(rig.post(&request), ok("a"));
    let path = f.requests.nth(0)["stream_url"]["Path"].as_str().unwrap().to_owned();
    eventually("the socket is gone", || !Path::new(&path).exists());
    let path = rig.at("streams/foo/f/1.sock");
    source(&path, b"late".to_vec());
    drop(f);
    let url = published(&rig, &unix(path.to_str().unwrap()));
    thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(rig.http("GET", &target(&url), "", b"").0, 403);
    // One that no provider took goes at once.
    let rig = Rig::start();
    let _f = rig.provider("foo", "1-f.sock", Answer::Refuse("busy".into()));
    assert_eq!(rig.post(&request)["error"], "busy");
    let sockets = rig.at("streams/foo/coord");
    eventually("no socket is left", || std::fs::read_dir(&sockets).unwrap().next().is_none());
}

#[test]
fn k30_the_address_of_streams_can_be_said() {
    let rig = Rig::with(&[("public_url", "https://tasks.example/api/")]);
    let path = rig.at("streams/foo/f/1.sock");
    source(&path, vec![]);
    let url = published(&rig, &unix(path.to_str().unwrap()));
    assert_eq!((&url["Scheme"], &url["Host"]), (&json!("https"), &json!("tasks.example")));
    assert_eq!(url["Path"], "/api/stream");
}
