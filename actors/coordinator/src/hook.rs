//! Responses on their way to the hooks of their requesters.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_acomm::unix::{ExchangeError, exchange};
use coproc_acomm::{Response, Url};

use crate::http_client::{CallError, dial, post};
use crate::nats::{is_shared, return_response};
use crate::oneshot::is_source;
use crate::shared::Shared;
use crate::shown::shown;
use crate::tracker::Origin;

/// The pause before the second try; each one after that is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How much of a hook's answer is read.
const ANSWER: usize = 64 << 10;

/// A response that has left the tracker; it counts as on its way until this is dropped.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.tracker().left();
        self.0.left.notify_one();
    }
}

/// What came of one try.
pub(crate) enum Try {
    Delivered,
    Refused(String),
    Again(String),
}

/// Sends a response to where its requester wants it, in a task of its own.
pub(crate) fn deliver(shared: &Arc<Shared>, origin: Origin, response: Response) {
    let leaving = Leaving(shared.clone());
    tokio::spawn(async move {
        let shared = &leaving.0;
        let Ok(_turn) = shared.deliveries.acquire().await else { return };
        match attempt_until_deadline(shared, &origin, response).await {
            Ok(()) => shared.figures.delivered.add(),
            Err(why) => {
                shared.figures.undelivered.add();
                tracing::warn!(
                    target: "coordinator",
                    "the response to `{}` did not reach {}: {}",
                    shown(&origin.id),
                    shown(&origin.hook.to_string()),
                    shown(&why)
                );
            }
        }
    });
}

async fn attempt_until_deadline(
    shared: &Shared,
    origin: &Origin,
    mut response: Response,
) -> Result<(), String> {
    let hook = &origin.hook;
    if !hook.is_http() && !hook.is_unix() && !is_shared(hook) {
        return Err(format!("`{}` is no scheme of a hook", hook.scheme));
    }
    // Who has a socket here can read what we can.
    let query = match hook.is_unix() {
        true => None,
        false => response.stream.take().and_then(|source| publish(shared, source)),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let tried = async {
            match hook {
                hook if hook.is_unix() => attempt_unix(shared, hook, &response).await,
                hook if is_shared(hook) => {
                    return_response(shared, origin, &response, query.as_deref()).await
                }
                _ => attempt(shared, origin, &response, query.as_deref()).await,
            }
        };
        let why = match tokio::time::timeout(shared.config.hook_timeout, tried).await {
            Ok(Try::Delivered) => return Ok(()),
            Ok(Try::Refused(why)) => return Err(why),
            Ok(Try::Again(why)) => why,
            // It may have heard all of it.
            Err(_) => return Err("it did not answer in time".to_owned()),
        };
        let left = origin.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(why);
        }
        // The last try is at the very end of its time.
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(
    shared: &Shared,
    origin: &Origin,
    response: &Response,
    query: Option<&str>,
) -> Try {
    let hook = &origin.hook;
    let stream = match dial(hook, &shared.config.hook_allow).await {
        Ok(stream) => stream,
        Err(error @ CallError::Forbidden(_)) => return Try::Refused(error.to_string()),
        Err(error) => return Try::Again(error.to_string()),
    };
    let message = match query {
        None => response.encode(),
        Some(query) => {
            let ours = stream.local_addr().ok();
            let stream = outside(shared, origin, ours, query);
            Response { stream, ..response.clone() }.encode()
        }
    };
    let (status, said) = match post(stream, hook, ("application/json", message), ANSWER).await {
        Ok(answer) => answer,
        Err(error) => return Try::Refused(error.to_string()),
    };
    if status.is_server_error() {
        return Try::Again(format!("it answered {status}"));
    }
    if !status.is_success() {
        return Try::Refused(format!("it answered {status}"));
    }
    let ack = said.and_then(|said| Response::decode(&said).ok());
    match ack {
        Some(ack) if !ack.error.is_empty() => Try::Refused(format!("it says: {}", ack.error)),
        // Any other words mean that it came.
        _ => Try::Delivered,
    }
}

/// To a requester on this machine whose request another coordinator took.
async fn attempt_unix(shared: &Shared, hook: &Url, response: &Response) -> Try {
    match exchange(&hook.socket(), &response.encode(), shared.config.max_message).await {
        Ok(ack) if !ack.error.is_empty() => Try::Refused(format!("it says: {}", ack.error)),
        Ok(_) => Try::Delivered,
        Err(ExchangeError::Absent(why) | ExchangeError::Unheard(why)) => Try::Again(why),
        Err(error) => Try::Refused(error.to_string()),
    }
}

/// Makes a stream one that a client outside may ask for; the answer is the query of its address.
fn publish(shared: &Shared, source: Url) -> Option<String> {
    if !is_source(shared, &source) {
        tracing::warn!(
            target: "coordinator",
            "a response's stream is left out: {} is not allowed",
            shown(&source.to_string())
        );
        return None;
    }
    shared.publish(source).ok()
}

/// The address of a published stream as its reader can reach it: by `public_url`, or at that address of
/// ours at which its request came in, or from which its response goes out.
pub(crate) fn outside(
    shared: &Shared,
    origin: &Origin,
    ours: Option<SocketAddr>,
    query: &str,
) -> Option<Url> {
    let mut url = match &shared.config.public_url {
        Some(url) => url.clone(),
        None => {
            let port = shared.address?;
            let ip = match (origin.arrived, port.ip().is_unspecified()) {
                (Some(arrived), _) => arrived.ip(),
                (None, false) => port.ip(),
                (None, true) => ours?.ip(),
            };
            let ip: IpAddr = ip.to_canonical();
            let host = SocketAddr::new(ip, port.port()).to_string();
            Url { scheme: "http".into(), host, ..Url::default() }
        }
    };
    url.path = format!("{}/stream", url.path.trim_end_matches('/'));
    url.raw_path = String::new();
    url.raw_query = query.to_owned();
    Some(url)
}
