//! Events as server-sent events, and waiting for a process.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::{PATIENCE, Place, Wrapper, coprocess, eventually, text};

/// A stream of server-sent events.
struct Stream(BufReader<UnixStream>);

/// A message: its number, its kind and its data.
type Message = (Option<u64>, String, Value);

impl Stream {
    fn open(place: &Place, query: &str, headers: &str) -> Self {
        Self::of(place, &format!("/v1/events{query}"), headers)
    }

    fn of(place: &Place, target: &str, headers: &str) -> Self {
        let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n"
        )
        .unwrap();
        let mut stream = Self(BufReader::new(stream));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        stream
    }

    /// The next line without the marks of chunks; none at the end.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
            if !line.ends_with("\r\n") {
                return Some(line.trim_end_matches('\n').to_owned());
            }
        }
    }

    /// The next message; none at the end.
    fn message(&mut self) -> Option<Message> {
        let (mut id, mut kind, mut data) = (None, String::new(), Value::Null);
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", number)) => id = Some(number.parse().unwrap()),
                Some(("event", name)) => kind = name.to_owned(),
                Some(("data", json)) => data = serde_json::from_str(json).unwrap(),
                _ if line.is_empty() && !data.is_null() => return Some((id, kind, data)),
                _ => assert!(line.is_empty() || line.starts_with(':'), "{line}"),
            }
        }
    }

    /// The next message that tells of this event.
    fn until(&mut self, event: &str) -> Message {
        loop {
            let message = self.message().unwrap_or_else(|| panic!("it ends before {event}"));
            if message.2["event"] == event {
                return message;
            }
        }
    }
}

fn emit(place: &Place, name: &str) {
    assert_eq!(place.coproc(&["emit", name]).status.code(), Some(0));
}

#[test]
fn server_sent_events_are_numbered_and_resumed() {
    let place = Place::new();
    let mut wrapper = place.serving("");
    let mut stream = Stream::open(&place, "", "");
    let (id, kind, data) = stream.message().unwrap();
    assert_eq!((id, kind.as_str(), &data["event"]), (Some(1), "", &"pre-start".into()));
    assert_eq!(data["seq"], 1);
    emit(&place, "one");
    let (one, ..) = stream.until("custom.one");
    drop(stream);
    emit(&place, "two");
    emit(&place, "three");
    // Where it was, by the header that browsers send when they come again, or by the query.
    let header = format!("Last-Event-ID: {}\r\n", one.unwrap());
    let mut stream = Stream::open(&place, "?since=0", &header);
    let heard: Vec<_> = (0..2).map(|_| stream.message().unwrap()).collect();
    assert_eq!(heard[0].0, one.map(|id| id + 1));
    assert_eq!(
        (&heard[0].2["event"], &heard[1].2["event"]),
        (&"custom.two".into(), &"custom.three".into())
    );
    let query = format!("?since={}", one.unwrap() + 1);
    assert_eq!(Stream::open(&place, &query, "").message().unwrap().2["event"], "custom.three");
    // The wrapper's end is the stream's.
    assert_eq!(wrapper.stop(), 0);
    while stream.message().is_some() {}
}

#[test]
fn lines_of_the_log_come_as_server_sent_events() {
    let place = Place::new();
    let script = |word: &str| {
        let held = place.at("go");
        format!(
            "[\"sh\", \"-c\", \"echo {word} 1; while [ ! -e {held} ]; do sleep 0.01; done; echo {word} 2; sleep 1000\"]"
        )
    };
    let one = |name: &str| coprocess(name, &script(name), "background = true");
    let mut wrapper = place.serving(&[one("a"), one("b")].concat());
    wrapper.wait_for("msg=\"a: a 1\"");
    let mut stream = Stream::of(&place, "/v1/logs?name=a", "");
    let mut next = || {
        let (id, kind, data) = stream.message().unwrap();
        assert_eq!((id, kind.as_str(), &data["logger"]), (None, "", &"a".into()));
        data["msg"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(), "a 1");
    place.write("go", "");
    assert_eq!(next(), "a 2");
    assert_eq!(wrapper.stop(), 0);
    while stream.message().is_some() {}
}

#[test]
fn what_a_stream_cannot_tell_any_more_is_said() {
    let place = Place::new();
    let mut wrapper = place.serving("");
    let mut stream = Stream::open(&place, "?since=100000", "");
    let (id, kind, data) = stream.message().unwrap();
    assert_eq!((id, kind.as_str(), &data["seen"]), (None, "anew", &100_000.into()));
    assert_eq!(stream.message().unwrap().2["event"], "pre-start", "numbers of another life");
    let mut socket = UnixStream::connect(place.at("run/control.sock")).unwrap();
    socket
        .write_all(b"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: x\r\n\r\n")
        .unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    assert!(line.contains(" 400 "), "{line}");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_silent_stream_shows_that_it_is_there() {
    let place = Place::new();
    let mut wrapper = place.serving("[control]\nheartbeat = \"20ms\"\n");
    let mut stream = Stream::open(&place, "", "");
    let mut beats = 0;
    while beats < 3 {
        beats += usize::from(stream.line().unwrap() == ":");
    }
    assert_eq!(wrapper.stop(), 0);
}

/// One request on a connection of its own.
fn post(place: &Place, count: usize) {
    let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
    let body = r#"{"name":"flood"}"#;
    for at in 1..=count {
        let close = if at == count { "Connection: close\r\n" } else { "" };
        write!(
            stream,
            "POST /v1/emit HTTP/1.1\r\nHost: x\r\n{close}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
    stream.read_to_end(&mut Vec::new()).unwrap();
}

/// Nobody's slowness costs memory without bound, or keeps a seat for ever.
#[test]
fn a_client_that_does_not_read_is_let_go_with_a_last_word() {
    let place = Place::new();
    // Debug lines of thousands of events are of no use here.
    place.config("");
    let mut wrapper = place.run_with(&["--set", "log.level=info"], &[("F_EV", "1")]);
    wrapper.wait_for(": up");
    let mut slow = Stream::open(&place, "", "");
    slow.message().unwrap();
    // More than a socket holds, and than waits for a client.
    (0..80).for_each(|_| post(&place, 75));
    let mut last = None;
    let mut before = 0;
    while let Some((id, kind, data)) = slow.message() {
        if let Some(id) = id {
            assert_eq!(
                id,
                if before == 0 { id } else { before + 1 },
                "nothing is left out silently"
            );
            before = id;
        }
        last = Some((kind, data));
    }
    let (kind, data) = last.unwrap();
    assert_eq!(kind, "dropped", "{data}");
    assert_eq!(data["last"], before);
    // It comes again where it was, and is told what is missing meanwhile.
    let mut stream = Stream::open(&place, "", &format!("Last-Event-ID: {before}\r\n"));
    let (_, kind, data) = stream.message().unwrap();
    assert_eq!((kind.as_str(), &data["from"]), ("gap", &(before + 1).into()));
    assert_eq!(stream.message().unwrap().0.unwrap(), data["to"].as_u64().unwrap() + 1);
    assert_eq!(wrapper.stop(), 0);
}

fn wait(place: &Place, words: &[&str]) -> Output {
    place.coproc(&[&["wait"], words].concat())
}

#[track_caller]
fn is(output: &Output, status: i32, why: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(text(&output.stdout), "");
    assert!(stderr.contains(why) && (!why.is_empty() || stderr.is_empty()), "{stderr}");
}

#[test]
fn waiting_for_what_is_so_already_or_cannot_be() {
    let place = Place::new();
    let mut wrapper = place.serving(
        &[
            coprocess("agent", "\"sleep 1000\"", "background = true"),
            coprocess("once", "\"true\"", ""),
            coprocess("flaky", "[\"sh\", \"-c\", \"exit 3\"]", ""),
            coprocess("later", "\"sleep 1000\"", "background = true\nexec_event = \"custom.go\""),
        ]
        .concat(),
    );
    for words in [
        &["main"][..],
        &["agent"],
        &["agent", "--for", "started"],
        &["once", "--for", "exited"],
        &["once", "--for", "stopped"],
        &["flaky", "--for", "failed"],
        &["flaky", "--for", "stopped", "--timeout", "10s"],
    ] {
        is(&wait(&place, words), 0, "");
    }
    is(&wait(&place, &["flaky"]), 1, "`flaky` is not ready, and does not come back by itself");
    is(&wait(&place, &["nobody"]), 1, "there is no coprocess `nobody`");
    is(&wait(&place, &["later", "--timeout", "50ms"]), 124, "it is not so after 50ms");
    is(&wait(&place, &["agent", "--for", "exited", "--timeout", "50ms"]), 124, "it is not so");
    is(&wait(&place, &["agent", "--for", "dinner"]), 2, "dinner");
    is(&wait(&place, &["agent", "--socket", "/no/such.sock"]), 3, "/no/such.sock");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn waiting_ends_with_the_change_that_is_waited_for() {
    let place = Place::new();
    let ready = format!("ready = {{ file = {:?}, interval = \"20ms\" }}", place.at("up"));
    let rest = format!("background = true\nexec_event = \"custom.go\"\n{ready}");
    let mut wrapper = place.serving(&coprocess("later", "\"sleep 1000\"", &rest));
    let start =
        |words: &[&str]| Wrapper::start(place.command(&[&["wait", "later"], words].concat()));
    let mut waiting =
        [start(&["--for", "started"]), start(&[]), start(&["--for", "exited", "--timeout", "1h"])];
    let still = |one: &Wrapper| support::alive(one.pid());
    emit(&place, "go");
    assert_eq!(waiting[0].wait(), 0, "{}", waiting[0].dump());
    assert!(still(&waiting[1]) && still(&waiting[2]));
    place.write("up", "");
    assert_eq!(waiting[1].wait(), 0, "{}", waiting[1].dump());
    assert!(still(&waiting[2]));
    place.coproc(&["stop", "later"]);
    assert_eq!(waiting[2].wait(), 0, "{}", waiting[2].dump());
    assert_eq!(wrapper.stop(), 0);
}

/// Who waits takes nobody's seat, and leaves none behind.
#[test]
fn those_who_wait_keep_nobody_from_being_answered() {
    let place = Place::new();
    let mut wrapper = place.serving(&coprocess("later", "\"true\"", "exec_event = \"custom.go\""));
    let ask = || {
        let mut stream = UnixStream::connect(place.at("run/control.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.write_all(b"GET /v1/coprocesses/later/wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream
    };
    let is_refused = |mut stream: &UnixStream| {
        let mut bytes = [0; 64];
        matches!(stream.read(&mut bytes), Ok(n) if text(&bytes[..n]).contains(" 503 "))
    };
    let all: Vec<_> = (0..64).map(|_| ask()).collect();
    eventually("there is no room for another", || is_refused(&ask()));
    assert_eq!(place.coproc(&["status"]).status.code(), Some(0));
    drop(all);
    eventually("they have left", || !is_refused(&ask()));
    assert_eq!(wrapper.stop(), 0);
}
