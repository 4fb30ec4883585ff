//! HTTP as a client: to hooks and to the sources of streams. Redirects are not followed and no proxy
//! is asked, so that nobody is reached but the host that was checked.

use std::net::SocketAddr;
use std::pin::pin;

use coproc_acomm::Url;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
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
            Ok(stream) => return Ok(stream),
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
    call_with(stream, url, method, content, None).await
}

/// The same, with a token for whoever asks for one.
pub(crate) async fn call_with(
    stream: TcpStream,
    url: &Url,
    method: &str,
    content: Option<(&str, Vec<u8>)>,
    token: Option<&str>,
) -> Result<Response<Incoming>, CallError> {
    let request = request(&stream, url, method, content, token)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the answer's body, or when that is dropped.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(broken)
}

/// Posts something and reads the answer, of whose body at most `max` bytes are wanted; `None` if there
/// are more.
pub(crate) async fn post(
    stream: TcpStream,
    url: &Url,
    content: (&str, Vec<u8>),
    max: usize,
) -> Result<(StatusCode, Option<Bytes>), CallError> {
    let request = request(&stream, url, "POST", Some(content), None)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut exchange = pin!(async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), max).collect().await;
        Ok((status, body.ok().map(Collected::to_bytes)))
    });
    // Both in one task, which is all that most posts need.
    tokio::select! {
        answered = &mut exchange => answered,
        _ = connection => exchange.await,
    }
}

/// How much goes out at once: what is longer is not to wait for an acknowledgement of its beginning.
const ONE_PACKET: usize = 1000;

fn request(
    stream: &TcpStream,
    url: &Url,
    method: &str,
    content: Option<(&str, Vec<u8>)>,
    token: Option<&str>,
) -> Result<Request<Full<Bytes>>, CallError> {
    let mut request = Request::builder()
        .method(method)
        .uri(url.target())
        .header(HOST, &url.host)
        .header(CONNECTION, "close");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = match content {
        Some((kind, body)) => {
            if body.len() > ONE_PACKET {
                let _ = stream.set_nodelay(true);
            }
            request = request.header(CONTENT_TYPE, kind);
            Full::new(Bytes::from(body))
        }
        None => Full::default(),
    };
    request.body(body).map_err(broken)
}

fn broken(error: impl std::error::Error) -> CallError {
    CallError::Broken(error.to_string())
}

/// Whether an answer of this status is one with the data that was asked for.
pub(crate) fn is_good(status: StatusCode) -> bool {
    status.is_success()
}
