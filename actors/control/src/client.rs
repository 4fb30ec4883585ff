//! The client's side, for the commands that talk to a running wrapper.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HeaderName};
use hyper::{Method, Request as HttpRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::percent::encode;
use crate::token::Token;

/// How long an answer may take to begin, where it does not wait for anything by design.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a connection over TCP may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How much of a refusal is read, in bytes: it is one sentence.
const REFUSAL: usize = 64 * 1024;

/// Where a wrapper is.
#[derive(Clone, Debug)]
pub enum Target {
    /// Its control socket.
    Socket(PathBuf),
    /// A port of it.
    Port {
        /// `HOST:PORT`.
        authority: String,
        /// What is shown there.
        token: Option<Token>,
    },
}

impl Target {
    /// Reads `http://HOST:PORT`; the error is a sentence.
    ///
    /// # Errors
    /// When it is not that.
    pub fn read(url: &str, token: Option<Token>) -> Result<Self, String> {
        let wrong = || format!("`{url}` is no address of a wrapper; expected `http://HOST:PORT`");
        let authority = url.strip_prefix("http://").ok_or_else(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"/?#@".contains(c);
        if host.is_empty() || !host.chars().all(plain) || !port.parse::<u16>().is_ok_and(|p| p > 0)
        {
            return Err(wrong());
        }
        Ok(Self::Port { authority: authority.to_owned(), token })
    }

    /// Where it is, for people.
    pub fn shown(&self) -> String {
        match self {
            Self::Socket(path) => path.display().to_string(),
            Self::Port { authority, .. } => format!("http://{authority}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No wrapper answers at this place.
    #[error("no wrapper answers at `{place}`: {error}")]
    NobodyThere {
        /// The socket or the address.
        place: String,
        /// The system's word.
        error: io::Error,
    },
    /// The wrapper refused, and said why.
    #[error("{0}")]
    Refused(String),
    /// The wrapper refused because of who asks, and said why.
    #[error("{0}")]
    Denied(String),
    /// What is waited for has not come in time.
    #[error("it is not so after {}", humantime::format_duration(*.0))]
    Late(Duration),
    /// The wrapper took the request and says nothing.
    #[error("the wrapper does not answer: it was asked {HEAD_TIME:?} ago")]
    Silent,
    /// The conversation broke off.
    #[error("the conversation with the wrapper broke off: {0}")]
    Broken(String),
}

/// A request: method, path and body.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
    /// Whether the answer comes once something is done, however long that takes.
    waits: bool,
    /// Whether the answer goes on until one of both leaves.
    follows: bool,
    /// What the head says besides.
    headers: Vec<(HeaderName, String)>,
}

impl Call {
    fn new(method: Method, path: String, body: Option<Value>) -> Self {
        Self { method, path, body, waits: false, follows: false, headers: Vec::new() }
    }

    /// A question; every part of the path is encoded.
    pub fn get(parts: &[&str], query: &[(&str, String)]) -> Self {
        Self::new(Method::GET, path(parts, query), None)
    }

    /// The question whether all is well.
    pub fn health() -> Self {
        Self::new(Method::GET, "/readyz".to_owned(), None)
    }

    /// All events as server-sent events, after number `last` if there is one.
    pub fn stream(last: Option<u64>) -> Self {
        let mut call = Self::get(&["events"], &[]).following(true);
        call.headers.push((ACCEPT, crate::sse::KIND.to_owned()));
        let last = last.map(|last| (HeaderName::from_static(crate::sse::LAST), last.to_string()));
        call.headers.extend(last);
        call
    }

    /// An order.
    pub fn post(parts: &[&str], body: Option<Value>) -> Self {
        Self::new(Method::POST, path(parts, &[]), body)
    }

    /// An order to remove something.
    pub fn delete(parts: &[&str]) -> Self {
        Self::new(Method::DELETE, path(parts, &[]), None)
    }

    /// The same with a parameter of the query set.
    #[must_use]
    pub fn with(mut self, parameter: &str) -> Self {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        self.path.push(mark);
        self.path.push_str(parameter);
        self.path.push_str("=true");
        self
    }

    /// The answer may take as long as what is ordered.
    #[must_use]
    pub fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    /// The answer goes on until the wrapper leaves, and that is its proper end.
    #[must_use]
    pub fn following(self, follows: bool) -> Self {
        Self { follows, ..self }
    }
}

fn path(parts: &[&str], query: &[(&str, String)]) -> String {
    let mut path = "/v1".to_owned();
    for part in parts {
        path.push('/');
        path.push_str(&encode(part));
    }
    for (at, (key, value)) in query.iter().enumerate() {
        path.push(if at == 0 { '?' } else { '&' });
        path.push_str(&format!("{key}={}", encode(value)));
    }
    path
}

/// Sends `call` to the wrapper at `target` and gives each piece of the answer to `each` as it
/// comes; `each` says whether to go on.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn send(
    target: &Target,
    call: Call,
    each: impl FnMut(&[u8]) -> bool,
) -> Result<(), ClientError> {
    let nobody = |error| ClientError::NobodyThere { place: target.shown(), error };
    match target {
        Target::Socket(path) => {
            let stream = UnixStream::connect(path).await.map_err(nobody)?;
            converse(stream, "coproc", None, call, each).await
        }
        Target::Port { authority, token } => {
            let connected = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(authority));
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            let stream = connected.await.map_err(late).and_then(|tried| tried).map_err(nobody)?;
            converse(stream, authority, token.as_ref(), call, each).await
        }
    }
}

async fn converse<S>(
    stream: S,
    host: &str,
    token: Option<&Token>,
    call: Call,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<(), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = actix_rt::spawn(async move {
        // Its failure shows in the answer.
        let _ = connection.await;
    });
    // A wrapper hears that its answer is not waited for any more.
    let _ended = Ended(connection);
    let body = call.body.map_or_else(String::new, |body| body.to_string());
    let mut request =
        HttpRequest::builder().method(call.method).uri(call.path).header(hyper::header::HOST, host);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    if let Some(token) = token {
        request = request.header(hyper::header::AUTHORIZATION, token.header());
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| ClientError::Broken(error.to_string()))?;
    let limit = if call.waits { Duration::MAX } else { HEAD_TIME };
    let response = tokio::time::timeout(limit, sender.send_request(request))
        .await
        .map_err(|_| ClientError::Silent)?
        .map_err(broken)?;
    let status = response.status();
    let mut body = response.into_body();
    let mut refusal = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Err(_) if status.is_success() && call.follows => return Ok(()),
            frame => frame.map_err(broken)?,
        };
        let Ok(data) = frame.into_data() else { continue };
        if !status.is_success() {
            refusal.extend_from_slice(&data[..data.len().min(REFUSAL - refusal.len())]);
            if refusal.len() == REFUSAL {
                break;
            }
        } else if !each(&data) {
            return Ok(());
        }
    }
    if status.is_success() {
        return Ok(());
    }
    let why = serde_json::from_slice::<Value>(&refusal)
        .ok()
        .and_then(|value| value.get("error")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&refusal).into_owned());
    Err(match status.as_u16() {
        401 | 403 | 429 => ClientError::Denied(why),
        _ => ClientError::Refused(why),
    })
}

/// A task that ends with this.
struct Ended(actix_rt::task::JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_wrappers() {
        for (url, shown) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("http://[::1]:9090/", "http://[::1]:9090"),
            ("http://edge-1.test:80", "http://edge-1.test:80"),
        ] {
            assert_eq!(Target::read(url, None).unwrap().shown(), shown);
        }
        for url in [
            "127.0.0.1:9090",
            "https://a:1",
            "http://a",
            "http://a:b",
            "http://:1",
            "http://a:0",
            "http://u@a:1",
            "http://a:1/v1",
            "http://a b:1",
        ] {
            let why = Target::read(url, None).unwrap_err();
            assert!(why.contains("expected `http://HOST:PORT`"), "{why}");
        }
    }
}
