//! What passes: heads, bodies, upgrades, and which upstream is asked.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::world::{Gate, OK, PATIENCE, answering, api, upstream, wait_until};

#[test]
fn a_request_and_its_response_pass_without_what_is_for_one_hop() {
    let answer = "HTTP/1.1 201 Made\r\nContent-Length: 4\r\nConnection: X-Private\r\n\
                  X-Private: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                  Proxy-Authenticate: Basic\r\n\r\nmade";
    let (up, asks) = answering(answer);
    let gate = Gate::to(up.address);
    let answer = gate.ask(
        "POST /a/x/y?q=1&q=2 HTTP/1.1\r\nHost: gate.example:81\r\nContent-Length: 3\r\n\
         Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nAccept: a\r\nAccept: b\r\n\
         Upgrade: h2c\r\nTE: gzip\r\nProxy-Authorization: x\r\nExpect: 100-continue\r\n\r\nabc",
    );
    // The interim answer was asked for.
    assert_eq!(answer.status(), 100);
    let asked = asks.recv_timeout(PATIENCE).unwrap();
    assert_eq!(asked.first, "POST /x/y?q=1&q=2 HTTP/1.1");
    assert_eq!(asked.text(), "abc");
    assert_eq!(asked.all("host"), [up.address.to_string()]);
    assert_eq!(asked.all("accept"), ["a", "b"]);
    assert_eq!(asked.all("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    assert_eq!(asked.all("x-forwarded-proto"), ["http"]);
    assert_eq!(asked.all("x-forwarded-host"), ["gate.example:81"]);
    for gone in ["connection", "x-mine", "upgrade", "te", "proxy-authorization", "expect"] {
        assert_eq!(asked.header(gone), None, "{gone}");
    }

    let answer = gate.connect().get("/a/");
    assert_eq!(answer.first, "HTTP/1.1 201 Made");
    assert_eq!(answer.text(), "made");
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    for gone in ["connection", "x-private", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[test]
fn the_path_leads_to_an_upstream_or_nowhere() {
    let (up, asks) = answering(OK);
    let url = format!("http://{}/base?key=1", up.address);
    let mut kept = api("kept", "/kept/", &url);
    kept.upstream.strip_listen_path = false;
    kept.upstream.preserve_host = true;
    let gate = Gate::serving(vec![api("a", "/a/", &url), kept], |_| {});
    let mut client = gate.connect();
    for (path, expected, host) in [
        ("/a/b/?c=d", "GET /base/b/?key=1&c=d HTTP/1.1", up.address.to_string()),
        ("/id-a/b", "GET /base/b?key=1 HTTP/1.1", up.address.to_string()),
        ("/kept/x%2f%20", "GET /base/kept/x%2f%20?key=1 HTTP/1.1", "gate.example".to_owned()),
    ] {
        assert_eq!(client.get(path).status(), 200);
        let asked = asks.recv_timeout(PATIENCE).unwrap();
        assert_eq!((asked.first.as_str(), asked.header("host")), (expected, Some(host.as_str())));
    }
    let answer = client.get("/nowhere");
    assert_eq!((answer.status(), answer.text()), (404, "{\n    \"error\": \"Not Found\"\n}"));
    // That was no malformed request, and its connection stays.
    assert_eq!(client.get("/a/").status(), 200);
}

#[test]
fn connections_to_upstreams_are_used_again_and_replaced_once_they_are_closed() {
    let (closed, closes) = channel();
    let up = upstream(move |mut client| {
        for _ in 0..3 {
            if client.message().is_none() {
                return;
            }
            client.send(OK);
        }
        // Without a word.
        drop(client);
        let _ = closed.send(());
    });
    let gate = Gate::with(up.address, |config| config.worker_threads = Some(1));
    let mut client = gate.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/a/").status(), 200);
    }
    assert_eq!(*up.connections.lock().unwrap(), 1);
    closes.recv_timeout(PATIENCE).unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/a/").status(), 200);
    }
    assert_eq!(*up.connections.lock().unwrap(), 2);
}

#[test]
fn a_request_that_may_be_repeated_is_when_its_connection_breaks() {
    let up = upstream(|mut client| {
        client.answer();
        client.send(OK);
        // The second is read and not answered.
        client.message();
    });
    let gate = Gate::with(up.address, |config| config.worker_threads = Some(1));
    let mut client = gate.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/a/").status(), 200);
        // One that was in use a moment ago is trusted to be open.
        std::thread::sleep(Duration::from_millis(300));
    }
    client.send("POST /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.answer().status(), 502);
}

#[test]
fn idle_connections_to_upstreams_are_closed_in_time() {
    let (closed, closes) = channel();
    let up = upstream(move |mut client| {
        client.answer();
        client.send(OK);
        let _ = closed.send(client.is_closed());
    });
    let gate = Gate::with(up.address, |config| {
        config.limits.upstream_idle_timeout = Duration::from_millis(50);
    });
    assert_eq!(gate.ask("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    assert!(closes.recv_timeout(PATIENCE).unwrap());
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let (up, asks) = answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    let gate = Gate::to(up.address);
    let answer = gate.ask(
        "PUT /a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\
         TE: trailers\r\nConnection: te\r\n\r\n4\r\nwxyz\r\n0\r\nX-Sum: 4\r\n\r\n",
    );
    assert_eq!(answer.text(), "abcde");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "5".to_owned())]);
    let asked = asks.recv_timeout(PATIENCE).unwrap();
    assert_eq!(asked.text(), "wxyz");
    assert_eq!(asked.trailers, [("x-sum".to_owned(), "4".to_owned())]);
    assert_eq!(asked.header("te"), Some("trailers"));
    assert_eq!(asked.header("content-length"), None);
}

#[test]
fn answers_without_bodies() {
    let up = upstream(|mut client| {
        while let Some(request) = client.message() {
            client.send(match request.first.split(' ').next().unwrap() {
                "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
                "GET" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
                _ => "HTTP/1.1 204 No Content\r\n\r\n",
            });
        }
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    for (method, status, length) in
        [("HEAD", 200, Some("77")), ("GET", 304, None), ("DELETE", 204, None)]
    {
        client.send(&format!("{method} /a/ HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head().unwrap();
        assert_eq!((head.status(), head.header("content-length")), (status, length), "{method}");
    }
}

#[test]
fn an_upgraded_connection_is_two_streams_of_bytes() {
    let (asked, asks) = channel();
    let up = upstream(move |mut client| {
        let request = client.answer();
        let _ = asked.send(request);
        client.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\
             Sec-WebSocket-Accept: x\r\n\r\nfirst\n",
        );
        while let Some(line) = read_line(&mut client) {
            client.send(&format!("<{line}>\n"));
        }
    });
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    client.send(
        "GET /a/chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\
         Sec-WebSocket-Key: k\r\n\r\n",
    );
    let head = client.head().unwrap();
    assert_eq!(head.status(), 101);
    assert_eq!(head.header("upgrade"), Some("echo"));
    assert_eq!(head.header("connection"), Some("upgrade"));
    assert_eq!(head.header("sec-websocket-accept"), Some("x"));
    let asked = asks.recv_timeout(PATIENCE).unwrap();
    assert_eq!(asked.header("upgrade"), Some("echo"));
    assert_eq!(asked.header("connection"), Some("upgrade"));
    assert_eq!(asked.header("sec-websocket-key"), Some("k"));
    assert_eq!(read_line(&mut client).unwrap(), "first");
    for word in ["one", "two"] {
        client.send(&format!("{word}\n"));
        assert_eq!(read_line(&mut client).unwrap(), format!("<{word}>"));
    }
    client.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    wait_until("the connection is forgotten", || gate.bound.figures().connections == 0);
}

fn read_line(client: &mut crate::world::Client) -> Option<String> {
    use std::io::BufRead;
    let mut line = String::new();
    let read = client.stream.read_line(&mut line).unwrap_or(0);
    (read > 0).then(|| line.trim_end().to_owned())
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_a_bad_answer() {
    let (up, _asks) = answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    let gate = Gate::to(up.address);
    assert_eq!(gate.ask("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n").status(), 502);
}

#[test]
fn routes_are_swapped_as_a_whole_and_no_request_is_lost() {
    let (began, begins) = channel();
    let slow = upstream(move |mut client| {
        while let Some(request) = client.message() {
            let _ = began.send(());
            if request.first.contains("/slow") {
                std::thread::sleep(Duration::from_millis(300));
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
        }
    });
    let (new, _asks) = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    let gate = Gate::to(slow.address);
    let (mut first, mut second) = (gate.connect(), gate.connect());
    assert_eq!(second.get("/a/").text(), "old");
    begins.recv_timeout(PATIENCE).unwrap();
    first.send("GET /a/slow HTTP/1.1\r\nHost: a\r\n\r\n");
    begins.recv_timeout(PATIENCE).unwrap();
    let url = format!("http://{}/", new.address);
    gate.bound.serve([std::sync::Arc::new(api("n", "/a/", &url))]);
    assert_eq!(second.get("/a/").text(), "new");
    assert_eq!(second.get("/id-a/").status(), 404);
    assert_eq!(first.answer().text(), "old");
    assert_eq!(first.get("/a/").text(), "new");
}
