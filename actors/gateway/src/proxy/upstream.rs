//! Asking an upstream: over a connection that waits in the pool, or a new one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, uri};
use hyper::client::conn::http1::Builder;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::body::{Fault, Progress, Upload};
use super::link::{Arriving, Link};
use super::plain::{Most, Plain};
use super::pool::Lease;
use super::reached::{Reached, is_ours};
use super::stream::Stream;
use super::worker::Worker;
use crate::api::Upstream;
use crate::event::Voice;
use crate::exchange::Denied;
use crate::repeats::Repeats;

/// The least room that hyper reads bodies to.
const BODY_BUFFER: usize = 64 << 10;
/// How many headers hyper has room for without being asked.
const USUAL_HEADERS: usize = 100;

/// After how long an idle connection may be about to be closed: servers keep them for seconds.
const REST: Duration = Duration::from_millis(200);

/// The server that an upstream's URL names.
#[derive(Debug)]
pub(crate) struct Origin {
    /// By which the pool knows it.
    key: Arc<str>,
    /// The name for TLS; `None` without TLS.
    secure: Option<ServerName<'static>>,
    host: String,
    port: u16,
    /// What its requests bear as `Host`.
    pub(super) authority: HeaderValue,
    /// What the paths of its requests begin with.
    pub(super) base: uri::PathAndQuery,
    reached: Reached,
    /// What the log is told of each kind of failure.
    pub(super) complaints: [Repeats; Failed::KINDS],
}

impl Origin {
    /// The server of `upstream`; `voice` tells when it cannot be reached. The error is a sentence.
    pub(crate) fn new(upstream: &Upstream, voice: Arc<Voice>) -> Result<Self, String> {
        let url = &upstream.url;
        let host = url.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_secure = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("`{url}` is no URL of http or https")),
        };
        if host.is_empty() {
            return Err(format!("`{url}` names no host"));
        }
        let name = || ServerName::try_from(host.to_owned());
        let secure = is_secure.then(name).transpose();
        let secure =
            secure.map_err(|_| format!("`{host}` is no name that a certificate may have"))?;
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let authority = url.authority().map_or("", |authority| {
            authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host)
        });
        Ok(Self {
            key: format!("{}://{host}:{port}", if is_secure { "https" } else { "http" }).into(),
            secure,
            host: host.to_owned(),
            port,
            authority: HeaderValue::from_str(authority).map_err(|error| error.to_string())?,
            base: url.path_and_query().cloned().unwrap_or(uri::PathAndQuery::from_static("/")),
            reached: Reached::new(url, voice),
            complaints: Default::default(),
        })
    }
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum Failed {
    /// It cannot be connected to.
    Connect(io::Error),
    /// It takes too long.
    Late,
    /// What came is no response, or the connection broke.
    Broken(hyper::Error),
    /// The client did not send what it began to.
    Upload(Fault),
}

impl Failed {
    /// How many kinds there are.
    const KINDS: usize = 4;

    /// Which of them it is.
    pub(super) fn kind(&self) -> usize {
        match self {
            Self::Connect(_) => 0,
            Self::Late => 1,
            Self::Broken(_) => 2,
            Self::Upload(_) => 3,
        }
    }

    /// What the client is told.
    pub(super) fn denied(&self) -> Denied {
        let (status, message) = match self {
            Self::Connect(_) => (StatusCode::BAD_GATEWAY, "The upstream cannot be reached"),
            Self::Broken(_) => (StatusCode::BAD_GATEWAY, "The upstream gave no response"),
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, "The upstream did not answer in time"),
            Self::Upload(Fault::TooLong) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "The request's body is too large")
            }
            Self::Upload(Fault::Late) => {
                (StatusCode::REQUEST_TIMEOUT, "The request's body did not come in time")
            }
            Self::Upload(Fault::Broken) => (StatusCode::BAD_REQUEST, "Malformed body"),
        };
        Denied::new(status, message)
    }

    /// Whether it is the upstream's fault.
    pub(super) fn is_upstream(&self) -> bool {
        !matches!(self, Self::Upload(_))
    }

    /// Why, for the log.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Connect(error) => error.to_string(),
            Self::Late => "it did not answer in time".to_owned(),
            Self::Broken(error) => match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
            Self::Upload(fault) => fault.to_string(),
        }
    }
}

/// Sends a request. `progress` is that of its body, if it streams; `switches` tells whether the connection
/// may change its protocol.
pub(super) async fn send(
    worker: &Worker,
    origin: &Origin,
    mut request: Request<Upload>,
    progress: Option<&Progress>,
    switches: bool,
) -> Result<(Response<Arriving>, Lease), Failed> {
    // A connection that waited may be closed just now by the other side. A request that may be sent
    // twice is, and is copied for that, unless the connection was in use a moment ago.
    let repeatable = !request.body().is_stream()
        && matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let place = worker.pool.place(&origin.key);
    let mut waiting = place.take();
    loop {
        let is_reused = waiting.is_some();
        let mut has_rested = false;
        let mut link = match waiting.take() {
            Some((link, since)) => {
                has_rested = since.elapsed() >= REST;
                link
            }
            // Boxed, for it is large and rare, and the whole is moved for each request.
            None => Box::pin(connect(worker, origin)).await?,
        };
        let again = (has_rested && repeatable).then(|| copy(&request));
        if switches || request.body().is_stream() {
            link.detach().await.map_err(Failed::Broken)?;
        }
        let limit = worker.shared.config.limits.upstream_timeout;
        match link.ask(request, progress, limit).await? {
            Ok(response) => {
                let pool = worker.pool.clone();
                return Ok((response, Lease { link, pool, place }));
            }
            Err(mut refused) => {
                if let Some(fault) = progress.and_then(|progress| progress.fault.get()) {
                    return Err(Failed::Upload(fault));
                }
                let unsent = refused.take_message();
                let error = refused.into_error();
                let again = again.filter(|_| !error.is_parse() && !error.is_timeout());
                match unsent.filter(|_| is_reused).or(again) {
                    Some(same) => request = same,
                    None => return Err(Failed::Broken(error)),
                }
            }
        }
    }
}

/// A request without a stream once more.
fn copy(request: &Request<Upload>) -> Request<Upload> {
    let body = match request.body() {
        Upload::Whole(body) => Upload::Whole(body.clone()),
        _ => Upload::None,
    };
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

async fn connect(worker: &Worker, origin: &Origin) -> Result<Link, Failed> {
    let limits = &worker.shared.config.limits;
    let connected = timeout(limits.connect_timeout, stream(worker, origin)).await;
    match &connected {
        Ok(Ok(_)) => origin.reached.up(),
        Ok(Err(error)) if is_ours(error) => {}
        Ok(Err(_)) | Err(_) => origin.reached.down(),
    }
    let stream = connected.map_err(|_| Failed::Late)?.map_err(Failed::Connect)?;
    let mut builder = Builder::new();
    builder.max_header_size(limits.max_header_bytes);
    builder.max_buf_size(limits.max_header_bytes.max(BODY_BUFFER));
    if limits.max_headers != USUAL_HEADERS {
        builder.max_headers(limits.max_headers);
    }
    let most = Most { headers: limits.max_headers, bytes: limits.max_header_bytes };
    Ok(Link::new(Plain::new(stream, most), builder, worker.pool.task()))
}

async fn stream(worker: &Worker, origin: &Origin) -> io::Result<Stream> {
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
    stream.set_nodelay(true)?;
    let Some(name) = &origin.secure else { return Ok(Stream::Tcp(stream)) };
    let connector = worker.shared.connector.get(worker.shared.config.upstream_ca.as_deref())?;
    let stream = connector.connect(name.clone(), stream).await?;
    Ok(Stream::Tls(Box::new(stream.into())))
}

/// The URI of a request to an upstream: HTTP/1.1 wants path and query alone.
pub(super) fn origin_form(target: uri::PathAndQuery) -> Uri {
    Uri::from(target)
}
