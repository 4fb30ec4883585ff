//! Connects to a plugin server and begins to speak HTTP/2 with it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::body::Body;

use super::home::Stay;

/// What takes requests for a connection.
pub(super) type Sender = SendRequest<Body>;

/// How much a server may send before it has to wait for us, on a connection and in one answer.
const WINDOW: u32 = 4 << 20;
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
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| super::client::said(&error))?;
    tokio::spawn(async move {
        let _stay = stay;
        if let Err(error) = connection.await {
            tracing::debug!(
                "a connection to a plugin server broke: {}",
                super::client::said(&error)
            );
        }
    });
    Ok(sender)
}
