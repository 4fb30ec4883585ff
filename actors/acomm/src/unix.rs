//! Messages over Unix sockets. Nothing here has a time limit; who calls it sets one.

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::decode::DecodeError;
use crate::frame::{self, Decoder, Progress, TooLarge};
use crate::message::Response;

/// How much is read at a time.
const READ: usize = 8 << 10;

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The peer closed before it sent anything.
    #[error("EOF")]
    Closed,
    /// The peer closed within the message.
    #[error("unexpected EOF")]
    Cut,
    /// It is longer than what is taken.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The system's word.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// How an exchange failed, which tells whether the peer can have begun to act.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nobody listens there.
    #[error("{0}")]
    Absent(String),
    /// It heard nothing: another peer can be asked.
    #[error("{0}")]
    Unheard(String),
    /// It may have heard all, and did not answer in full.
    #[error("{0}")]
    Unclear(String),
    /// It answered, and what it said is no ack.
    #[error("{0}")]
    Garbled(DecodeError),
}

/// Reads one message of at most `max` bytes. What follows it is not read, or passed over.
///
/// # Errors
/// As [`ReceiveError`] says.
pub async fn receive<S>(stream: &mut S, max: usize) -> Result<Vec<u8>, ReceiveError>
where
    S: AsyncRead + Unpin,
{
    let mut decoder = Decoder::new(max);
    let mut piece = [0; READ];
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Err(match decoder.is_empty() {
                true => ReceiveError::Closed,
                false => ReceiveError::Cut,
            });
        }
        if let Progress::Complete { message, .. } = decoder.push(&piece[..length])? {
            return Ok(message);
        }
    }
}

/// Writes one message, in one piece as far as the system takes it.
///
/// # Errors
/// When the peer is gone, or the message has no room in a frame.
pub async fn send<S>(stream: &mut S, message: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let frame = frame::encode(message).map_err(io::Error::other)?;
    stream.write_all(&frame).await
}

/// Sends a message to the socket at `path` and waits for the ack, whose error may be set.
///
/// # Errors
/// As [`ExchangeError`] says, in the original's words.
pub async fn exchange(path: &Path, message: &[u8], max: usize) -> Result<Response, ExchangeError> {
    let mut stream = UnixStream::connect(path).await.map_err(|error| {
        let word = reason(&error);
        ExchangeError::Absent(format!("dial unix {}: connect: {word}", path.display()))
    })?;
    let unclear = |error: io::Error| ExchangeError::Unclear(reason(&error));
    let frame =
        frame::encode(message).map_err(|error| ExchangeError::Unheard(error.to_string()))?;
    let first = stream.write(&frame).await;
    let written = first.map_err(|error| ExchangeError::Unheard(reason(&error)))?;
    // A peer that refuses before it has read all of it breaks the writing off; what it says counts.
    let all = stream.write_all(&frame[written..]).await.map_err(unclear);
    let ack = receive(&mut stream, max).await;
    all.or_else(|error| ack.is_ok().then_some(()).ok_or(error))?;
    let ack = ack.map_err(|error| match error {
        ReceiveError::System(error) => unclear(error),
        error => ExchangeError::Unclear(error.to_string()),
    })?;
    Response::decode(&ack).map_err(ExchangeError::Garbled)
}

/// The system's word, without Rust's number.
fn reason(error: &io::Error) -> String {
    let whole = error.to_string();
    let word = whole.split(" (os error").next().unwrap_or_default();
    let mut letters = word.chars();
    match letters.next() {
        // As the C library's, but in lower case as Go has them.
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn a_message_and_its_ack() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let listener = UnixListener::bind(&path).unwrap();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let message = receive(&mut stream, 1 << 20).await.unwrap();
                assert_eq!(message.len(), 300_000);
                send(&mut stream, &Response::ack("x").encode()).await.unwrap();
            };
            let message = vec![b' '; 300_000];
            let ((), ack) = tokio::join!(server, exchange(&path, &message, 1000));
            assert_eq!(ack.unwrap().id, "x");
        });
    }

    #[test]
    fn failures_tell_whether_the_peer_can_have_acted() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let absent = exchange(&path, b"{}", 1000).await.unwrap_err();
            let expected =
                format!("dial unix {}: connect: no such file or directory", path.display());
            assert!(matches!(&absent, ExchangeError::Absent(why) if *why == expected), "{absent}");
            let listener = UnixListener::bind(&path).unwrap();
            let server = async |answer: &[u8]| {
                let (mut stream, _) = listener.accept().await.unwrap();
                receive(&mut stream, 1 << 20).await.unwrap();
                stream.write_all(answer).await.unwrap();
            };
            let asked =
                async |answer: &[u8]| tokio::join!(server(answer), exchange(&path, b"{}", 1000)).1;
            let silent = asked(b"").await.unwrap_err();
            assert!(matches!(&silent, ExchangeError::Unclear(why) if why == "EOF"), "{silent}");
            let cut = asked(b"\0\0").await.unwrap_err();
            assert!(
                matches!(&cut, ExchangeError::Unclear(why) if why == "unexpected EOF"),
                "{cut}"
            );
            let garbled = asked(b"\0\0\0\x01{").await.unwrap_err();
            assert!(matches!(garbled, ExchangeError::Garbled(_)), "{garbled}");
            drop(listener);
            let dead = exchange(&path, b"{}", 1000).await.unwrap_err().to_string();
            assert_eq!(dead, format!("dial unix {}: connect: connection refused", path.display()));
        });
    }
}
