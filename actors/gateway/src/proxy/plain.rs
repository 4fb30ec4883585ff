//! An upstream's connection while all on it is plain: requests without a body, answers whose length is told.
//!
//! Whoever waits for the answer writes and reads by itself, which takes half of what hyper takes for it. What is
//! not that plain is left to hyper: it has the connection from then on as if it had had it before. What was sent
//! of its request it need not send, and what came for it, it reads. So nothing that is odd is judged here.

use std::future::poll_fn;
use std::io;
use std::mem::{MaybeUninit, take};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::body::{Fault, Upload};
use super::left::Left;
use super::link::Arriving;
use super::stream::Stream;
use super::timer::Timer;

/// The most headers that a plain answer has.
const HEADERS: usize = 100;
/// The room that an answer's head is read to, and a body whose rest is shorter.
const ROOM: usize = 8 << 10;
/// The most room that a body is read to.
const BODY_ROOM: u64 = 64 << 10;

/// How large an answer's head may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) headers: usize,
    pub(super) bytes: usize,
}

/// The connection.
#[derive(Debug)]
pub(super) struct Plain {
    stream: Stream,
    most: Most,
    /// The head of the request, and how much of it is sent.
    head: Vec<u8>,
    sent: usize,
    /// Where is read to.
    room: BytesMut,
    /// What came behind the answer's head.
    ahead: Bytes,
    /// What reading failed with.
    failed: Option<io::Error>,
    /// Room for the headers of an answer: those of the request before.
    spare: HeaderMap,
}

/// What comes of a request.
pub(super) enum Asked {
    Answered(Response<Arriving>),
    /// Nothing, for too long.
    Late,
    /// Something that is for hyper.
    Odd,
}

/// What bytes are.
enum Head {
    /// The head of a plain answer.
    Whole(Response<Arriving>),
    /// A part of a head.
    Part,
    Odd,
}

/// Whether a request can be sent here.
pub(super) fn is_plain(request: &Request<Upload>) -> bool {
    let has_no_body = matches!(request.body(), Upload::None | Upload::Whole(None));
    has_no_body && !matches!(*request.method(), Method::HEAD | Method::CONNECT)
}

impl Plain {
    pub(super) fn new(stream: Stream, most: Most) -> Self {
        let (head, room, ahead) = (Vec::new(), BytesMut::new(), Bytes::new());
        let spare = HeaderMap::new();
        Self { stream, most, head, sent: 0, room, ahead, failed: None, spare }
    }

    /// Sends a request and waits for its answer. One that is answered has no headers afterwards.
    pub(super) async fn ask(
        &mut self,
        request: &mut Request<Upload>,
        timer: &mut Timer,
        deadline: Instant,
    ) -> Asked {
        write(request, &mut self.head);
        let asked = poll_fn(|cx| match self.poll(cx) {
            Poll::Pending if timer.is_late(deadline, cx) => Poll::Ready(Asked::Late),
            polled => polled,
        });
        let asked = asked.await;
        if let Asked::Answered(_) = asked {
            self.spare = take(request.headers_mut());
            self.spare.clear();
        }
        asked
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Asked> {
        let mut stream = Pin::new(&mut self.stream);
        while let rest @ [_, ..] = &self.head[self.sent..] {
            match ready!(stream.as_mut().poll_write(cx, rest)) {
                Ok(length @ 1..) => self.sent += length,
                // hyper sees the same.
                Ok(0) | Err(_) => return Poll::Ready(Asked::Odd),
            }
        }
        if ready!(stream.poll_flush(cx)).is_err() {
            return Poll::Ready(Asked::Odd);
        }
        loop {
            self.room.reserve(ROOM);
            match ready!(pin!(self.stream.read_buf(&mut self.room)).poll(cx)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Asked::Odd),
                Err(error) => {
                    self.failed = Some(error);
                    return Poll::Ready(Asked::Odd);
                }
            }
            let came = self.room.split().freeze();
            match read(&came, self.most, &mut self.ahead, &mut self.spare) {
                Head::Whole(response) => {
                    // It is not sent again.
                    self.sent = 0;
                    self.head.clear();
                    return Poll::Ready(Asked::Answered(response));
                }
                Head::Part => self.room = came.into(),
                Head::Odd => {
                    self.room = came.into();
                    return Poll::Ready(Asked::Odd);
                }
            }
        }
    }

    /// The next piece of an answer's body of which `left` bytes are to come.
    pub(super) fn poll_body(
        &mut self,
        left: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.ahead.is_empty() {
            self.room.reserve(usize::try_from(BODY_ROOM.min(*left)).unwrap_or(ROOM).max(ROOM));
            match ready!(pin!(self.stream.read_buf(&mut self.room)).poll(cx)) {
                Ok(1..) => self.ahead = self.room.split().freeze(),
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Fault::Broken))),
            }
        }
        let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.ahead.len());
        *left -= length as u64;
        let piece = match length == self.ahead.len() {
            true => take(&mut self.ahead),
            false => self.ahead.split_to(length),
        };
        Poll::Ready(Some(Ok(piece)))
    }

    /// Whether nothing has come that nobody has asked for, be it that the other side has closed. Who is in `cx` is
    /// woken when something comes.
    pub(super) fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        self.ahead.is_empty()
            && Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Leaves it to hyper, with what was sent of the last request and came for it.
    pub(super) fn leave(self) -> Left {
        let Self { stream, mut head, sent, room, failed, .. } = self;
        head.truncate(sent);
        Left { stream, sent: head.into(), came: room, failed }
    }
}

/// Writes a head as hyper writes it, which may have to send the same.
fn write(request: &Request<Upload>, head: &mut Vec<u8>) {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
}

/// Reads the head of an answer; what came behind it goes to `ahead`. `spare` is room for headers.
fn read(came: &Bytes, most: Most, ahead: &mut Bytes, spare: &mut HeaderMap) -> Head {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let room = &mut room[..most.headers.min(HEADERS)];
    let config = ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, came, room) {
        Ok(Status::Complete(length)) if length <= most.bytes => length,
        Ok(Status::Partial) if came.len() < most.bytes => return Head::Part,
        Ok(_) | Err(_) => return Head::Odd,
    };
    let response = plain(&parsed, came, spare);
    if response.is_some() {
        *ahead = came.slice(length..);
    }
    response.map_or(Head::Odd, Head::Whole)
}

/// An answer, if it is a plain one: its length is told once, and the connection stays.
fn plain(
    parsed: &httparse::Response<'_, '_>,
    came: &Bytes,
    spare: &mut HeaderMap,
) -> Option<Response<Arriving>> {
    let status = StatusCode::from_u16(parsed.code?).ok()?;
    let has_body = status.as_u16() >= 200
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if parsed.version != Some(1) || !has_body || parsed.reason != status.canonical_reason() {
        return None;
    }
    let mut length = None;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_11;
    let headers = response.headers_mut();
    *headers = take(spare);
    headers.reserve(parsed.headers.len());
    for one in &*parsed.headers {
        let name = HeaderName::from_bytes(one.name.as_bytes()).ok()?;
        match name {
            TRANSFER_ENCODING => return None,
            CONNECTION if !one.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            CONTENT_LENGTH if length.replace(number(one.value)?).is_some() => return None,
            _ => {}
        }
        headers.append(name, HeaderValue::from_maybe_shared(came.slice_ref(one.value)).ok()?);
    }
    let length = length?;
    Some(response.map(|()| Arriving::Plain(length)))
}

/// A number in digits alone, of which there are few enough for it to fit.
fn number(digits: &[u8]) -> Option<u64> {
    if !matches!(digits.len(), 1..=18) {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
