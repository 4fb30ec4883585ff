//! Messages over Unix sockets. Nothing here has a time limit; who calls it sets one.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream as Plain;
use std::path::Path;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;

use crate::decode::DecodeError;
use crate::frame::{self, Decoder, Progress, TooLarge};
use crate::message::Response;

/// How much is read at a time.
const READ: usize = 8 << 10;
/// The first pause before a connection is tried again for which there was no room.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

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
    rest(stream, &mut Decoder::new(max)).await
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

async fn rest<S>(stream: &mut S, decoder: &mut Decoder) -> Result<Vec<u8>, ReceiveError>
where
    S: AsyncRead + Unpin,
{
    // The piece is on the stack while it is looked at, not in the future, which is moved and kept.
    poll_fn(|context| {
        let mut piece = [MaybeUninit::uninit(); READ];
        loop {
            let mut read = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
            if let Some(message) = taken(decoder, read.filled())? {
                return Poll::Ready(Ok(message));
            }
        }
    })
    .await
}

/// A connection. It is made known to the event loop only when something has to be waited for: most
/// messages are there whole, and there is room for most acks.
#[derive(Debug)]
pub struct Link(Stream);

#[derive(Debug)]
enum Stream {
    Plain(Plain),
    Watched(UnixStream),
    /// Only after the event loop refused it.
    Lost,
}

impl Link {
    /// A connection that was accepted and does not block.
    pub fn new(stream: Plain) -> Self {
        Self(Stream::Plain(stream))
    }

    /// Connects to the socket at `path`, and waits while its queue is full or there are no descriptors.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let mut pause = PAUSE;
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
            let connected = socket.and_then(|socket| {
                connect(&socket, &address)?;
                Ok(socket)
            });
            match connected {
                Ok(socket) => return Ok(Self::new(socket.into())),
                Err(Errno::AGAIN | Errno::MFILE | Errno::NFILE) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The message, if all of it is there already.
    ///
    /// # Errors
    /// As [`ReceiveError`] says.
    pub fn receive_now(&mut self, decoder: &mut Decoder) -> Result<Option<Vec<u8>>, ReceiveError> {
        let Stream::Plain(stream) = &mut self.0 else { return Ok(None) };
        let mut piece = [0; READ];
        loop {
            match stream.read(&mut piece) {
                Ok(length) => {
                    if let Some(message) = taken(decoder, &piece[..length])? {
                        return Ok(Some(message));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the rest of one message. What follows it is not read, or passed over.
    ///
    /// # Errors
    /// As [`ReceiveError`] says.
    pub async fn receive(&mut self, decoder: &mut Decoder) -> Result<Vec<u8>, ReceiveError> {
        rest(self.watched()?, decoder).await
    }

    /// Writes one message, in one piece as far as the system takes it.
    ///
    /// # Errors
    /// When the peer is gone, or the message has no room in a frame.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let frame = frame::encode(message).map_err(io::Error::other)?;
        let written = self.write(&frame)?;
        self.finish(&frame[written..]).await
    }

    /// Writes what there is room for.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Stream::Plain(stream) = &mut self.0 else { return Ok(0) };
        match stream.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    async fn finish(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [] => Ok(()),
            rest => self.watched()?.write_all(rest).await,
        }
    }

    /// The connection as the event loop knows it.
    fn watched(&mut self) -> io::Result<&mut UnixStream> {
        if let Stream::Plain(_) = &self.0
            && let Stream::Plain(stream) = std::mem::replace(&mut self.0, Stream::Lost)
        {
            self.0 = Stream::Watched(UnixStream::from_std(stream)?);
        }
        match &mut self.0 {
            Stream::Watched(stream) => Ok(stream),
            Stream::Plain(_) | Stream::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Hands a piece on; an empty one is the end of the stream.
fn taken(decoder: &mut Decoder, piece: &[u8]) -> Result<Option<Vec<u8>>, ReceiveError> {
    if piece.is_empty() {
        return Err(match decoder.is_empty() {
            true => ReceiveError::Closed,
            false => ReceiveError::Cut,
        });
    }
    Ok(match decoder.push(piece)? {
        Progress::Complete { message, .. } => Some(message),
        Progress::Partial => None,
    })
}

/// Sends a message to the socket at `path` and waits for the ack, whose error may be set.
///
/// # Errors
/// As [`ExchangeError`] says, in the original's words.
pub async fn exchange(path: &Path, message: &[u8], max: usize) -> Result<Response, ExchangeError> {
    let frame =
        frame::encode(message).map_err(|error| ExchangeError::Unheard(error.to_string()))?;
    let mut link = Link::connect(path).await.map_err(|error| {
        let word = reason(&error);
        ExchangeError::Absent(format!("dial unix {}: connect: {word}", path.display()))
    })?;
    let unclear = |error: io::Error| ExchangeError::Unclear(reason(&error));
    let written = link.write(&frame).map_err(|error| ExchangeError::Unheard(reason(&error)))?;
    // A peer that refuses before it has read all of it breaks the writing off; what it says counts.
    let all = link.finish(&frame[written..]).await.map_err(unclear);
    let ack = link.receive(&mut Decoder::new(max)).await;
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
    use tokio::io::AsyncReadExt;
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
                let (stream, _) = listener.accept().await.unwrap();
                let mut link = Link(Stream::Watched(stream));
                let message = link.receive(&mut Decoder::new(1 << 20)).await.unwrap();
                assert_eq!(message.len(), 300_000);
                link.send(&Response::ack("x").encode()).await.unwrap();
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
                let _ = stream.read(&mut [0; 100]).await.unwrap();
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

    #[test]
    fn a_full_queue_is_waited_for() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("s");
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
            rustix::net::listen(&socket, 0).unwrap();
            let listener = UnixListener::from_std(socket.into()).unwrap();
            let first = Link::connect(&path).await.unwrap();
            let second = async { Link::connect(&path).await.unwrap() };
            let accepting = async {
                tokio::time::sleep(PAUSE * 3).await;
                listener.accept().await.unwrap()
            };
            let (second, _) = tokio::join!(second, accepting);
            drop((first, second));
        });
    }

    #[test]
    fn what_is_there_is_taken_at_once_in_any_number_of_pieces() {
        let (mut one, other) = Plain::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        let mut link = Link::new(other);
        let mut decoder = Decoder::new(100);
        for piece in [&b"\0\0"[..], b"\0\x02{"] {
            one.write_all(piece).unwrap();
            assert!(link.receive_now(&mut decoder).unwrap().is_none());
        }
        one.write_all(b"}").unwrap();
        assert_eq!(link.receive_now(&mut decoder).unwrap().unwrap(), b"{}");
        drop(one);
        assert!(matches!(link.receive_now(&mut decoder), Err(ReceiveError::Closed)));
    }
}
