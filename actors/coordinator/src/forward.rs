//! The way of one request: checked, given a hop of its own where its response comes back through us,
//! and offered to providers until one takes it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_acomm::unix::{ExchangeError, exchange};
use coproc_acomm::{Request, Response, Url};
use std::net::SocketAddr;

use crate::awaited::Arrivals;
use crate::nats::{is_shared, send_away};
use crate::oneshot::{self, OneShot};
use crate::router::{Asked, NO_PROVIDERS, Step, step};
use crate::server::{Shared, random};
use crate::stream::hexadecimal;
use crate::tracker::Origin;
use crate::unix::shown;

/// Which part of its time a request may wait for a provider that is to come back.
const WAITS: f64 = 0.9;

/// How long a socket that has just appeared may take to listen.
const LISTENS: Duration = Duration::from_millis(5);

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// The socket of this machine.
    Unix,
    /// The port, at this address of ours.
    Http(SocketAddr),
    /// Another coordinator.
    Shared,
}

/// Finds a provider for a request; the answer is the ack.
pub(crate) async fn take(shared: &Arc<Shared>, request: Request, entrance: Entrance) -> Response {
    let (id, task) = (request.id.clone(), shown(&request.task));
    match route(shared, request, entrance).await {
        Ok(()) => {
            shared.figures.taken.add();
            Response::ack(id)
        }
        Err(why) => {
            shared.figures.refused.add();
            tracing::info!(
                target: "coordinator",
                "`{}` for `{task}` is refused: {}",
                shown(&id),
                shown(&why)
            );
            Response::error(id, why)
        }
    }
}

async fn route(
    shared: &Arc<Shared>,
    mut request: Request,
    entrance: Entrance,
) -> Result<(), String> {
    let hook = check(shared, &request, entrance)?;
    let now = Instant::now();
    let sockets = shared.directory.sockets(&request.task, now);
    if sockets.is_empty() && !shared.awaited.includes(&request.task) {
        return send_away(shared, request, hook, entrance, now).await;
    }
    let one_shot = match &request.stream {
        Some(source) if source.is_http() => Some(oneshot::open(shared, &request.task, source)?),
        _ => None,
    };
    if let Some(one_shot) = &one_shot {
        request.stream = Some(one_shot.url());
    }
    let asked = if hook.is_unix() {
        ask_or_wait(shared, sockets, &request, now).await
    } else {
        track(shared, sockets, request, hook, entrance, now).await
    };
    if let (Ok(()), Some(one_shot)) = (&asked, one_shot) {
        OneShot::keep(one_shot);
    }
    asked
}

/// Asks providers on behalf of a requester whose response comes back through us.
async fn track(
    shared: &Arc<Shared>,
    sockets: Vec<Arc<Path>>,
    mut request: Request,
    hook: Url,
    entrance: Entrance,
    now: Instant,
) -> Result<(), String> {
    let (hop, _) = enter(shared, &request.id, hook, entrance, now)?;
    request.id = hop.to_string();
    request.hook = Some(Url::unix(shared.config.response().display().to_string()));
    let asked = ask_or_wait(shared, sockets, &request, now).await;
    if asked.is_err() {
        // Before the requester hears of it: the id is free then, and nothing follows.
        shared.tracker().remove(&hop);
    }
    asked
}

/// Why nobody took a request.
struct Untaken {
    why: String,
    /// Whether nobody was there, so that somebody who comes may be asked.
    nobody: bool,
}

/// Asks one provider after the other, and where none is there waits for one that is to come back.
async fn ask_or_wait(
    shared: &Arc<Shared>,
    mut sockets: Vec<Arc<Path>>,
    request: &Request,
    now: Instant,
) -> Result<(), String> {
    // The provider needs some of the time for its answer, and the requester hears of one end only.
    let until = tokio::time::Instant::from_std(now) + shared.config.request_timeout.mul_f64(WAITS);
    let (task, base) = (&request.task, &shared.config.socket_dir);
    let mut arrivals = None;
    loop {
        let Err(Untaken { why, nobody }) = ask(shared, &sockets, request).await else {
            return Ok(());
        };
        if !nobody || !shared.awaited.includes(task) {
            return Err(why);
        }
        // Heeded before it is looked again, so that nobody comes unseen.
        let fresh = Arrivals::heed(base, task).map_err(|error| error.to_string())?;
        if let Some(heeded) = arrivals.replace(fresh) {
            tracing::debug!(target: "coordinator", "`{}` waits for `{}`", shown(&request.id), shown(task));
            tokio::select! {
                came = heeded.next() => came.map_err(|error| error.to_string())?,
                () = shared.awaited.given_up(task) => return Err(why),
                () = tokio::time::sleep_until(until) => return Err(why),
            }
            // A socket has its name a moment before it listens.
            tokio::time::sleep(LISTENS).await;
        }
        sockets = shared.directory.sockets(task, Instant::now());
    }
}

/// Has a request tracked; the answer is the id by which others get to know it.
pub(crate) fn enter(
    shared: &Shared,
    id: &str,
    hook: Url,
    entrance: Entrance,
    now: Instant,
) -> Result<(Arc<str>, Origin), String> {
    let hop: Arc<str> = match shared.config.keep_ids {
        true => id.into(),
        false => {
            let bits = random().map_err(|error| error.to_string())?;
            hexadecimal(&bits).into()
        }
    };
    let origin = Origin {
        id: id.into(),
        hook,
        arrived: match entrance {
            Entrance::Http(address) => Some(address),
            Entrance::Unix | Entrance::Shared => None,
        },
        deadline: now + shared.config.request_timeout,
    };
    let first = {
        let mut tracker = shared.tracker();
        let first = tracker.next_deadline().is_none();
        tracker.track(hop.clone(), origin.clone()).map_err(|refusal| refusal.to_string())?;
        first
    };
    if first {
        shared.deadline.notify_one();
    }
    Ok((hop, origin))
}

/// Asks one provider after the other.
async fn ask(
    shared: &Arc<Shared>,
    sockets: &[Arc<Path>],
    request: &Request,
) -> Result<(), Untaken> {
    let message = request.encode();
    let mut last = Untaken { why: NO_PROVIDERS.to_owned(), nobody: true };
    for socket in sockets {
        let asked = ask_one(shared, socket, &message).await;
        let nobody = last.nobody && matches!(asked, Asked::Unheard(_));
        match step(asked) {
            Step::Done(answer) => return answer.map_err(|why| Untaken { why, nobody: false }),
            Step::Next(why) => {
                tracing::debug!(
                    target: "coordinator",
                    "{} does not take `{}`: {}",
                    socket.display(),
                    shown(&request.id),
                    shown(&why)
                );
                last = Untaken { why, nobody };
            }
        }
    }
    Err(last)
}

async fn ask_one(shared: &Arc<Shared>, socket: &Arc<Path>, message: &[u8]) -> Asked {
    let config = &shared.config;
    let exchanged = exchange(socket, message, config.max_message);
    match tokio::time::timeout(config.ack_timeout, exchanged).await {
        Ok(Ok(ack)) if ack.error.is_empty() => Asked::Taken,
        Ok(Ok(ack)) => Asked::Refused(ack.error),
        Ok(Err(ExchangeError::Absent(why))) => {
            shared.directory.refused(socket, Instant::now());
            Asked::Unheard(why)
        }
        Ok(Err(ExchangeError::Unheard(why))) => Asked::Unheard(why),
        Ok(Err(ExchangeError::Unclear(why))) => Asked::Unclear(why),
        Ok(Err(ExchangeError::Garbled(error))) => Asked::Unclear(error.0),
        Err(_) => Asked::Unclear("ack timeout".to_owned()),
    }
}

/// What can be said against a request without asking anybody; else its hook.
fn check(shared: &Shared, request: &Request, entrance: Entrance) -> Result<Url, String> {
    if request.id.is_empty() {
        return Err("missing id".to_owned());
    }
    if request.task.is_empty() {
        return Err(match entrance {
            Entrance::Http(_) => "request missing task",
            Entrance::Unix | Entrance::Shared => "missing task",
        }
        .to_owned());
    }
    let Some(hook) = &request.hook else { return Err("missing response hook".to_owned()) };
    let outside = entrance != Entrance::Unix;
    let allow = &shared.config.hook_allow;
    let refused = (outside && hook.is_unix() && !shared.config.allow_unix_hooks_from_http)
        || (hook.is_http() && !allow.name(hook.host_name()))
        || is_shared(hook) != (entrance == Entrance::Shared);
    if refused {
        return Err("response hook is not allowed".to_owned());
    }
    if hook.user {
        return Err("response hook has credentials, which cannot be sent".to_owned());
    }
    if hook.scheme.eq_ignore_ascii_case("https") {
        return Err("https response hooks are not supported".to_owned());
    }
    if let Some(stream) = &request.stream {
        let allow = &shared.config.stream_allow;
        let refused = (outside && stream.is_unix() && !shared.config.allow_unix_hooks_from_http)
            || (stream.is_http() && !allow.name(stream.host_name()));
        if refused {
            return Err("stream is not allowed".to_owned());
        }
        if stream.scheme.eq_ignore_ascii_case("https") {
            return Err("https streams are not supported".to_owned());
        }
    }
    Ok(hook.clone())
}
