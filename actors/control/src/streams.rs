//! Answers that tell what happened, and may go on with what happens: events and lines of the log.

use std::sync::Arc;
use std::time::Duration;

use coproc_core::output::{LogLine, Stream};
use hyper::Response;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use crate::body::{Answer, response};
use crate::request::{Refused, Request};
use crate::shared::Shared;
use crate::sse;

/// How much of a stream waits for a slow client before the stream waits as well.
const CHUNKS: usize = 64;
/// How long a history may take to come: a log whose destination is stuck answers nothing.
const HISTORY_TIME: Duration = Duration::from_secs(2);

/// One JSON object a line.
const LINES: &str = "application/x-ndjson";

fn json_line(value: &Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    text.into()
}

pub(crate) fn events(shared: &Shared, since: u64, follow: bool) -> Response<Answer> {
    // Both under one borrow: no event falls between the past and the future.
    let (past, mut future) = {
        let log = shared.sources.events.borrow();
        (log.since(since), log.follow())
    };
    let past: Vec<Bytes> = past.iter().map(|stamped| json_line(&stamped.to_json())).collect();
    if !follow {
        return response(200, LINES, Answer::Whole(Some(past.concat().into())));
    }
    let (lines, body) = mpsc::channel(CHUNKS);
    let log = shared.sources.events.clone();
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

/// In which form lines of the log are told.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// One JSON object a line.
    Lines {
        /// Whether the stream goes on.
        follow: bool,
    },
    /// As server-sent events, with a comment after so much silence.
    Pushed {
        /// How long nothing may come; zero for ever.
        heartbeat: Duration,
    },
}

impl Form {
    fn of(self, line: &LogLine) -> Bytes {
        match self {
            Self::Lines { .. } => json_line(&log_line(line)),
            Self::Pushed { .. } => sse::message(None, None, &log_line(line)),
        }
    }
}

/// The last lines of a process, or of the replicas that share a name; without one of all.
pub(crate) async fn logs(
    shared: &Shared,
    name: Option<String>,
    count: usize,
    form: Form,
) -> Result<Response<Answer>, Refused> {
    let names: Vec<Arc<str>> = match name {
        Some(name) => {
            let loggers = shared.ask(Request::LoggersOf(name)).await?;
            loggers
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(Arc::from)
                .collect()
        }
        None => Vec::new(),
    };
    let heartbeat = match form {
        Form::Lines { .. } => Duration::ZERO,
        Form::Pushed { heartbeat } => heartbeat,
    };
    let follow = !matches!(form, Form::Lines { follow: false });
    let future = follow.then(|| shared.sources.output.follow(&names));
    let past = shared.sources.output.history(&names, count);
    let past = match tokio::time::timeout(HISTORY_TIME, past).await {
        Ok(Ok(past)) => past,
        Ok(Err(_)) => Vec::new(),
        Err(_) => return Err(Refused::new(503, "the log's destination is stuck")),
    };
    let past: Vec<Bytes> = past.iter().map(|line| form.of(line)).collect();
    let Some(mut future) = future else {
        return Ok(response(200, LINES, Answer::Whole(Some(past.concat().into()))));
    };
    let (lines, body) = mpsc::channel(CHUNKS);
    actix_rt::spawn(async move {
        if !past.is_empty() && lines.send(past.concat().into()).await.is_err() {
            return;
        }
        loop {
            let next = tokio::select! {
                next = future.recv() => match next {
                    Some(line) => form.of(&line),
                    None => return,
                },
                () = sse::pause(heartbeat) => sse::BEAT.into(),
                () = lines.closed() => return,
            };
            if lines.send(next).await.is_err() {
                return;
            }
        }
    });
    Ok(match form {
        Form::Lines { .. } => response(200, LINES, Answer::Lines(body)),
        Form::Pushed { .. } => sse::stream(body),
    })
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
