//! One request: taken in and acked on the task's socket, answered on the requester's hook.

use std::sync::Arc;
use std::time::Duration;

use coproc_acomm::unix::{self, ReceiveError};
use coproc_acomm::{MAX_MESSAGE, Response, Url};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::provider::{Alive, Handler, Shared};
use crate::request::{Answer, Request, response};

/// How long a request may take to come in, and its ack to go out.
const READ_TIME: Duration = Duration::from_secs(10);
/// How long a hook may take to ack a response.
const HOOK_TIME: Duration = Duration::from_secs(30);

/// A request that its sender was told is taken.
pub(crate) struct Taken {
    request: Request,
    id: String,
    hook: Url,
    limit: Option<Duration>,
    /// Kept while the handler runs.
    _seat: OwnedSemaphorePermit,
}

/// Why a request is not taken.
struct Refusal {
    /// Empty where the request cannot be read.
    id: String,
    why: String,
}

impl Refusal {
    fn unread(why: impl Into<String>) -> Self {
        Self { id: String::new(), why: why.into() }
    }
}

/// Reads a request and acks it; `None` where it was refused or its sender left.
pub(crate) async fn take(
    mut stream: UnixStream,
    task: &str,
    shared: &Arc<Shared>,
    alive: &Alive,
) -> Option<Taken> {
    let exchanged = timeout(READ_TIME, async {
        let message = match unix::receive(&mut stream, MAX_MESSAGE).await {
            Ok(message) => Ok(message),
            Err(ReceiveError::TooLarge(error)) => Err(Refusal::unread(error.to_string())),
            // Somebody looked whether this lives.
            Err(ReceiveError::Closed) => return None,
            // As the original, which goes on with a request that is empty.
            Err(_) => Err(Refusal::unread("missing id")),
        };
        let taken = message.and_then(|message| admit(&message, task, shared, alive));
        let ack = match &taken {
            Ok(taken) => Response::ack(&taken.id),
            Err(Refusal { id, why }) => {
                tracing::debug!(target: "provider", "`{task}`: refused: {why}");
                Response::error(id, why)
            }
        };
        let acked = unix::send(&mut stream, &ack.encode()).await;
        // Who could not be told that it is taken takes it for refused.
        acked.ok().and(taken.ok())
    });
    exchanged.await.ok().flatten()
}

/// What is to be done about a message, or the ack that refuses it.
fn admit(
    message: &[u8],
    task: &str,
    shared: &Arc<Shared>,
    alive: &Alive,
) -> Result<Taken, Refusal> {
    let request =
        coproc_acomm::Request::decode(message).map_err(|_| Refusal::unread("missing id"))?;
    let refuse = |why: &str| Refusal { id: request.id.clone(), why: why.to_owned() };
    if request.id.is_empty() {
        return Err(refuse("missing id"));
    }
    if request.task.is_empty() {
        return Err(refuse("missing task"));
    }
    let hook = request.hook.clone().ok_or_else(|| refuse("missing response hook"))?;
    if !hook.is_unix() {
        // A coordinator never sends another, and nobody else has to be asked directly.
        return Err(refuse("the response hook of a provider's request has to be a unix URL"));
    }
    let seat = shared.seats.clone().try_acquire_owned().map_err(|_| refuse("busy"))?;
    let id = request.id.clone();
    let limit = shared.config.timeout_of(task);
    let request = Request::new(request, task, shared.clone(), alive.clone());
    Ok(Taken { request, id, hook, limit, _seat: seat })
}

/// Runs the handler and tells the hook what came of it.
pub(crate) async fn answer(taken: Taken, handler: &Handler, shared: &Shared) {
    let Taken { request, id, hook, limit, _seat } = taken;
    let shown = request.to_string();
    let outcome = handle(request, handler, limit).await;
    drop(_seat);
    if let Err(error) = &outcome {
        tracing::info!(target: "provider", "{shown} failed: {error}");
    }
    let mut message = response(id.clone(), outcome).encode();
    if message.len() > MAX_MESSAGE {
        let why = format!("the result has {} bytes, more than {MAX_MESSAGE}", message.len());
        message = Response::error(id, why).encode();
    }
    let path = hook.socket();
    let told = timeout(HOOK_TIME, unix::exchange(&path, &message, MAX_MESSAGE)).await;
    let service = &shared.config.service_name;
    match told {
        Ok(Ok(ack)) if ack.error.is_empty() => {}
        Ok(Ok(ack)) => {
            tracing::warn!(target: "provider", "{service}: {shown}: the response was refused: {}", ack.error);
        }
        Ok(Err(error)) => {
            tracing::warn!(target: "provider", "{service}: {shown}: the response was not delivered: {error}");
        }
        Err(_) => {
            tracing::warn!(target: "provider", "{service}: {shown}: the hook does not ack the response");
        }
    }
}

/// Runs the handler as a task of its own, whose panic is a failure of it alone.
async fn handle(
    request: Request,
    handler: &Handler,
    limit: Option<Duration>,
) -> Result<Answer, String> {
    let failed = || Err("internal error".to_owned());
    // It may panic before there is a future.
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler(request)));
    let Ok(future) = made else { return failed() };
    let mut running = JoinSet::new();
    running.spawn(future);
    let joined = timeout(limit.unwrap_or(Duration::MAX), running.join_next()).await;
    match joined {
        Ok(Some(Ok(outcome))) => outcome,
        Ok(Some(Err(_)) | None) => failed(),
        Err(_) => Err("response timeout".to_owned()),
    }
}
