//! From a request to its answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::{Request as HttpRequest, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::connections::Entrance;
use crate::openmetrics;
use crate::request::{Ask, Refused, Request};
use crate::route::{Route, route};
use crate::server::{FOLLOWERS, Seat, Shared};
use crate::streams;

/// No request has a body worth more.
const BODY: usize = 64 * 1024;
/// How long a client may take to send its request's body.
const BODY_TIME: Duration = Duration::from_secs(10);

pub(crate) async fn answer(
    request: HttpRequest<Incoming>,
    entrance: Entrance,
    shared: &Shared,
    seat: &Seat,
) -> Response<Answer> {
    match respond(request, entrance, shared, seat).await {
        Ok(response) => response,
        Err(refused) => whole(refused.status, &json!({ "error": refused.why })),
    }
}

async fn respond(
    request: HttpRequest<Incoming>,
    entrance: Entrance,
    shared: &Shared,
    seat: &Seat,
) -> Result<Response<Answer>, Refused> {
    let (parts, body) = request.into_parts();
    let body = match entrance {
        Entrance::Socket => read(body).await?,
        // Nothing that can be asked there has one.
        Entrance::Port => Bytes::new(),
    };
    let (method, path, query) = (parts.method.as_str(), parts.uri.path(), parts.uri.query());
    let route = route(entrance, method, path, query, &body)?;
    if let Route::Events { follow: true, .. } | Route::Logs { follow: true, .. } = &route {
        follow_on(seat, shared)?;
    }
    match route {
        Route::Ask(request) => Ok(whole(200, &ask(shared, request).await?)),
        Route::Health(health) => {
            Ok(self::health(entrance, &ask(shared, Request::Health(health)).await?))
        }
        Route::Metrics => Ok(metrics(ask(shared, Request::Metrics).await?)),
        Route::Events { since, follow } => Ok(streams::events(shared, since, follow)),
        Route::Logs { name, count, follow } => streams::logs(shared, name, count, follow).await,
    }
}

async fn read(body: Incoming) -> Result<Bytes, Refused> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect())
        .await
        .map_err(|_| Refused::new(408, format!("the body did not come within {BODY_TIME:?}")))?;
    let whole =
        read.map_err(|error| Refused::new(400, format!("the body cannot be read: {error}")))?;
    Ok(whole.to_bytes())
}

fn follow_on(seat: &Seat, shared: &Shared) -> Result<(), Refused> {
    let follower = shared.followers.clone().try_acquire_owned();
    let follower = follower.map_err(|_| {
        Refused::new(503, format!("{FOLLOWERS} clients follow events or logs already"))
    })?;
    *seat.borrow_mut() = follower;
    Ok(())
}

pub(crate) async fn ask(shared: &Shared, request: Request) -> Result<Value, Refused> {
    let (reply, answer) = oneshot::channel();
    shared.sources.root.do_send(Ask { request, reply });
    answer.await.unwrap_or_else(|_| Err(Refused::new(503, "the wrapper is leaving")))
}

/// 200 and `ok`, or 503 and a line for each that is not well.
fn health(entrance: Entrance, culprits: &Value) -> Response<Answer> {
    let line = |culprit: &Value| {
        let text = |key: &str| culprit[key].as_str().unwrap_or_default().to_owned();
        let line = format!("{}: {}", text("name"), text("what"));
        match (entrance, culprit["why"].as_str()) {
            (Entrance::Socket, Some(why)) => format!("{line} ({why})\n"),
            // A probe's command or address may hold what is not for everybody.
            _ => line + "\n",
        }
    };
    let lines: String = culprits.as_array().into_iter().flatten().map(line).collect();
    let (status, text) = if lines.is_empty() { (200, "ok\n".to_owned()) } else { (503, lines) };
    response(status, "text/plain; charset=utf-8", Answer::Whole(Some(text.into())))
}

fn metrics(text: Value) -> Response<Answer> {
    let text = text.as_str().unwrap_or_default().to_owned();
    response(200, openmetrics::CONTENT_TYPE, Answer::Whole(Some(text.into())))
}

fn whole(status: u16, value: &Value) -> Response<Answer> {
    let mut text = value.to_string();
    text.push('\n');
    response(status, "application/json", Answer::Whole(Some(text.into())))
}

pub(crate) fn response(status: u16, kind: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

/// An answer's body: all at once, or line by line as it comes.
pub(crate) enum Answer {
    Whole(Option<Bytes>),
    Lines(mpsc::Receiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Lines(lines) => {
                lines.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    /// So that a whole answer says its length, and a simple client can read it.
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Lines(_) => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}
