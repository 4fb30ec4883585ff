//! Connections on the port: requests for tasks, and streams at `/stream`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use coproc_acomm::{DecodeError, Request, Response, Url, query_unescape};
use coproc_core::threads::Stop;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response as Answer, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::forward::{Entrance, take};
use crate::oneshot::{BAD_STATUS, Flow, fetch};
use crate::serve::stopped;
use crate::server::Shared;
use crate::unix::shown;

type Content = BoxBody<Bytes, std::io::Error>;

/// The type of streams: none that a browser would show.
const BYTES: &str = "application/octet-stream";

/// Serves one connection.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, stop: watch::Receiver<Stop>) {
    let Ok(ours) = stream.local_addr() else { return };
    // Acks are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(shared, request, ours).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.config.read_timeout)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopped(stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(target: "coordinator", "connection: {error}");
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
    ours: SocketAddr,
) -> Answer<Content> {
    if request.uri().path() == "/stream" {
        let query = request.uri().query().unwrap_or_default();
        return stream(&shared, query, request.method() == Method::HEAD).await;
    }
    if !is_welcome(&shared, &request) {
        let refused = Response::error("", "a token is missing or wrong");
        return ack(StatusCode::UNAUTHORIZED, &refused);
    }
    let strict = |status| if shared.config.strict_http { status } else { StatusCode::OK };
    let body = Limited::new(request.into_body(), shared.config.max_message).collect();
    let body = match tokio::time::timeout(shared.config.read_timeout, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let refused = Response::error("", "message too large");
            return ack(strict(StatusCode::PAYLOAD_TOO_LARGE), &refused);
        }
        Ok(Err(error)) => {
            return ack(strict(StatusCode::BAD_REQUEST), &Response::error("", error.to_string()));
        }
        Err(_) => {
            let refused = Response::error("", "the message did not come in time");
            return ack(strict(StatusCode::REQUEST_TIMEOUT), &refused);
        }
    };
    let request = match Request::decode(&body) {
        Ok(request) => request,
        Err(DecodeError(why)) => {
            return ack(strict(StatusCode::BAD_REQUEST), &Response::error("", why));
        }
    };
    drop(body);
    // A requester that hangs up leaves no half of a request behind.
    let taken = tokio::spawn(async move { take(&shared, request, Entrance::Http(ours)).await });
    let answered = taken.await.unwrap_or_else(|_| Response::error("", "internal error"));
    ack(StatusCode::OK, &answered)
}

fn is_welcome(shared: &Shared, request: &hyper::Request<Incoming>) -> bool {
    let tokens = &shared.config.tokens.0;
    if tokens.is_empty() {
        return true;
    }
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(given) = given.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    tokens.iter().any(|token| is_same(token.as_bytes(), given.trim().as_bytes()))
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// A stream that was given out, once. Who wants the head alone does not use it up.
async fn stream(shared: &Arc<Shared>, query: &str, is_head: bool) -> Answer<Content> {
    let value = |name: &str| {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| query_unescape(value)).flatten()
        };
        query.split('&').find_map(pair).unwrap_or_default()
    };
    let addr = value("addr");
    if Url::parse(&addr).map_or(true, |url| url.scheme.is_empty()) {
        return text(StatusCode::BAD_REQUEST, "invalid addr\n");
    }
    let (exp, sig, now) = (value("exp"), value("sig"), Instant::now());
    if is_head && shared.streams().has(&addr, &exp, &sig, now) {
        return content(StatusCode::OK, BYTES, Flow::none().boxed());
    }
    let taken = shared.streams().take(&addr, &exp, &sig, now);
    let Some(source) = taken else {
        return text(StatusCode::FORBIDDEN, "forbidden\n");
    };
    match fetch(shared, &source).await {
        Ok(source) => {
            shared.figures.streams.add();
            let flow = Flow::new(shared.config.stream_timeout, source).boxed();
            content(StatusCode::OK, BYTES, flow)
        }
        Err(why) => {
            tracing::warn!(
                target: "coordinator",
                "the stream of {} cannot be had: {}",
                shown(&source.to_string()),
                shown(&why)
            );
            let status = match why.starts_with(BAD_STATUS) {
                true => StatusCode::BAD_GATEWAY,
                false => StatusCode::INTERNAL_SERVER_ERROR,
            };
            text(status, "failed to stream data\n")
        }
    }
}

fn ack(status: StatusCode, ack: &Response) -> Answer<Content> {
    content(status, "application/json", whole(ack.encode()))
}

fn text(status: StatusCode, text: &'static str) -> Answer<Content> {
    content(status, "text/plain; charset=utf-8", whole(text))
}

fn whole(bytes: impl Into<Bytes>) -> Content {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn content(status: StatusCode, kind: &'static str, body: Content) -> Answer<Content> {
    let mut answer = Answer::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}
