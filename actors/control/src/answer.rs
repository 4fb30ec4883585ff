//! From a request to its answer.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::{Request as HttpRequest, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::caller::Caller;
use crate::openapi;
use crate::openmetrics;
use crate::request::{Ask, Refused, Request};
use crate::route::{Denied, Given, Query, Route, find};
use crate::server::{FOLLOWERS, Seat, Shared};
use crate::taken::route;
use crate::{sse, streams};

/// No request has a body worth more.
const BODY: usize = 64 * 1024;
/// How long a client may take to send its request's body.
const BODY_TIME: Duration = Duration::from_secs(10);

pub(crate) async fn answer(
    request: HttpRequest<Incoming>,
    caller: Caller,
    shared: &Shared,
    seat: &Rc<Seat>,
) -> Response<Answer> {
    match respond(request, caller, shared, seat).await {
        Ok(response) => response,
        Err(Denied { refused, header }) => {
            let mut response = whole(refused.status, &json!({ "error": refused.why }));
            if let Some((name, value)) = header
                && let Ok(value) = HeaderValue::from_str(&value)
            {
                response.headers_mut().insert(name, value);
            }
            response
        }
    }
}

async fn respond(
    request: HttpRequest<Incoming>,
    caller: Caller,
    shared: &Shared,
    seat: &Rc<Seat>,
) -> Result<Response<Answer>, Denied> {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let (entry, word) = find(shared.door.is_open_only(caller), method, path)?;
    shared.door.admit(caller, entry, &parts.headers, &seat.known)?;
    let body = match entry.body {
        Some(_) => read(body).await?,
        None => Bytes::new(),
    };
    let query = Query(parts.uri.query().unwrap_or_default());
    let route = route(entry, &Given { word, method, query, body: &body })?;
    let pushed =
        matches!(route, Route::Events { .. } | Route::Logs { .. }) && sse::wanted(&parts.headers);
    if pushed || route.lasts() {
        follow_on(seat, shared)?;
    }
    Ok(match route {
        Route::Ask(request) => whole(200, &ask(shared, request).await?),
        Route::Health(health) => self::health(caller, &ask(shared, Request::Health(health)).await?),
        Route::Description => whole(200, &openapi::document(shared.sources.version)),
        Route::Metrics => metrics(ask(shared, Request::Metrics).await?),
        Route::Events { since, .. } if pushed => {
            let since = sse::last_seen(&parts.headers)?.or(since);
            sse::events(shared, since, seat.clone())
        }
        Route::Events { since, follow } => streams::events(shared, since.unwrap_or(0), follow),
        Route::Logs { name, count, follow } => {
            let form = match pushed {
                true => streams::Form::Pushed { heartbeat: shared.heartbeat },
                false => streams::Form::Lines { follow },
            };
            streams::logs(shared, name, count, form).await?
        }
    })
}

async fn read(body: Incoming) -> Result<Bytes, Refused> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect())
        .await
        .map_err(|_| Refused::new(408, format!("the body did not come within {BODY_TIME:?}")))?;
    let whole = read.map_err(|error| match error.is::<LengthLimitError>() {
        true => Refused::new(413, format!("the body has more than {BODY} bytes")),
        false => Refused::new(400, format!("the body cannot be read: {error}")),
    })?;
    Ok(whole.to_bytes())
}

fn follow_on(seat: &Seat, shared: &Shared) -> Result<(), Refused> {
    let follower = shared.followers.clone().try_acquire_owned();
    let follower = follower.map_err(|_| {
        Refused::new(503, format!("{FOLLOWERS} clients follow events or logs already"))
    })?;
    seat.follow(follower);
    Ok(())
}

pub(crate) async fn ask(shared: &Shared, request: Request) -> Result<Value, Refused> {
    let (reply, answer) = oneshot::channel();
    shared.sources.root.do_send(Ask { request, reply });
    answer.await.unwrap_or_else(|_| Err(Refused::new(503, "the wrapper is leaving")))
}

/// 200 and `ok`, or 503 and a line for each that is not well.
fn health(caller: Caller, culprits: &Value) -> Response<Answer> {
    let line = |culprit: &Value| {
        let text = |key: &str| culprit[key].as_str().unwrap_or_default().to_owned();
        let line = format!("{}: {}", text("name"), text("what"));
        match (caller, culprit["why"].as_str()) {
            (Caller::Peer { .. }, Some(why)) => format!("{line} ({why})\n"),
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
    let kind = HeaderValue::from_static(kind);
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
