//! HTTP as a client: to hooks and to the sources of streams. Redirects are not followed and no proxy
//! is asked, so that nobody is reached but the host that was checked.

use std::net::SocketAddr;

use coproc_acomm::Url;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};

use crate::allow::Allow;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The host is not one to connect to.
    #[error("`{0}` is not allowed")]
    Forbidden(String),
    /// Nobody took the connection: nothing was said.
    #[error("{0}")]
    Unreached(String),
    /// It broke off, and who was called may have heard all.
    #[error("{0}")]
    Broken(String),
}

/// Connects to the host of a URL.
pub(crate) async fn dial(url: &Url, allow: &Allow) -> Result<TcpStream, CallError> {
    let unreached = |error: std::io::Error| CallError::Unreached(error.to_string());
    let name = url.host_name();
    // As with Go, no host is this one.
    let host = if name.is_empty() { "localhost" } else { name };
    let port = url.port().unwrap_or(80);
    let mut last = CallError::Unreached(format!("`{host}` has no address"));
    let addresses: Vec<SocketAddr> =
        lookup_host((host.trim_matches(['[', ']']), port)).await.map_err(unreached)?.collect();
    for address in addresses {
        if !allow.address(name, address.ip()) {
            last = CallError::Forbidden(address.to_string());
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are small and whole.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = unreached(error),
        }
    }
    Err(last)
}

/// Sends one request on a connection.
pub(crate) async fn call(
    stream: TcpStream,
    url: &Url,
    method: &str,
    content: Option<(&str, Vec<u8>)>,
) -> Result<Response<Incoming>, CallError> {
    let broken = |error: &dyn std::error::Error| CallError::Broken(error.to_string());
    let mut request = Request::builder()
        .method(method)
        .uri(url.target())
        .header(HOST, &url.host)
        .header(CONNECTION, "close");
    let body = match content {
        Some((kind, body)) => {
            request = request.header("content-type", kind);
            Full::new(Bytes::from(body))
        }
        None => Full::default(),
    };
    let request = request.body(body).map_err(|error| broken(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // It ends with the answer's body, or when that is dropped.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| broken(&error))
}
