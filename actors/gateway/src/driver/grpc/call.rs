//! One call over HTTP/2 as gRPC lays it out: a request whose body is messages, each behind five bytes, an
//! answer alike, and the status in its trailers. See PROTOCOL-HTTP2.md of the gRPC project.

use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use prost::{DecodeError, Message};
use tonic::{Code, Status};

use super::dial::Sender;
use super::gathered;
use super::said;
use crate::driver::Failure;

/// What stands before a message: whether it is compressed, which it never is here, and its length.
const PREFIX: usize = 5;
/// The header or trailer that says how a call went.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The largest number of a `grpc-timeout`, which has eight digits.
const LONGEST: u128 = 99_999_999;

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody has begun to work on it: it may go to another connection.
    Unsent(String),
    /// It broke on its way.
    Broken(String),
    /// The server has refused it.
    Refused(Status),
    /// The answer is larger than allowed.
    TooLarge(String),
    /// What came is no answer.
    Unreadable(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unsent(why) | Trouble::Broken(why) => Self::Unreachable(why),
            Trouble::TooLarge(why) => Self::TooLarge(why),
            Trouble::Unreadable(why) => Self::Malformed(why),
            Trouble::Refused(status) => {
                let message = status.message();
                // Servers say in many ways, and with several codes, that they do not take so much.
                let large = ["message length too large", "larger than max", "exceeds maximum size"];
                match large.iter().any(|words| message.contains(words)) {
                    true => Self::TooLarge(message.to_owned()),
                    false => Self::Refused(format!("{:?}: {message}", status.code())),
                }
            }
        }
    }
}

/// A message as it is sent.
pub(super) fn framed(message: &[u8]) -> Result<Bytes, Trouble> {
    let length = message.len();
    let told = u32::try_from(length).map_err(|_| Trouble::TooLarge(format!("{length} bytes")))?;
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(told);
    bytes.put_slice(message);
    Ok(bytes.freeze())
}

/// The head of a call. Without a deadline it may last for ever.
pub(super) fn head(
    origin: &Uri,
    path: &'static str,
    deadline: Option<Instant>,
    trace: &[(&'static str, String)],
) -> Request<()> {
    let mut target = origin.clone().into_parts();
    target.path_and_query = Some(PathAndQuery::from_static(path));
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let agent = concat!("coproc/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        headers.insert(HeaderName::from_static("grpc-timeout"), timeout(left));
    }
    for (name, value) in trace {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    request
}

/// In nanoseconds where these have room. Else in milliseconds, begun ones counted whole, or in seconds: so most
/// calls say the same, which costs HTTP/2 one byte.
fn timeout(left: Duration) -> HeaderValue {
    let units = [(left.as_nanos(), 'n'), (left.as_nanos().div_ceil(1_000_000), 'm')];
    let (number, unit) = units
        .into_iter()
        .find(|(number, _)| *number <= LONGEST)
        .unwrap_or((u128::from(left.as_secs()).min(LONGEST), 'S'));
    // Digits and a letter are always a value.
    HeaderValue::try_from(format!("{number}{unit}"))
        .unwrap_or_else(|_| HeaderValue::from_static("99999999S"))
}

/// Waits for a connection to take another call. An error means that it takes none any more.
pub(super) async fn ready(sender: &Sender) -> Result<SendRequest<Bytes>, Trouble> {
    sender.requests().ready().await.map_err(|error| unsent(sender, &error))
}

/// Sends a call whole. That it is unsent means that nothing has left.
pub(super) fn send(
    sender: &Sender,
    requests: &mut SendRequest<Bytes>,
    head: Request<()>,
    mut body: Bytes,
) -> Result<ResponseFuture, Trouble> {
    let sent = requests.send_request(head, false);
    let (response, mut stream) = sent.map_err(|error| unsent(sender, &error))?;
    let broken = |error: h2::Error| Trouble::Broken(said(&error));
    let most = if body.len() <= gathered::SHORT { gathered::PIECE } else { body.len() };
    while body.len() > most {
        stream.send_data(body.split_to(most), false).map_err(broken)?;
    }
    stream.send_data(body, true).map_err(broken)?;
    Ok(response)
}

fn unsent(sender: &Sender, error: &h2::Error) -> Trouble {
    sender.close();
    Trouble::Unsent(said(error))
}

/// Reads a message.
pub(super) fn read<M: Message + Default>(message: Bytes) -> Result<M, Trouble> {
    M::decode(message).map_err(unreadable)
}

/// A message that is none.
pub(super) fn unreadable(error: DecodeError) -> Trouble {
    Trouble::Unreadable(error.to_string())
}

/// What comes back: messages, and then how it went.
pub(super) struct Answer {
    body: RecvStream,
    held: BytesMut,
    max: usize,
}

impl Answer {
    /// Waits for its head. Messages are at most `max` bytes long.
    pub(super) async fn begin(response: ResponseFuture, max: usize) -> Result<Self, Trouble> {
        let response = response.await.map_err(|error| match is_untouched(&error) {
            true => Trouble::Unsent(said(&error)),
            false => Trouble::Broken(said(&error)),
        })?;
        let (head, body) = response.into_parts();
        // An answer without a message may be all head.
        if head.headers.contains_key(STATUS)
            && let Some(status) = Status::from_header_map(&head.headers)
        {
            return Err(match status.code() {
                Code::Ok => Trouble::Unreadable("there is no message".to_owned()),
                _ => Trouble::Refused(status),
            });
        }
        if head.status != StatusCode::OK {
            return Err(Trouble::Refused(Status::new(
                code(head.status),
                format!("HTTP {}", head.status),
            )));
        }
        Ok(Self { body, held: BytesMut::new(), max })
    }

    /// The next message, or that there is none.
    pub(super) async fn message(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(Some(message));
            }
            match self.body.data().await {
                Some(Ok(bytes)) => {
                    // The server may send as much again.
                    let _ = self.body.flow_control().release_capacity(bytes.len());
                    self.held.extend_from_slice(&bytes);
                }
                Some(Err(error)) => return Err(Trouble::Broken(said(&error))),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(Trouble::Unreadable("it ends within a message".to_owned())),
            }
        }
    }

    /// Takes a message off what is held, if it is there as a whole.
    fn whole(&mut self) -> Result<Option<Bytes>, Trouble> {
        let Some((prefix, rest)) = self.held.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(Trouble::Unreadable(
                "it is compressed, and was not asked to be".to_owned(),
            ));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.max {
            let max = self.max;
            return Err(Trouble::TooLarge(format!(
                "an answer of {length} bytes, {max} are allowed"
            )));
        }
        if rest.len() < length {
            let missing = length - rest.len();
            self.held.reserve(missing);
            return Ok(None);
        }
        self.held.advance(PREFIX);
        Ok(Some(self.held.split_to(length).freeze()))
    }

    /// Waits for the status behind the last message.
    pub(super) async fn end(mut self) -> Result<(), Trouble> {
        let trailers = self.body.trailers().await;
        let trailers = trailers.map_err(|error| Trouble::Broken(said(&error)))?.unwrap_or_default();
        verdict(&trailers)
    }
}

/// Whether the server has said that it has not begun to work on a request: it refused it, or its goodbye came
/// before it (sections 6.8 and 8.7 of RFC 9113).
fn is_untouched(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let goodbye = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    error.is_remote() && (refused || goodbye)
}

fn verdict(trailers: &HeaderMap) -> Result<(), Trouble> {
    // Mostly there is nothing more to be read.
    if trailers.get(STATUS).is_some_and(|status| status == "0") {
        return Ok(());
    }
    match Status::from_header_map(trailers) {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(Trouble::Refused(status)),
        None => Err(Trouble::Unreadable("it ends without a status".to_owned())),
    }
}

/// What a status of HTTP stands for where there is none of gRPC.
fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_eight_digits_at_most() {
        for (left, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_millis(100), "100m"),
            (Duration::from_micros(29_999_001), "30000m"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(timeout(left), text);
        }
    }

    #[test]
    fn a_head_is_what_grpc_asks_for() {
        let origin = Uri::from_static("http://plugin:5/");
        let trace = [("traceparent", "00-1".to_owned())];
        let request = head(&origin, "/a.B/C", Some(Instant::now()), &trace);
        assert_eq!((request.method(), request.version()), (&Method::POST, Version::HTTP_2));
        assert_eq!(*request.uri(), "http://plugin:5/a.B/C");
        let headers = request.headers();
        assert_eq!(
            (&headers["te"], &headers["content-type"]),
            (&HeaderValue::from_static("trailers"), &HeaderValue::from_static("application/grpc"))
        );
        assert_eq!(
            (&headers["grpc-timeout"], &headers["traceparent"]),
            (&HeaderValue::from_static("0n"), &HeaderValue::from_static("00-1"))
        );
    }
}
