//! The server's actor: it accepts connections and answers them, each in a task of its own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::{Actor, Context, Recipient};
use coproc_core::broker::EventLog;
use coproc_core::output::{LogLine, Output, Stream};
use coproc_core::process::hung_up;
use coproc_core::supervision::Lifeline;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

pub use crate::listener::Listener;
use crate::request::{Ask, Refused, Request};
use crate::route::{Route, route};

/// How many connections are served at once, besides those that follow; further ones wait to be
/// accepted.
const CONNECTIONS: usize = 64;
/// How many may follow events or logs at once; further ones are refused.
const FOLLOWERS: usize = 64;
/// No request has a body worth more.
const BODY: usize = 64 * 1024;
/// How long a client may take to send its request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a client may take to send its request's body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How much of a stream waits for a slow client before the stream waits as well.
const CHUNKS: usize = 64;
/// How long a history may take to come: a log whose destination is stuck answers nothing.
const HISTORY_TIME: Duration = Duration::from_secs(2);

/// The actor that owns the listening task.
pub struct ControlActor {
    listener: Rc<Listener>,
    shared: Rc<Shared>,
    accepting: Option<actix_rt::task::JoinHandle<()>>,
    _lifeline: Lifeline,
}

/// What every connection needs.
struct Shared {
    root: Recipient<Ask>,
    events: Rc<RefCell<EventLog>>,
    output: Output,
    connections: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

impl ControlActor {
    /// A server on `listener` that asks `root`.
    pub fn new(
        listener: Rc<Listener>,
        root: Recipient<Ask>,
        events: Rc<RefCell<EventLog>>,
        output: Output,
        lifeline: Lifeline,
    ) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let followers = Arc::new(Semaphore::new(FOLLOWERS));
        let shared = Shared { root, events, output, connections, followers };
        Self { listener, shared: Rc::new(shared), accepting: None, _lifeline: lifeline }
    }
}

impl Actor for ControlActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        let socket = self.listener.socket().and_then(tokio::net::UnixListener::from_std);
        match socket {
            Ok(socket) => {
                self.accepting = Some(actix_rt::spawn(accept(socket, self.shared.clone())));
            }
            Err(error) => tracing::error!(target: "control", "cannot listen: {error}"),
        }
    }
}

impl Drop for ControlActor {
    fn drop(&mut self) {
        if let Some(task) = &self.accepting {
            task.abort();
        }
    }
}

async fn accept(socket: tokio::net::UnixListener, shared: Rc<Shared>) {
    loop {
        let Ok(permit) = shared.connections.clone().acquire_owned().await else { return };
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(target: "control", "cannot accept: {error}");
                // Out of descriptors: others have to be closed first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let shared = shared.clone();
        actix_rt::spawn(async move {
            let seat = Rc::new(RefCell::new(permit));
            let watched = stream.as_fd().try_clone_to_owned();
            let service = service_fn(|request| {
                let (shared, seat) = (shared.clone(), seat.clone());
                async move { Ok::<_, Infallible>(answer(request, &shared, &seat).await) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                // Who has nothing more to say may still listen.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::debug!(target: "control", "connection: {error}");
                },
                // A stream with nothing to write would not notice, and hold its seat for ever.
                () = hung_up(watched) => {}
            }
        });
    }
}

/// What a connection counts against. One that follows goes over to the followers' share, so that
/// they keep no request from being answered.
type Seat = RefCell<OwnedSemaphorePermit>;

fn follow_on(seat: &Seat, shared: &Shared) -> Result<(), Refused> {
    let follower = shared.followers.clone().try_acquire_owned();
    let follower = follower.map_err(|_| {
        Refused::new(503, format!("{FOLLOWERS} clients follow events or logs already"))
    })?;
    *seat.borrow_mut() = follower;
    Ok(())
}

async fn answer(request: HttpRequest<Incoming>, shared: &Shared, seat: &Seat) -> Response<Answer> {
    match respond(request, shared, seat).await {
        Ok(response) => response,
        Err(refused) => whole(refused.status, &json!({ "error": refused.why })),
    }
}

async fn respond(
    request: HttpRequest<Incoming>,
    shared: &Shared,
    seat: &Seat,
) -> Result<Response<Answer>, Refused> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect())
        .await
        .map_err(|_| Refused::new(408, format!("the body did not come within {BODY_TIME:?}")))?
        .map_err(|error| Refused::new(400, format!("the body cannot be read: {error}")))?
        .to_bytes();
    let route = route(parts.method.as_str(), parts.uri.path(), parts.uri.query(), &body)?;
    if let Route::Events { follow: true, .. } | Route::Logs { follow: true, .. } = &route {
        follow_on(seat, shared)?;
    }
    match route {
        Route::Ask(request) => Ok(whole(200, &ask(shared, request).await?)),
        Route::Health(health) => Ok(self::health(ask(shared, Request::Health(health)).await?)),
        Route::Events { since, follow } => Ok(events(shared, since, follow)),
        Route::Logs { name, count, follow } => logs(shared, name, count, follow).await,
    }
}

async fn ask(shared: &Shared, request: Request) -> Result<Value, Refused> {
    let (reply, answer) = oneshot::channel();
    shared.root.do_send(Ask { request, reply });
    answer.await.unwrap_or_else(|_| Err(Refused::new(503, "the wrapper is leaving")))
}

/// 200 and `ok`, or 503 and a line for each that is not well.
fn health(culprits: Value) -> Response<Answer> {
    let lines: Vec<_> =
        culprits.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (status, text) = match lines.is_empty() {
        true => (200, "ok\n".to_owned()),
        false => (503, lines.join("\n") + "\n"),
    };
    response(status, "text/plain; charset=utf-8", Answer::Whole(Some(text.into())))
}

fn whole(status: u16, value: &Value) -> Response<Answer> {
    let mut text = value.to_string();
    text.push('\n');
    response(status, "application/json", Answer::Whole(Some(text.into())))
}

fn response(status: u16, kind: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

/// One JSON object a line.
const LINES: &str = "application/x-ndjson";

fn json_line(value: &Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    text.into()
}

fn events(shared: &Shared, since: u64, follow: bool) -> Response<Answer> {
    // Both under one borrow: no event falls between the past and the future.
    let (past, mut future) = {
        let log = shared.events.borrow();
        (log.since(since), log.follow())
    };
    let past: Vec<Bytes> = past.iter().map(|stamped| json_line(&stamped.to_json())).collect();
    if !follow {
        return response(200, LINES, Answer::Whole(Some(past.concat().into())));
    }
    let (lines, body) = mpsc::channel(CHUNKS);
    let log = shared.events.clone();
    actix_rt::spawn(async move {
        if !past.is_empty() && lines.send(past.concat().into()).await.is_err() {
            return;
        }
        let mut last = since;
        loop {
            let next = tokio::select! {
                next = future.recv() => next,
                () = lines.closed() => return,
            };
            let missed = match next {
                Ok(stamped) => vec![stamped],
                // What fell out of the channel may still be in the log.
                Err(broadcast::error::RecvError::Lagged(_)) => log.borrow().since(last),
                Err(broadcast::error::RecvError::Closed) => return,
            };
            for stamped in missed.iter().filter(|stamped| stamped.seq > last) {
                if lines.send(json_line(&stamped.to_json())).await.is_err() {
                    return;
                }
            }
            last = missed.last().map_or(last, |stamped| stamped.seq.max(last));
        }
    });
    response(200, LINES, Answer::Lines(body))
}

async fn logs(
    shared: &Shared,
    name: Option<String>,
    count: usize,
    follow: bool,
) -> Result<Response<Answer>, Refused> {
    let name = match name {
        Some(name) => match ask(shared, Request::LoggerOf(name)).await? {
            Value::String(logger) => Some(logger),
            _ => None,
        },
        None => None,
    };
    let mut future = follow.then(|| shared.output.follow(name.as_deref()));
    let past = shared.output.history(name.as_deref(), count);
    let past = match tokio::time::timeout(HISTORY_TIME, past).await {
        Ok(Ok(past)) => past,
        Ok(Err(_)) => Vec::new(),
        Err(_) => return Err(Refused::new(503, "the log's destination is stuck")),
    };
    let past: Vec<Bytes> = past.iter().map(|line| json_line(&log_line(line))).collect();
    let Some(mut future) = future.take() else {
        return Ok(response(200, LINES, Answer::Whole(Some(past.concat().into()))));
    };
    let (lines, body) = mpsc::channel(CHUNKS);
    actix_rt::spawn(async move {
        if !past.is_empty() && lines.send(past.concat().into()).await.is_err() {
            return;
        }
        loop {
            let next = tokio::select! {
                next = future.recv() => next,
                () = lines.closed() => return,
            };
            let Some(line) = next else { return };
            if lines.send(json_line(&log_line(&line))).await.is_err() {
                return;
            }
        }
    });
    Ok(response(200, LINES, Answer::Lines(body)))
}

fn log_line(line: &LogLine) -> Value {
    let mut value = json!({
        "time": humantime::format_rfc3339_millis(line.time).to_string(),
        "level": line.level.as_str(),
        "logger": &*line.logger,
        "stream": line.stream.map(Stream::as_str),
        "msg": String::from_utf8_lossy(&line.text),
    });
    if line.missed > 0 {
        value["missed"] = line.missed.into();
    }
    value
}

/// An answer's body: all at once, or line by line as it comes.
enum Answer {
    Whole(Option<Bytes>),
    Lines(mpsc::Receiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
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
