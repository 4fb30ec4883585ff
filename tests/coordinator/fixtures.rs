//! Bytes as the original writes them, and as it is able to read them.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use serde_json::Value;

use crate::rig::{Hook, Rig, frame, ok};
use crate::support::PATIENCE;

/// A request of a program that was built with Go 1.5: addresses have eight keys.
const OLD: &str = r#"{"id":"7f3a","task":"foo","responsehook":{"Scheme":"http","Opaque":"","User":null,"Host":"HOOK","Path":"/response","RawPath":"","RawQuery":"","Fragment":""},"stream_url":null,"args":{"guest":{"id":"\u003c1\u003e"}}}"#;

/// The same with Go 1.19: three keys more.
const NEW: &str = r#"{"id":"7f3b","task":"foo","responsehook":{"Scheme":"http","Opaque":"","User":null,"Host":"HOOK","OmitHost":false,"Path":"/response","RawPath":"","ForceQuery":false,"RawQuery":"","Fragment":"","RawFragment":""},"stream_url":null,"args":{"guest":{"id":"\u003c1\u003e"}}}"#;

/// A provider that reads as the original's tracker does: one call for the head and one for the body,
/// and what has not come by then is lost. It writes the head and the body apart.
fn provider(rig: &Rig) -> thread::JoinHandle<String> {
    std::fs::create_dir_all(rig.at("foo")).unwrap();
    let listener = UnixListener::bind(rig.at("foo/50-go.sock")).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let message = read_as_go(&mut stream);
        let request: Value = serde_json::from_str(&message).unwrap();
        write_as_go(&mut stream, &ok(request["id"].as_str().unwrap()));
        drop(stream);
        let hook = request["responsehook"]["Path"].as_str().unwrap();
        let mut stream = UnixStream::connect(hook).unwrap();
        let id = &request["id"];
        let response = format!(r#"{{"error":"","id":{id},"result":{{"r":1}},"stream_url":null}}"#);
        write_as_go(&mut stream, &serde_json::from_str(&response).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&read_as_go(&mut stream)).unwrap(), ok(""));
        message
    })
}

fn read_as_go(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = [0; 4];
    assert_eq!(stream.read(&mut head).unwrap(), 4);
    let mut message = vec![0; u32::from_be_bytes(head) as usize];
    assert_eq!(stream.read(&mut message).unwrap(), message.len());
    String::from_utf8(message).unwrap()
}

fn write_as_go(stream: &mut UnixStream, message: &Value) {
    let bytes = frame(message.to_string().as_bytes());
    stream.write_all(&bytes[..4]).unwrap();
    stream.write_all(&bytes[4..]).unwrap();
}

#[test]
fn c68_requests_and_providers_of_the_original() {
    for fixture in [OLD, NEW] {
        let rig = Rig::start();
        let hook = Hook::start();
        let provider = provider(&rig);
        let text = fixture.replace("HOOK", &format!("127.0.0.1:{}", hook.port));
        let request: Value = serde_json::from_str(&text).unwrap();
        let ack = rig.ask_text(text.as_bytes());
        assert_eq!(ack, ok(request["id"].as_str().unwrap()));
        let forwarded = provider.join().unwrap();
        // Keys in the original's order and spelling; arguments byte for byte.
        let expected = format!(
            r#""task":"foo","responsehook":{{"Scheme":"unix","Opaque":"","User":null,"Host":"","Path":"{}","RawPath":"","RawQuery":"","Fragment":""}},"stream_url":null,"args":{{"guest":{{"id":"\u003c1\u003e"}}}}}}"#,
            rig.response().display()
        );
        assert!(forwarded.ends_with(&expected), "{forwarded}\n{expected}");
        let posted = hook.posts.nth(0).body;
        assert_eq!((&posted["id"], &posted["result"]["r"]), (&request["id"], &Value::from(1)));
    }
}

#[test]
fn c68_a_hundred_and_fifty_kilobytes_come_in_one_piece() {
    let rig = Rig::start();
    let provider = provider(&rig);
    let hook = Hook::start();
    let text = OLD.replace("HOOK", &format!("127.0.0.1:{}", hook.port));
    let text = text.replace("guest", &"g".repeat(150_000));
    assert_eq!(rig.ask_text(text.as_bytes()), ok("7f3a"));
    assert!(provider.join().unwrap().len() > 150_000);
}
