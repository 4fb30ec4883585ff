//! Asks a server for a bundle. Every attempt has an end, and so have their number and what is taken.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ETAG, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
    USER_AGENT,
};
use http::{HeaderName, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::pki_types::ServerName;

use super::place::Stamp;
use super::source::Got;
use crate::tls::Connector;

/// How often a server is asked again that gave no answer.
const RETRIES: u32 = 4;
/// How long it is left alone at first; each time after that is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// How long it is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often an answer may lead elsewhere.
const REDIRECTS: usize = 5;

/// What asks servers.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connector: Connector,
    pub(super) ca: Option<PathBuf>,
    /// Whether servers need not prove who they are.
    pub(super) insecure: bool,
    /// How long an attempt may take.
    pub(super) patience: Duration,
    /// The largest archive, in bytes.
    pub(super) largest: u64,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The next attempt may have it.
    #[error("{0}")]
    ForNow(String),
    /// It will not be there.
    #[error("{0}")]
    ForGood(String),
}

impl Failed {
    /// Whether the server itself did not do its part.
    pub(super) fn is_for_now(&self) -> bool {
        matches!(self, Self::ForNow(_))
    }
}

impl Client {
    /// The archive at `url`, unless it is the one that is known; `once`: one attempt is enough.
    pub(super) async fn fetch(
        &self,
        url: &Uri,
        known: Option<&Stamp>,
        once: bool,
    ) -> Result<Got, Failed> {
        let (mut pause, mut left) = (PAUSE, if once { 0 } else { RETRIES });
        loop {
            let attempt = timeout(self.patience, self.attempt(url, known)).await;
            let late = || Failed::ForNow(format!("no answer within {:?}", self.patience));
            match attempt.unwrap_or_else(|_| Err(late())) {
                Ok(got) => return Ok(got),
                Err(Failed::ForNow(_)) if left > 0 => {}
                Err(Failed::ForNow(why)) => return Err(Failed::ForNow(format!("{url}: {why}"))),
                Err(Failed::ForGood(why)) => return Err(Failed::ForGood(format!("{url}: {why}"))),
            }
            left -= 1;
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, url: &Uri, known: Option<&Stamp>) -> Result<Got, Failed> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.ask(&url, known).await?;
            let status = answer.status();
            if status == StatusCode::NOT_MODIFIED && known.is_some() {
                return Ok(Got::Same);
            }
            if status == StatusCode::OK {
                return self.taken(answer).await;
            }
            let why = format!("answered with {status}");
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(Failed::ForNow(why));
            }
            let next = text(&answer, &LOCATION).filter(|_| status.is_redirection());
            url = next.and_then(|next| elsewhere(&url, &next)).ok_or(Failed::ForGood(why))?;
        }
        Err(Failed::ForGood("leads from one place to the next".to_owned()))
    }

    async fn taken(&self, answer: Response<Incoming>) -> Result<Got, Failed> {
        let (etag, modified) = (text(&answer, &ETAG), text(&answer, &LAST_MODIFIED));
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        let too_large = || Failed::ForGood(format!("is larger than {} bytes", self.largest));
        // It says so itself.
        if body.size_hint().lower() > self.largest {
            return Err(too_large());
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failed::ForNow(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if (bytes.len() + data.len()) as u64 > self.largest {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Got::Archive { bytes, etag, modified })
    }

    async fn ask(&self, url: &Uri, known: Option<&Stamp>) -> Result<Response<Incoming>, Failed> {
        let good = |why: &str| Failed::ForGood(why.to_owned());
        let authority = url.authority().ok_or_else(|| good("is no address"))?;
        let secure = url.scheme_str() == Some("https");
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let failed = |error: std::io::Error| Failed::ForNow(error.to_string());
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path)
            .header(HOST, authority.as_str())
            .header(USER_AGENT, "coproc")
            .header(ACCEPT_ENCODING, "identity");
        let marks =
            known.map(|stamp| [(IF_NONE_MATCH, &stamp.etag), (IF_MODIFIED_SINCE, &stamp.modified)]);
        for (name, mark) in marks.into_iter().flatten() {
            if let Some(mark) = mark {
                request = request.header(name, mark);
            }
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failed::ForGood(error.to_string()))?;
        if !secure {
            return exchange(stream, request).await;
        }
        let connector = match self.insecure {
            true => self.connector.get_unverifying(),
            false => self.connector.get(self.ca.as_deref()),
        };
        let connector = connector.map_err(failed)?;
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| good(&error.to_string()))?;
        let stream = connector.connect(name, stream).await.map_err(|error| match error.kind() {
            // A certificate that is not trusted will not be the next time either.
            std::io::ErrorKind::InvalidData => Failed::ForGood(error.to_string()),
            _ => failed(error),
        })?;
        exchange(stream, request).await
    }
}

/// One request on a connection of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, Failed> {
    let failed = |error: hyper::Error| Failed::ForNow(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the answer, or with whoever waits for that: the runtime is theirs.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(failed)
}

fn text(answer: &Response<Incoming>, name: &HeaderName) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// Where an answer leads: never from a server that proves who it is to one that does not.
fn elsewhere(url: &Uri, next: &str) -> Option<Uri> {
    if next.starts_with('/') && !next.starts_with("//") {
        let mut parts = url.clone().into_parts();
        parts.path_and_query = Some(next.parse().ok()?);
        return Uri::from_parts(parts).ok();
    }
    let next: Uri = next.parse().ok()?;
    let secure = |url: &Uri| url.scheme_str() == Some("https");
    let good = secure(&next) || !secure(url) && next.scheme_str() == Some("http");
    good.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_from_https_to_http() {
        let (plain, secure) = (Uri::from_static("http://h/a"), Uri::from_static("https://h/a"));
        let leads = |from: &Uri, to: &str| elsewhere(from, to).map(|url| url.to_string());
        assert_eq!(leads(&secure, "http://h/b"), None);
        assert_eq!(leads(&plain, "https://x/b").as_deref(), Some("https://x/b"));
        assert_eq!(leads(&secure, "/b?c").as_deref(), Some("https://h/b?c"));
        for odd in ["ftp://h/b", "//h/b", "b", "", "file:///etc/passwd"] {
            assert_eq!(leads(&plain, odd), None, "{odd}");
        }
    }
}
