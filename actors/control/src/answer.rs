//! From a request to its answer.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Request as HttpRequest, Response};
use serde_json::{Value, json};

use crate::body::{Answer, response};
use crate::caller::Caller;
use crate::given::{Given, Query, Route};
use crate::openapi;
use crate::openmetrics;
use crate::request::{Refused, Request};
use crate::route::{Denied, find};
use crate::shared::{FOLLOWERS, Seat, Shared};
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
        Route::Ask(request) => whole(200, &shared.ask(request).await?),
        Route::Health(health) => self::health(caller, &shared.ask(Request::Health(health)).await?),
        Route::Description => whole(200, &openapi::document(shared.sources.version)),
        Route::Metrics => metrics(shared.ask(Request::Metrics).await?),
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
