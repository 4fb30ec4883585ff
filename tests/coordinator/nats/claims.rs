//! Claims: who may give a request to a provider, seen by a member that speaks to the server itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use super::{Server, request};
use crate::rig::{Answer, Hook, failed, ok};
use crate::support::{PATIENCE, eventually};

/// A member of the group that speaks to the server itself.
struct Member {
    lines: BufReader<TcpStream>,
}

impl Member {
    fn join(server: &Server, task: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let words = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\n\
             SUB coproc.task.{task} coordinators 1\r\nSUB member.inbox 2\r\nPING\r\n"
        );
        stream.write_all(words.as_bytes()).unwrap();
        let mut member = Self { lines: BufReader::new(stream) };
        while member.line() != "PONG" {}
        member
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the server closed");
        line.trim_end().to_owned()
    }

    /// The next message: where its answer goes, and what it says.
    fn message(&mut self) -> (String, String) {
        loop {
            let line = self.line();
            let words: Vec<_> = line.split(' ').collect();
            if words[0] == "PING" {
                self.lines.get_mut().write_all(b"PONG\r\n").unwrap();
            }
            if matches!(words[0], "MSG" | "HMSG") {
                let mut payload = vec![0; words.last().unwrap().parse::<usize>().unwrap() + 2];
                self.lines.read_exact(&mut payload).unwrap();
                // Of one with headers the length of those stands before that of all.
                let headers = match words[0] {
                    "HMSG" => words[words.len() - 2].parse().unwrap(),
                    _ => 0,
                };
                let payload = String::from_utf8(payload.split_off(headers)).unwrap();
                let payload = payload.trim_end().to_owned();
                return (words.get(3).copied().unwrap_or_default().to_owned(), payload);
            }
        }
    }

    fn say(&mut self, subject: &str, payload: &str) {
        let words = format!("PUB {subject} member.inbox {}\r\n{payload}\r\n", payload.len());
        self.lines.get_mut().write_all(words.as_bytes()).unwrap();
    }

    /// Says it, and gives the answer.
    fn ask(&mut self, subject: &str, payload: &str) -> String {
        self.say(subject, payload);
        self.message().1
    }
}

#[test]
fn a_request_is_claimed_once_and_not_after_it_was_given_up() {
    let server = Server::start(&[]);
    let a = Arc::new(server.rig(&[("nats__ack_timeout", "500ms"), ("request_timeout", "20s")]));
    let mut member = Member::join(&server, "foo");
    let hook = Hook::start();
    let ask = |id: &'static str| {
        let (a, url) = (a.clone(), hook.url("/"));
        thread::spawn(move || a.post(&request(id, "foo", &url)))
    };
    eventually("it is connected", || a.wrapper.stderr().contains("NATS: connected"));
    let seen = |message: &str| {
        let request: Value = serde_json::from_str(message).unwrap();
        let home = request["responsehook"]["Opaque"].as_str().unwrap().to_owned();
        (home, request["id"].as_str().unwrap().to_owned())
    };
    // Nobody claims the first one, until it is too late.
    let first = ask("1");
    let (home, hop) = seen(&member.message().1);
    assert_eq!(first.join().unwrap(), failed("1", "ack timeout"));
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "no");
    // The second is claimed, taken and answered, each once, whatever is said twice.
    let second = ask("2");
    let (reply, message) = member.message();
    let (home, hop) = seen(&message);
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "yes");
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "no");
    member.say(&reply, &ok(&hop).to_string());
    assert_eq!(second.join().unwrap(), ok("2"));
    let response = json!({ "error": "", "id": hop, "result": 7 }).to_string();
    for _ in 0..2 {
        let ack: Value =
            serde_json::from_str(&member.ask(&format!("{home}.response"), &response)).unwrap();
        assert_eq!(ack, ok(""));
    }
    assert_eq!(hook.posts.nth(0).body["result"], 7);
    // What is answered before it is acknowledged is taken, and no error follows.
    let third = ask("3");
    let (home, hop) = seen(&member.message().1);
    assert_eq!(member.ask(&format!("{home}.claim"), &hop), "yes");
    let response = json!({ "error": "", "id": hop, "result": 8 }).to_string();
    member.ask(&format!("{home}.response"), &response);
    assert_eq!(third.join().unwrap(), ok("3"));
    assert_eq!(hook.posts.nth(1).body["result"], 8);
    assert_eq!(hook.posts.all().len(), 2);
}

#[test]
fn a_request_that_cannot_be_claimed_reaches_no_provider() {
    let server = Server::start(&[]);
    let b = server.rig(&[("nats__ack_timeout", "500ms")]);
    let f = b.provider("foo", "1-f.sock", Answer::Ack);
    let mut member = Member::join(&server, "other");
    let mut offer = |home: &str| {
        let hook = json!({ "Scheme": "nats", "Opaque": home });
        let request = json!({ "id": "x", "task": "foo", "responsehook": hook });
        let ack = member.ask("coproc.task.foo", &request.to_string());
        serde_json::from_str::<Value>(&ack).ok()
    };
    let given_up = failed("x", "the request was given up");
    // Nobody is at that home, which is heard of only once the task is shared.
    eventually("it is offered", || offer("coproc.to.00").as_ref() == Some(&given_up));
    assert_eq!(offer("member.inbox"), Some(failed("x", "response hook is not allowed")));
    assert!(f.requests.all().is_empty());
}
