//! Requests that two servers may understand differently: they are refused, and their connections closed.

use crate::world::{Gate, OK, answering, api};

/// Asks, and sees the connection close after the answer.
fn refused(gate: &Gate, request: &str) -> Option<u16> {
    let mut client = gate.connect();
    // What follows would be a request if the first one were understood as its sender wants it to be.
    client.send(&format!("{request}GET /a/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
    let status = client.message().map(|answer| answer.status());
    if status.is_some() {
        assert!(client.message().is_none(), "{request:?} was followed by another answer");
    }
    status
}

#[test]
fn malformed_requests_are_refused_and_nothing_after_them_is_believed() {
    let (up, asks) = answering(OK);
    let gate = Gate::to(up.address);
    let start = "POST /a/ HTTP/1.1\r\nHost: a\r\n";
    let head = |rest: &str| format!("{start}{rest}\r\n\r\n");
    for (statuses, request) in [
        (&[400][..], head("Content-Length: 4\r\nTransfer-Encoding: chunked") + "0\r\n\r\n"),
        (&[400], head("Transfer-Encoding: chunked\r\nContent-Length: 4") + "0\r\n\r\n"),
        (&[400], head("Content-Length: 1\r\nContent-Length: 2") + "ab"),
        (&[400], head("Content-Length: 1, 2") + "ab"),
        (&[400], head("Content-Length: +1") + "a"),
        (&[400], head("Content-Length: -1")),
        (&[400], head("Content-Length: 0x1") + "a"),
        (&[400], head("Content-Length:")),
        (&[400], head("Content-Length : 1") + "a"),
        (&[400], head("Transfer-Encoding : chunked") + "0\r\n\r\n"),
        (&[400], head("X-One: 1\r\n folded: 2")),
        (&[400], head("X-One: 1\r\n\tfolded")),
        (&[400], head("X-One\0: 1")),
        (&[400], head("X-One: a\0b")),
        (&[400], head("X-One: a\rb")),
        (&[400], head("no colon")),
        (&[400], head(": no name")),
        (&[400, 501], head("Transfer-Encoding: chunked, identity") + "0\r\n\r\n"),
        (&[400, 501], head("Transfer-Encoding: identity") + "0\r\n\r\n"),
        (&[400, 501], head("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n"),
        (
            &[400, 501],
            head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
        ),
        (&[400, 501], head("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n"),
        (
            &[400],
            "POST /a/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        ),
        (&[400], head("Host: b")),
        (&[400], "GET /a/ HTTP/1.1\r\n\r\n".into()),
        (&[400], "GET /a/ HTTP/1.1\r\nHost: a/b\r\n\r\n".into()),
        (&[400], "GET /a/ HTTP/1.1\r\nHost: a b\r\n\r\n".into()),
        (&[400], "GET http://b/a/ HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "GET http://user@a/a/ HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "GET a/ HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "GET /a/ b HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "GET /a/\0 HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "GET /a/%2E%2e/b HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[405], "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".into()),
        (&[400, 505], "GET /a/ HTTP/3.0\r\nHost: a\r\n\r\n".into()),
        (&[400, 505], "GET /a/ HTTP/1.2\r\nHost: a\r\n\r\n".into()),
        (&[400, 505], "GET /a/\r\n\r\n".into()),
        (&[400], "GE T /a/ HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[400], "\x16\x03\x01\x02 HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (&[417], head("Expect: more")),
    ] {
        let status = refused(&gate, &request).unwrap_or_else(|| panic!("{request:?}: no answer"));
        assert!(statuses.contains(&status), "{request:?}: {status}");
    }
    assert!(asks.try_recv().is_err(), "an upstream was asked");
}

#[test]
fn malformed_chunks_are_refused() {
    let up = crate::world::upstream(|mut client| {
        client.head();
        // All there is of the body, and no answer to it.
        client.is_closed();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut Vec::new());
    });
    let gate = Gate::to(up.address);
    let head = "POST /a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "g\r\n",
        "-1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "11111111111111111\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "1\r\naX\r\n0\r\n\r\n",
    ] {
        assert_eq!(refused(&gate, &format!("{head}{chunks}")), Some(400), "{chunks:?}");
    }
}

#[test]
fn the_same_length_twice_is_one_length() {
    let (up, asks) = answering(OK);
    let gate = Gate::to(up.address);
    let request =
        "POST /a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(gate.ask(request).status(), 200);
    assert_eq!(asks.recv().unwrap().all("content-length"), ["2"]);
}

#[test]
fn what_follows_in_one_go_is_a_request_of_its_own() {
    let (up, asks) = answering(OK);
    let gate = Gate::to(up.address);
    let mut client = gate.connect();
    let chunked = "POST /a/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let sized = "POST /a/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let both = "POST /a/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                0\r\n\r\nGET /a/4 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(&format!("{chunked}{sized}{both}"));
    for _ in 0..2 {
        assert_eq!(client.answer().status(), 200);
    }
    // The third is refused, or taken by its chunks with nothing believed after it.
    let third = client.answer().status();
    assert!(third == 400 || third == 200, "{third}");
    assert!(client.message().is_none());
    let asked: Vec<_> = asks.try_iter().map(|asked| asked.first).collect();
    assert_eq!(asked[..2], ["POST /1 HTTP/1.1", "POST /2 HTTP/1.1"]);
    assert!(!asked.contains(&"GET /4 HTTP/1.1".to_owned()), "{asked:?}");
}

#[test]
fn a_response_in_chunks_that_tells_a_length_as_well_is_passed_on_in_chunks() {
    let (up, _asks) = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let gate = Gate::to(up.address);
    let answer = gate.ask("GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "abc"));
    assert_eq!(answer.header("content-length"), None);
}

#[test]
fn no_api_is_passed_by_with_a_path_that_is_written_otherwise() {
    let (up, asks) = answering(OK);
    let url = format!("http://{}/", up.address);
    let gate = Gate::serving(vec![api("all", "/", &url), api("a", "/a/", &url)], |_| {});
    let status = |path: &str| gate.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status();
    for path in ["/%61/x", "//a/x", "/a%2fx", "/a%2Fx", "/\\a/x", "/a;b/x", "/%2f%61%2f"] {
        assert_eq!(status(path), 400, "{path}");
    }
    assert!(asks.try_recv().is_err());
    for path in ["/a//x", "/a/%2f;x", "/b//x", "/b/%61/", "/%62/a/", "/b;c/x"] {
        assert_eq!(status(path), 200, "{path}");
    }
}
