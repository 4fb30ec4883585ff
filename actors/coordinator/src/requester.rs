//! A requester outside: it asks a coordinator over HTTP, and has a port of its own to which the response
//! comes and from which a stream is read.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coproc_acomm::{MAX_MESSAGE, Request, Response, Url};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response as Answer, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, UnixStream, lookup_host};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::allow::{Allow, Host};
use crate::http_client::{CallError, call_with, dial};
use crate::oneshot::{Flow, Source};
use crate::random::random;
use crate::stream::hexadecimal;

type Content = BoxBody<Bytes, io::Error>;

/// How many connections to the port are served at once.
const CONNECTIONS: usize = 16;
/// For how long nobody is accepted after the system had no room.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody answers at the coordinator's address.
    #[error("no coordinator answers at `{url}`: {why}")]
    NobodyThere {
        /// The address.
        url: String,
        /// The system's word.
        why: String,
    },
    /// The port for the response cannot be opened.
    #[error("`{address}` cannot be listened on: {why}")]
    Port {
        /// Its address.
        address: String,
        /// The system's word.
        why: String,
    },
    /// The request was refused, or the task failed.
    #[error("{0}")]
    Refused(String),
}

/// Asks one coordinator.
#[derive(Debug)]
pub struct Requester {
    coordinator: Url,
    token: Option<String>,
    listener: TcpListener,
    /// What the addresses of hook and stream begin with.
    own: Url,
}

/// The data of a response's stream.
pub struct Stream(Source);

impl Requester {
    /// Opens a port at `at`, such as `192.0.2.1:4080` or `:4080`; else any that is free, at the address
    /// from which the coordinator is reached. `token` is what the coordinator may ask for.
    ///
    /// # Errors
    /// As [`RequestError`] says.
    pub async fn open(
        coordinator: Url,
        at: Option<&str>,
        token: Option<String>,
    ) -> Result<Self, RequestError> {
        let nobody = |why: String| RequestError::NobodyThere { url: coordinator.to_string(), why };
        let probe = dial(&coordinator, &everywhere()).await.map_err(|e| nobody(e.to_string()))?;
        let local = probe.local_addr().map_err(|e| nobody(e.to_string()))?.ip();
        drop(probe);
        let refused = |address: String| {
            move |e: io::Error| RequestError::Port { address, why: e.to_string() }
        };
        let (listener, host) = match at {
            None => {
                let listener = TcpListener::bind((local, 0)).await;
                (listener.map_err(refused(local.to_string()))?, None)
            }
            Some(at) => listen(at, local).await.map_err(refused(at.to_owned()))?,
        };
        let port = listener.local_addr().map_err(refused("port".to_owned()))?.port();
        let host = match host {
            Some(host) => format!("{host}:{port}"),
            None => SocketAddr::new(local.to_canonical(), port).to_string(),
        };
        let own = Url { scheme: "http".into(), host, ..Url::default() };
        Ok(Self { coordinator, token, listener, own })
    }

    /// Has a task done and waits for its response. `stream` is read by the provider, once.
    ///
    /// # Errors
    /// As [`RequestError`] says; an error in the response is one of them.
    pub async fn ask(
        &self,
        mut request: Request,
        stream: Option<UnixStream>,
    ) -> Result<Response, RequestError> {
        let bits = random().map_err(|error| RequestError::Refused(error.to_string()))?;
        request.id = hexadecimal(&bits);
        request.hook = Some(self.at("/response"));
        request.stream = stream.is_some().then(|| self.at("/stream"));
        let (told, mut responses) = mpsc::channel(1);
        let port = Arc::new(Port { id: request.id.clone(), told, stream: Mutex::new(stream) });
        let response = async {
            self.send(&request).await?;
            // The sender lives as long as the port.
            let gone = || RequestError::Refused("the port for the response is gone".to_owned());
            responses.recv().await.ok_or_else(gone)
        };
        let response = tokio::select! {
            response = response => response?,
            never = self.serve(port) => match never {},
        };
        match response.error.is_empty() {
            true => Ok(response),
            false => Err(RequestError::Refused(response.error)),
        }
    }

    fn at(&self, path: &str) -> Url {
        Url { path: path.to_owned(), ..self.own.clone() }
    }

    async fn send(&self, request: &Request) -> Result<(), RequestError> {
        let refused = |error: &dyn std::fmt::Display| RequestError::Refused(error.to_string());
        let nobody = |error: CallError| RequestError::NobodyThere {
            url: self.coordinator.to_string(),
            why: error.to_string(),
        };
        let stream = dial(&self.coordinator, &everywhere()).await.map_err(nobody)?;
        let content = ("application/json", request.encode());
        let token = self.token.as_deref();
        let answer = call_with(stream, &self.coordinator, "POST", Some(content), token).await;
        let answer = answer.map_err(|error| refused(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_MESSAGE).collect().await;
        let body = body.map_err(|error| refused(&error))?.to_bytes();
        let ack = Response::decode(&body).map_err(|_| match status.is_success() {
            true => refused(&"what answers there is no coordinator"),
            false => refused(&format_args!("it answered {status}")),
        })?;
        match ack.error.is_empty() {
            true => Ok(()),
            false => Err(RequestError::Refused(ack.error)),
        }
    }

    /// Serves the port, for ever.
    async fn serve(&self, port: Arc<Port>) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= CONNECTIONS {
                connections.join_next().await;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => connections.spawn(port.clone().serve(stream)),
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
        }
    }
}

/// Fetches the stream of a response.
///
/// # Errors
/// A sentence.
pub async fn fetch(url: &Url) -> Result<Stream, String> {
    if url.is_unix() {
        let stream = UnixStream::connect(url.socket()).await.map_err(|error| error.to_string())?;
        return Ok(Stream(Source::Socket(stream)));
    }
    if !url.scheme.eq_ignore_ascii_case("http") {
        return Err(format!("`{}` is no scheme of a stream", url.scheme));
    }
    let stream = dial(url, &everywhere()).await.map_err(|error| error.to_string())?;
    let answer = call_with(stream, url, "GET", None, None).await;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status().is_success() {
        true => Ok(Stream(Source::Answer(answer.into_body()))),
        false => Err(format!("it answered {}", answer.status())),
    }
}

impl Stream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.0.next().await
    }
}

/// A client asks whom it was told to ask.
fn everywhere() -> Allow {
    let all = |ip: IpAddr| Host::Network(ip, 0);
    Allow(vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())])
}

/// Listens at `HOST:PORT` or `:PORT`; gives the host that is named.
async fn listen(at: &str, local: IpAddr) -> io::Result<(TcpListener, Option<String>)> {
    let url = Url { host: at.to_owned(), ..Url::default() };
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "expected `HOST:PORT` or `:PORT`");
    let port = url.port().ok_or_else(wrong)?;
    let name = url.host_name();
    if name.is_empty() {
        let all: IpAddr = match local {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        return Ok((TcpListener::bind((all, port)).await?, None));
    }
    let addresses: Vec<_> = lookup_host((name.trim_matches(['[', ']']), port)).await?.collect();
    Ok((TcpListener::bind(addresses.as_slice()).await?, Some(name.to_owned())))
}

/// What the port is for.
struct Port {
    id: String,
    told: mpsc::Sender<Response>,
    stream: Mutex<Option<UnixStream>>,
}

impl Port {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let came = Mutex::new(None);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (port, came) = (&self, &came);
            async move { Ok::<_, Infallible>(port.answer(request, came).await) }
        });
        // One exchange each, after which the connection is over.
        let served = http1::Builder::new()
            .keep_alive(false)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let _ = served.await;
        let response = came.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Only now, since whoever waits for it leaves, and its sender has to hear that it came.
        if let Some(response) = response {
            let _ = self.told.try_send(response);
        }
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        came: &Mutex<Option<Response>>,
    ) -> Answer<Content> {
        if request.uri().path() == "/stream" {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            // Who wants the head alone does not use it up.
            if request.method() == Method::HEAD && stream.is_some() {
                return content(StatusCode::OK, "application/octet-stream", Flow::none().boxed());
            }
            return match stream.take() {
                Some(stream) => {
                    let flow = Flow::new(Duration::MAX, Source::Socket(stream)).boxed();
                    content(StatusCode::OK, "application/octet-stream", flow)
                }
                None => content(StatusCode::NOT_FOUND, "text/plain", whole("")),
            };
        }
        let body = Limited::new(request.into_body(), MAX_MESSAGE).collect().await;
        let response = body.ok().and_then(|body| Response::decode(&body.to_bytes()).ok());
        let ack = match response {
            None => Response::error("", "it is no response"),
            Some(response) => {
                if response.id == self.id {
                    *came.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
                }
                Response::ack("")
            }
        };
        content(StatusCode::OK, "application/json", whole(ack.encode()))
    }
}

fn whole(bytes: impl Into<Bytes>) -> Content {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn content(status: StatusCode, kind: &'static str, body: Content) -> Answer<Content> {
    let mut answer = Answer::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
