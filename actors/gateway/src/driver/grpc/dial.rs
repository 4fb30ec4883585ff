//! Connects to a plugin server and begins to speak HTTP/2 with it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::gathered::Gathered;
use super::home::Stay;

/// What takes requests for a connection.
#[derive(Clone)]
pub(super) struct Sender {
    requests: SendRequest<Bytes>,
    closed: Arc<AtomicBool>,
}

impl Sender {
    /// For one request.
    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.requests.clone()
    }

    /// Whether the connection takes no more, as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Notes that it takes no more, as one does not whose server has said goodbye.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// How much a server may send before it has to wait for us, on a connection and in one answer.
const WINDOW: u32 = 4 << 20;
/// How large the head and the trailers of an answer may be; gRPC's own servers send 8 KiB at most.
const HEADERS: u32 = 16 << 10;
/// How long a host may leave what it was sent without a sign, be it asleep or gone. Pings of HTTP/2 would
/// tell the same, but gRPC's servers close connections that ping more often than they like.
const SILENCE: u32 = 20_000;

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Looked up whenever it is connected to.
    Host(String, u16),
    /// One address of a name.
    Socket(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// A Unix socket in the abstract namespace.
    Abstract(String),
}

/// Opens a connection, which lives as long as one of its senders or an answer on it, and stays on this thread.
pub(super) async fn dial(place: &Place, stay: Stay) -> Result<Sender, String> {
    match place {
        Place::Host(host, port) => {
            tcp(TcpStream::connect((host.as_str(), *port)).await, stay).await
        }
        Place::Socket(address) => tcp(TcpStream::connect(address).await, stay).await,
        Place::Unix(path) => unix(path, stay).await,
        Place::Abstract(name) => unix(Path::new(&format!("\0{name}")), stay).await,
    }
}

async fn tcp(stream: io::Result<TcpStream>, stay: Stay) -> Result<Sender, String> {
    let stream = stream.map_err(|error| error.to_string())?;
    let set = || -> io::Result<()> {
        stream.set_nodelay(true)?;
        set_socket_keepalive(&stream, true)?;
        set_tcp_keepidle(&stream, Duration::from_secs(60))?;
        set_tcp_user_timeout(&stream, SILENCE)?;
        Ok(())
    };
    set().map_err(|error| format!("the connection's options cannot be set: {error}"))?;
    speak(stream, stay).await
}

async fn unix(path: &Path, stay: Stay) -> Result<Sender, String> {
    let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
    speak(stream, stay).await
}

async fn speak<T>(stream: T, stay: Stay) -> Result<Sender, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEADERS)
        .handshake(Gathered(stream))
        .await
        .map_err(|error| super::said(&error))?;
    let sender = Sender { requests, closed: Arc::default() };
    let closed = sender.closed.clone();
    tokio::spawn(async move {
        let _stay = stay;
        if let Err(error) = connection.await {
            tracing::debug!("a connection to a plugin server broke: {}", super::said(&error));
        }
        closed.store(true, Ordering::Relaxed);
    });
    Ok(sender)
}
