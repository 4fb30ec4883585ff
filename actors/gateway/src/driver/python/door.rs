//! The door for workers: a socket that they connect to, and a thread that hears what they say.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use coproc_core::process::{SpawnError, identity};
use coproc_core::socket::{BindError, Listener};
use nix::unistd::{Gid, Uid};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::codec::{Decoder, Frame, Kind};
use super::worker::Worker;
use super::{Shared, attendant, files, missing, rolling, watching};

/// Workers that may wait to be let in.
const QUEUE: u32 = 128;
/// Connections beside those that workers and their threads make.
const SPARE: usize = 16;
/// How long a connection may take to say whose it is.
const HELLO: Duration = Duration::from_secs(5);
/// How long nobody is let in after that failed.
const BREATH: Duration = Duration::from_millis(100);

/// Why there can be no workers.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket cannot be bound.
    #[error("python: {0}")]
    Socket(#[from] BindError),
    /// The workers' user is none.
    #[error("python: {0}")]
    User(#[from] SpawnError),
    /// The Python side cannot be written.
    #[error("python: `{path}` cannot be written: {error}")]
    Files {
        /// Its folder.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// There is no thread for it.
    #[error("python: there is no thread for workers: {0}")]
    Thread(io::Error),
}

/// What a connection says first.
#[derive(Debug, Deserialize)]
struct Hello {
    worker: String,
    pid: i32,
    /// Whether calls come in over it; else hooks ask the gateway over it.
    #[serde(default)]
    calls: bool,
}

/// What a worker says when it can be called.
#[derive(Debug, Deserialize)]
struct Ready {
    /// Which Python it is.
    #[serde(default)]
    python: String,
    /// How messages are read.
    #[serde(default)]
    messages: String,
    /// Why messages take longer than they have to; empty if they do not.
    #[serde(default)]
    lack: String,
    /// Which list of bundles it has read.
    #[serde(default)]
    bundles: u64,
    /// The hooks that are there.
    #[serde(default)]
    hooks: Vec<String>,
    /// What is wrong with their files.
    #[serde(default)]
    problems: Vec<String>,
}

/// Opens the door. Who has come is served until the sender is dropped; nobody new comes once the listener is.
pub(super) fn open(shared: Arc<Shared>) -> Result<(oneshot::Sender<()>, Listener), OpenError> {
    let config = &shared.config;
    files::write(&config.folder)
        .map_err(|error| OpenError::Files { path: config.folder.clone(), error })?;
    let owner = identity(&config.context)?;
    let owner =
        (owner.map(|(user, _)| Uid::from_raw(user)), owner.map(|(_, group)| Gid::from_raw(group)));
    let listener = Listener::bind(&config.socket, 0o600, owner, QUEUE)?;
    let socket = listener.socket().map_err(OpenError::Thread)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(OpenError::Thread)?;
    let (stop, stopped) = oneshot::channel();
    let serve = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = rolling::roll(&shared) => {}
                () = watching::watch(&shared) => {}
                () = missing::tell(&shared) => {}
                result = let_in(shared.clone(), socket) => if let Err(error) = result {
                    tracing::error!(target: "gateway", "python: no worker is let in: {error}");
                },
            }
        });
        runtime.shutdown_background();
    };
    thread::Builder::new().name("coproc-gate-py".into()).spawn(serve).map_err(OpenError::Thread)?;
    Ok((stop, listener))
}

async fn let_in(shared: Arc<Shared>, socket: OwnedFd) -> io::Result<()> {
    let listener = UnixListener::from_std(socket.into())?;
    let config = &shared.config;
    let most = SPARE + 2 * config.workers * (config.threads + 1);
    let places = Arc::new(Semaphore::new(most));
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(target: "gateway", "python: {error}");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(target: "gateway", "python: there are {most} connections already");
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(&shared, stream).await {
                tracing::warn!(target: "gateway", "python: {error}");
            }
            drop(place);
        });
    }
}

/// Serves a connection until it ends.
async fn serve(shared: &Arc<Shared>, mut stream: UnixStream) -> io::Result<()> {
    let mut decoder = Decoder::new(shared.config.max_message);
    let first = timeout(HELLO, next(&mut stream, &mut decoder)).await;
    let first = first.map_err(|_| io::Error::other("a connection does not say whose it is"))??;
    // Who goes at once has nothing to say.
    let Some(first) = first else { return Ok(()) };
    let hello: Option<Hello> =
        (first.kind == Kind::Hello).then(|| serde_json::from_slice(&first.payload).ok()).flatten();
    let Some(hello) = hello else {
        return Err(io::Error::other("a connection does not say whose it is"));
    };
    let named = (1..=shared.config.workers).any(|n| super::PythonConfig::name(n) == hello.worker);
    let peer = stream.peer_cred()?;
    if peer.pid() != Some(hello.pid) || !named {
        let (pid, name) = (peer.pid().unwrap_or(0), hello.worker.escape_debug());
        return Err(io::Error::other(format!("process {pid} is not the worker `{name}`")));
    }
    if !hello.calls {
        return attendant::serve(shared, &hello.worker, stream, decoder).await;
    }
    let Hello { worker: name, pid, .. } = hello;
    let loading = shared.crew.begin_loading(&name, pid);
    // It may take its time: models of many megabytes are loaded with hooks.
    let Some(loaded) = next(&mut stream, &mut decoder).await? else { return Ok(()) };
    let ready: Option<Ready> = (loaded.kind == Kind::Ready)
        .then(|| serde_json::from_slice(&loaded.payload).ok())
        .flatten();
    let Some(ready) = ready else {
        return Err(io::Error::other(format!("{name} does not say what it has loaded")));
    };
    welcome(&name, pid, &ready, &shared.told_lack);
    let stream = stream.into_std()?;
    let control = stream.try_clone()?;
    let mut stream = UnixStream::from_std(stream)?;
    let max = shared.config.max_message;
    let worker = Arc::new(Worker::new(name, pid, ready.bundles, control, max));
    shared.crew.add(worker.clone());
    drop(loading);
    // Nothing is said here any more: what is waited for is the end.
    let ended = loop {
        match next(&mut stream, &mut decoder).await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    shared.crew.remove(&worker);
    // A worker that died with something unread resets its connections.
    ended.or_else(|error| match error.kind() {
        io::ErrorKind::ConnectionReset => Ok(()),
        _ => Err(error),
    })
}

/// Tells of a worker; of what all of them lack `told` says whether it was told already.
fn welcome(worker: &str, pid: i32, ready: &Ready, told: &Once) {
    let Ready { python, messages, lack, hooks, problems, .. } = ready;
    if !lack.is_empty() {
        told.call_once(|| {
            tracing::warn!(
                target: "gateway",
                "hooks in Python are slower than they could be: {lack}, so messages are made in plain Python"
            );
        });
    }
    for problem in problems {
        tracing::error!(target: "gateway", "{worker}: {problem}");
    }
    tracing::info!(
        target: "gateway",
        "{worker} is up as {pid}, with Python {python}, {messages} and {} hooks",
        hooks.len(),
    );
}

/// The next frame; `None` at the end.
pub(super) async fn next(
    stream: &mut UnixStream,
    decoder: &mut Decoder,
) -> io::Result<Option<Frame>> {
    loop {
        if let Some(frame) = decoder.frame().map_err(io::Error::other)? {
            return Ok(Some(frame));
        }
        if stream.read_buf(decoder.room()).await? == 0 {
            return Ok(None);
        }
    }
}
