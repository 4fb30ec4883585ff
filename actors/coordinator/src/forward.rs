//! The way of one request: checked, given a hop of its own where its response comes back through us,
//! and offered to providers until one takes it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use coproc_acomm::unix::{ExchangeError, exchange};
use coproc_acomm::{Request, Response, Url};

use crate::admission::Readers;
use crate::awaited::comes;
use crate::check::check;
use crate::nats::{Passed, When, give_away};
use crate::oneshot;
use crate::router::{Asked, NO_PROVIDERS, Step, step};
use crate::shared::Shared;
use crate::shown::shown;
use crate::stream::hexadecimal;
use crate::tracker::Origin;

/// Which part of its time a request may wait for a provider that is to come back.
const WAITS: f64 = 0.9;

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

/// Why nobody took a request, in the words for its requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// Nobody was there.
    Nobody(String),
    /// Whoever was there would not, or we will not: nothing runs.
    Refused(String),
    /// It may run or not, and nobody knows.
    Unclear(String),
}

impl Untaken {
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Nobody(why) | Self::Refused(why) | Self::Unclear(why) => why,
        }
    }
}

/// Finds a provider for a request; the answer is the ack.
pub(crate) async fn take(shared: &Arc<Shared>, request: Request, entrance: Entrance) -> Response {
    let id = request.id.clone();
    match attempt(shared, request, entrance).await {
        Ok(()) => Response::ack(id),
        Err(untaken) => Response::error(id, untaken.why()),
    }
}

/// The same, for whoever makes more of a failure than its words.
pub(crate) async fn attempt(
    shared: &Arc<Shared>,
    request: Request,
    entrance: Entrance,
) -> Result<(), Untaken> {
    let (id, task) = (shown(&request.id), shown(&request.task));
    let outcome = route(shared, request, entrance).await;
    if let Err(untaken) = &outcome {
        shared.figures.refused.add();
        let why = shown(untaken.why());
        tracing::info!(target: "coordinator", "`{id}` for `{task}` is refused: {why}");
    }
    outcome
}

async fn route(shared: &Arc<Shared>, request: Request, entrance: Entrance) -> Result<(), Untaken> {
    let hook = check(shared, &request, entrance).map_err(Untaken::Refused)?;
    let now = Instant::now();
    let tracked = match hook.is_unix() {
        true => None,
        false => Some(enter(shared, &request.id, hook.clone(), entrance, now)?),
    };
    let rounds = AtomicU32::new(0);
    let way =
        Way { shared, request: &request, hook: &hook, entrance, now, tracked: &tracked, rounds };
    let outcome = way.find().await;
    match (&outcome, &tracked) {
        // If it is not there any more, it was answered already: that word counts. Otherwise it is
        // forgotten before the requester hears of it: the id is free then, and nothing follows.
        (Err(_), Some(tracked)) if !tracked.forget(shared) => Ok(()),
        _ => outcome,
    }
}

/// A request that is tracked.
pub(crate) struct Tracked {
    /// The id by which others get to know it.
    pub(crate) hop: Arc<str>,
    pub(crate) origin: Origin,
}

impl Tracked {
    /// Whether it was still waited for.
    pub(crate) fn forget(&self, shared: &Shared) -> bool {
        shared.tracker().remove(&self.hop).is_some()
    }
}

/// Has a request tracked.
pub(crate) fn enter(
    shared: &Shared,
    id: &str,
    hook: Url,
    entrance: Entrance,
    now: Instant,
) -> Result<Tracked, Untaken> {
    let hop: Arc<str> = match shared.config.keep_ids {
        true => id.into(),
        false => {
            let bits = shared.random().map_err(|error| Untaken::Refused(error.to_string()))?;
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
        let tracked = tracker.track(hop.clone(), origin.clone());
        tracked.map_err(|refusal| Untaken::Refused(refusal.to_string()))?;
        first
    };
    if first {
        shared.deadline.notify_one();
    }
    Ok(Tracked { hop, origin })
}

/// A request on its way.
pub(crate) struct Way<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) request: &'a Request,
    pub(crate) hook: &'a Url,
    pub(crate) entrance: Entrance,
    /// When it came.
    pub(crate) now: Instant,
    /// Where its response comes back through us.
    pub(crate) tracked: &'a Option<Tracked>,
    /// In how many rounds it was offered to other coordinators.
    pub(crate) rounds: AtomicU32,
}

impl Way<'_> {
    /// Those of this machine are asked first, then other coordinators. Where nobody takes it, and one is
    /// known here or there who comes back, that one is waited for.
    async fn find(&self) -> Result<(), Untaken> {
        let why = match self.ask_here().await {
            // Whom it came from knows whom else to ask.
            Err(Untaken::Nobody(why)) if self.entrance != Entrance::Shared => why,
            asked => return asked,
        };
        let mut last = Untaken::Nobody(why);
        let Err(Passed { untaken, later }) = self.give_away(When::Now).await else {
            return Ok(());
        };
        match untaken {
            Untaken::Unclear(_) => return Err(untaken),
            Untaken::Refused(_) => last = untaken,
            Untaken::Nobody(there) if last.why() == NO_PROVIDERS => last = Untaken::Nobody(there),
            Untaken::Nobody(_) => {}
        }
        let is_awaited = self.is_awaited();
        if is_awaited {
            match Box::pin(self.wait_here()).await {
                Err(Untaken::Nobody(_)) => {}
                asked => return asked,
            }
        }
        let hopeless = later.is_empty() && !is_awaited;
        if hopeless || Instant::now() >= self.patience() {
            return Err(last);
        }
        let when = if later.is_empty() { When::Now } else { When::Later(later) };
        match self.give_away(when).await {
            Err(Passed { untaken: Untaken::Nobody(_), .. }) => Err(last),
            given => given.map_err(|passed| passed.untaken),
        }
    }

    /// Few requests go this way, and it is not for the others to bear its size.
    async fn give_away(&self, when: When) -> Result<(), Passed> {
        match self.shared.peers {
            Some(_) => Box::pin(give_away(self, when)).await,
            None => Err(nobody().into()),
        }
    }

    fn is_awaited(&self) -> bool {
        self.shared.awaited.includes(&self.request.task)
    }

    /// Until when it may wait for a provider: that one needs some of the time for its answer, and the
    /// requester hears of one end only.
    pub(crate) fn patience(&self) -> Instant {
        self.now + patience(self.shared)
    }

    /// Waits until somebody here takes it or will not, or nobody is to come any more.
    async fn wait_here(&self) -> Result<(), Untaken> {
        let task = &self.request.task;
        tracing::debug!(
            target: "coordinator",
            "`{}` waits for `{}`",
            shown(&self.request.id),
            shown(task)
        );
        while comes(self.shared, task, self.patience()).await {
            match self.ask_here().await {
                Err(Untaken::Nobody(_)) => {}
                asked => return asked,
            }
        }
        Err(nobody())
    }

    /// Asks the providers of this machine.
    async fn ask_here(&self) -> Result<(), Untaken> {
        let shared = self.shared;
        let sockets = shared.directory.sockets(&self.request.task, Instant::now());
        if sockets.is_empty() {
            return Err(nobody());
        }
        let mut request = self.request.clone();
        let one_shot = match &request.stream {
            Some(source) if source.is_http() => {
                let readers = Readers::of(&sockets);
                let opened = oneshot::open(shared, &request.task, source, readers);
                Some(opened.map_err(Untaken::Refused)?)
            }
            _ => None,
        };
        if let Some(one_shot) = &one_shot {
            request.stream = Some(one_shot.url());
        }
        if let Some(Tracked { hop, .. }) = self.tracked {
            request.id = hop.to_string();
            request.hook = Some(Url::unix(shared.config.response().display().to_string()));
        }
        ask(shared, &sockets, &request).await?;
        if let Some(one_shot) = one_shot {
            one_shot.keep();
        }
        match (self.entrance, self.tracked) {
            (Entrance::Shared, _) => shared.figures.received.add(),
            (_, Some(_)) => shared.figures.tracked.add(),
            (_, None) => shared.figures.direct.add(),
        }
        Ok(())
    }
}

fn nobody() -> Untaken {
    Untaken::Nobody(NO_PROVIDERS.to_owned())
}

/// For how long of its time a request may wait for a provider.
pub(crate) fn patience(shared: &Shared) -> Duration {
    shared.config.request_timeout.mul_f64(WAITS)
}

/// Asks one provider after the other.
async fn ask(
    shared: &Arc<Shared>,
    sockets: &[Arc<Path>],
    request: &Request,
) -> Result<(), Untaken> {
    let message = request.encode();
    let mut last = nobody();
    for socket in sockets {
        let asked = ask_one(shared, socket, &message).await;
        let unheard = matches!(asked, Asked::Unheard(_));
        match step(asked) {
            Step::Done(answer) => return answer.map_err(Untaken::Unclear),
            Step::Next(why) => {
                tracing::debug!(
                    target: "coordinator",
                    "{} does not take `{}`: {}",
                    socket.display(),
                    shown(&request.id),
                    shown(&why)
                );
                last = match last {
                    Untaken::Nobody(_) if unheard => Untaken::Nobody(why),
                    _ => Untaken::Refused(why),
                };
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
