use std::time::Duration;

use http::Version;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;

use super::*;
use crate::proxy::link::{Link, Tending};

const MOST: Most = Most { headers: 100, bytes: 1000 };

fn request(method: &str, target: &str) -> Request<Upload> {
    let mut request = Request::new(Upload::None);
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = http::uri::PathAndQuery::try_from(target).unwrap().into();
    for (name, value) in [("host", "a:1"), ("x-a", "1"), ("x-a", "\u{e9}"), ("content-length", "0")]
    {
        let name = HeaderName::from_static(name);
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

fn run<T>(test: impl Future<Output = T>) -> T {
    LocalRuntime::new().unwrap().block_on(test)
}

#[test]
fn heads_are_those_of_hyper() {
    for (method, target) in
        [("GET", "/"), ("POST", "/a//b?c=%20"), ("OPTIONS", "*"), ("M-SEARCH", "/?")]
    {
        let mut own = Vec::new();
        write(&request(method, target), &mut own);
        let theirs = run(async {
            let (here, mut there) = tokio::io::duplex(4096);
            let made = Builder::new().handshake(TokioIo::new(here)).await.unwrap();
            let (mut sender, connection): (_, hyper::client::conn::http1::Connection<_, Upload>) =
                made;
            let answer = sender.send_request(request(method, target));
            let read = async {
                let mut read = vec![0; own.len() + 1];
                let length = there.read(&mut read).await.unwrap();
                read.truncate(length);
                read
            };
            tokio::select! {
                read = read => read,
                _ = connection => panic!("it is over"),
                _ = answer => panic!("there is no answer"),
            }
        });
        assert_eq!(String::from_utf8_lossy(&own), String::from_utf8_lossy(&theirs));
    }
}

fn read_all(text: &str) -> (Head, Bytes) {
    let mut ahead = Bytes::new();
    let came = Bytes::copy_from_slice(text.as_bytes());
    (read(&came, MOST, &mut ahead, &mut HeaderMap::new()), ahead)
}

#[test]
fn plain_answers_are_read() {
    let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nConnection: Keep-Alive\r\n\
        X-A: 1\r\nx-a:2\r\n\r\nabc";
    let (Head::Whole(response), ahead) = read_all(text) else { panic!("it is plain") };
    assert_eq!((response.status(), response.version()), (StatusCode::NOT_FOUND, Version::HTTP_11));
    assert!(matches!(response.body(), Arriving::Plain(12)) && ahead == "abc");
    let headers = response.headers();
    assert!(headers.get_all("x-a").iter().eq(["1", "2"]) && headers.len() == 4);
    for length in 0..text.len() - 3 {
        assert!(matches!(read_all(&text[..length]).0, Head::Part), "{length}");
    }
}

#[test]
fn what_is_not_plain_is_odd() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: {}", "a".repeat(1000));
    let many = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "a: 1\r\n".repeat(100));
    for text in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive, x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent Length: 1\r\n\r\n",
        "SSH-2.0-a\r\n",
        &long,
        &many,
    ] {
        assert!(matches!(read_all(text).0, Head::Odd), "{text}");
    }
}

/// A link, and the other side of it.
async fn linked() -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let plain = Plain::new(Stream::Tcp(here), MOST);
    let link = Link::new(plain, Builder::new(), std::sync::Arc::new(Tending::default()));
    (link, listener.accept().await.unwrap().0)
}

/// Reads a request and answers it in pieces.
async fn answers(there: &mut TcpStream, pieces: &[&str]) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(there.read_buf(&mut head).await.unwrap(), 0);
    }
    for piece in pieces {
        there.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn asked(link: &mut Link) -> Option<String> {
    let limit = Duration::from_secs(60);
    let response = link.ask(request("GET", "/"), None, limit).await.ok()?.ok()?;
    let mut body = response.into_body();
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.poll(Some(&mut *link), cx)).await {
        whole.extend_from_slice(frame.ok()?.data_ref()?);
    }
    // It knows of its end without its connection as well, which others may have then.
    assert!(poll_fn(|cx| body.poll(None, cx)).await.is_none());
    String::from_utf8(whole).ok()
}

#[test]
fn what_is_odd_is_hypers_from_then_on_and_is_asked_once() {
    let plain = ["HTTP/1.1 200 OK\r\nContent-", "Length: 3\r\n\r\na", "bc"];
    let odd = [
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-",
        "Encoding: chunked\r\n\r\n3\r\nde",
        "f\r\n0\r\n\r\n",
    ];
    run(async {
        let (mut link, mut there) = linked().await;
        let mut heads = Vec::new();
        for (pieces, body) in [(plain, "abc"), (odd, "def"), (plain, "abc"), (odd, "def")] {
            let (head, got) = tokio::join!(answers(&mut there, &pieces), asked(&mut link));
            heads.push(head);
            assert_eq!(got.as_deref(), Some(body));
            assert!(link.is_ready());
            if heads.len() == 2 {
                // Also once it has a task of its own.
                link.detach().await.unwrap();
            }
        }
        assert!(heads.iter().all(|head| *head == heads[0] && head.matches("GET").count() == 1));
    });
}

#[test]
fn what_was_sent_is_not_taken_for_another_request() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut left = Left {
            stream: Stream::Tcp(stream),
            sent: Bytes::from_static(b"GET /a "),
            came: BytesMut::new(),
            failed: None,
        };
        assert_eq!(left.write(b"GET ").await.unwrap(), 4);
        assert!(left.write(b"/b HTTP/1.1\r\n").await.is_err());
    });
}

#[test]
fn a_connection_that_says_more_than_it_was_asked_for_is_used_no_more() {
    run(async {
        let (mut link, mut there) = linked().await;
        let more = ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n"];
        let (_, got) = tokio::join!(answers(&mut there, &more), asked(&mut link));
        assert_eq!(got.as_deref(), Some("abc"));
        assert!(!link.is_ready());
    });
}

#[test]
fn answers_that_break_off_are_none() {
    for pieces in [
        &[][..],
        &["HTTP/1.1 200 OK\r\nContent-Le"],
        &["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"],
    ] {
        run(async {
            let (mut link, mut there) = linked().await;
            let answers = async {
                answers(&mut there, pieces).await;
                drop(there);
            };
            assert_eq!(tokio::join!(answers, asked(&mut link)).1, None);
            assert!(!link.is_ready());
        });
    }
}
