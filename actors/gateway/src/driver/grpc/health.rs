//! What a server says of its own health, by gRPC's standard service. It is watched, not asked: the server
//! tells when it changes its mind. One that does not know the service is taken to serve.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use prost::Message;
use tokio::task::AbortHandle;
use tonic::Code;

use super::call::{self, Answer, Trouble};
use super::peer::Peer;

/// The longest message of a server about its health, in bytes.
const ANSWER: usize = 1024;

/// Asks for the health of a service; without a name of the whole server.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// What a server says.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "Serving", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Serving {
    Unknown = 0,
    Yes = 1,
    No = 2,
    UnknownService = 3,
}

/// Whether a server is being watched.
#[derive(Default)]
pub(super) struct Watch {
    running: Arc<AtomicBool>,
    /// Whether it does not know the service, so that nothing more is asked.
    mute: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

/// Begins to watch a server that is not watched. Calls do this, so that nothing has to look again and again
/// for a server that has gone.
pub(super) fn ensure(peer: &Arc<Peer>) {
    let watch = &peer.watch;
    if watch.mute.load(Ordering::Relaxed) || watch.running.swap(true, Ordering::Relaxed) {
        return;
    }
    let ended = Ended(watch.running.clone());
    let watched = Arc::downgrade(peer);
    let task = tokio::spawn(async move {
        let _ended = ended;
        let why = follow(&watched).await;
        if let Some(peer) = watched.upgrade() {
            peer.serving.store(true, Ordering::Relaxed);
            let mute = matches!(why, Err(Trouble::Refused(status)) if status.code() == Code::Unimplemented);
            peer.watch.mute.store(mute, Ordering::Relaxed);
        }
    });
    *watch.task.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(task.abort_handle());
}

/// Clears the mark of a watch that is over.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Reads what a server says until it says no more.
async fn follow(watched: &Weak<Peer>) -> Result<(), Trouble> {
    let Some(peer) = watched.upgrade() else { return Ok(()) };
    let sender = peer.channel().sender().await.map_err(|why| Trouble::Broken(why.to_string()))?;
    let path = "/grpc.health.v1.Health/Watch";
    let head = call::head(&peer.authority, path, None, &[]);
    drop(peer);
    let asked = call::framed(&HealthCheckRequest::default().encode_to_vec())?;
    let mut requests = call::ready(&sender).await?;
    let response = call::send(&sender, &mut requests, head, asked)?;
    drop(requests);
    let mut answers = Answer::begin(response, ANSWER).await?;
    // It holds the connection, which is to end with the last who use it.
    drop(sender);
    while let Some(answer) = answers.message().await? {
        let Some(peer) = watched.upgrade() else { return Ok(()) };
        let answer: HealthCheckResponse = call::read(answer)?;
        let serving = answer.status() != Serving::No;
        if peer.serving.swap(serving, Ordering::Relaxed) != serving {
            tracing::info!(server = ?peer.place, serving, "a plugin server tells its health");
        }
    }
    answers.end().await
}
