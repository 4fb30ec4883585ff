//! The client's side, for the commands that talk to a running wrapper.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request as HttpRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::route::encode;

/// How long an answer may take to begin, where it does not wait for anything by design.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No wrapper answers at this path.
    #[error("no wrapper answers at `{path}`: {error}")]
    NobodyThere {
        /// The socket.
        path: String,
        /// The system's word.
        error: io::Error,
    },
    /// The wrapper refused, and said why.
    #[error("{0}")]
    Refused(String),
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
}

impl Call {
    fn new(method: Method, path: String, body: Option<Value>) -> Self {
        Self { method, path, body, waits: false, follows: false }
    }

    /// A question; every part of the path is encoded.
    pub fn get(parts: &[&str], query: &[(&str, String)]) -> Self {
        Self::new(Method::GET, path(parts, query), None)
    }

    /// The question whether all is well.
    pub fn health() -> Self {
        Self::new(Method::GET, "/readyz".to_owned(), None)
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

/// Sends `call` to the wrapper at `socket` and gives each piece of the answer to `each` as it
/// comes; `each` says whether to go on.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn send(
    socket: &Path,
    call: Call,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<(), ClientError> {
    let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| ClientError::NobodyThere { path: socket.display().to_string(), error })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    actix_rt::spawn(async move {
        // Its failure shows in the answer.
        let _ = connection.await;
    });
    let body = call.body.map_or_else(String::new, |body| body.to_string());
    let request = HttpRequest::builder()
        .method(call.method)
        .uri(call.path)
        .header(hyper::header::HOST, "coproc")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| ClientError::Broken(error.to_string()))?;
    let limit = if call.waits { Duration::MAX } else { HEAD_TIME };
    let response = tokio::time::timeout(limit, sender.send_request(request))
        .await
        .map_err(|_| ClientError::Silent)?
        .map_err(broken)?;
    let ok = response.status().is_success();
    let mut body = response.into_body();
    let mut refusal = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Err(_) if ok && call.follows => return Ok(()),
            frame => frame.map_err(broken)?,
        };
        let Ok(data) = frame.into_data() else { continue };
        if !ok {
            refusal.extend_from_slice(&data);
        } else if !each(&data) {
            return Ok(());
        }
    }
    if ok {
        return Ok(());
    }
    let why = serde_json::from_slice::<Value>(&refusal)
        .ok()
        .and_then(|value| value.get("error")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&refusal).into_owned());
    Err(ClientError::Refused(why))
}
