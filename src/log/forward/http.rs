//! One POST over HTTP/1.1 on a connection of its own, of whose answer only the head counts.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::connect;
use crate::log::config::Collector;

/// What a head may have of bytes.
const HEAD: usize = 16 * 1024;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Sends a body, with the lines of `head`, and reads the head of the answer.
///
/// # Errors
/// When it cannot be sent within the time, or what comes back is no HTTP.
pub(super) fn post(
    place: &Collector,
    head: &str,
    body: &[u8],
    patience: Duration,
) -> io::Result<Answer> {
    let deadline = Instant::now() + patience;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = connect::tcp(&place.authority, patience)?;
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: coproc/{}\r\nConnection: close\r\n\
         Content-Length: {}\r\n{head}\r\n",
        place.path,
        place.authority,
        env!("CARGO_PKG_VERSION"),
        body.len(),
    )
    .into_bytes();
    request.extend_from_slice(body);
    stream.set_write_timeout(Some(left()?))?;
    // Who refuses a body may answer before it has read it.
    let written = stream.write_all(&request);
    let mut answer = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        if let Some(found) = parse(&answer)? {
            return Ok(found);
        }
        if answer.len() > HEAD {
            return Err(io::Error::new(ErrorKind::InvalidData, "the answer's head has no end"));
        }
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut chunk) {
            Ok(0) => {
                written?;
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "there is no answer"));
            }
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What a read that timed out is called depends on the system.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) => {
                written?;
                return Err(error);
            }
        }
    }
}

/// The answer once its head is whole; interim answers are passed over.
fn parse(mut bytes: &[u8]) -> io::Result<Option<Answer>> {
    loop {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let Some(status) = status else {
            return Err(io::Error::new(ErrorKind::InvalidData, "the answer is no HTTP/1.1"));
        };
        if (100..200).contains(&status) {
            bytes = &bytes[end + 4..];
            continue;
        }
        let retry_after = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let seconds =
                value.trim().parse().ok().filter(|_| name.eq_ignore_ascii_case("retry-after"))?;
            Some(Duration::from_secs(seconds))
        });
        return Ok(Some(Answer { status, retry_after }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let answer = |status, seconds: Option<u64>| {
            Some(Answer { status, retry_after: seconds.map(Duration::from_secs) })
        };
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n{}", answer(200, None)),
            ("HTTP/1.0 503 x\r\nA: b\r\nretry-After: 7\r\n\r\n", answer(503, Some(7))),
            ("HTTP/1.1 429\r\nRetry-After: tomorrow\r\n\r\n", answer(429, None)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n", answer(204, None)),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 \r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "\r\n\r\n"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
