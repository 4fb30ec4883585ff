//! The driver for hooks in Python: they run in workers, which are processes of their own.
//!
//! Workers connect to a socket of the gateway and say who they are. For each thread that has calls a worker
//! is given a further connection, a lane. A call takes the worker that has the fewest; calls to one worker go
//! out as they come, and answers come back in any order. Who starts and ends workers is somebody else's
//! concern ([`Supervisor`]): here they are only told when they are to end.

mod attendant;
mod bundles;
pub mod codec;
mod crew;
mod door;
mod files;
mod flight;
mod lane;
mod missing;
mod rolling;
mod watching;
mod worker;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coproc_core::process::{Context, identity};
use coproc_core::socket::Listener;
use futures_util::future::BoxFuture;
use prost::Message;
use tokio::sync::{Notify, oneshot};

use super::admission::Admission;
use super::breaker;
use super::figures::{Counters, Figures};
use super::{Attendant, Call, Driver, Failure, reply};
use crate::bundle::{InstallConfig, Listed};
use crate::object::Sent;
use crate::wire::{Event, Object};
use bundles::Bundles;
use codec::Kind;
use crew::Crew;
use flight::Flight;

pub use door::OpenError;

/// The folder in the run path that the Python side is written to.
pub const FOLDER: &str = "gateway-python";
/// The program of a worker, in [`FOLDER`].
pub const PROGRAM: &str = "worker.py";
/// The socket's file in the run path.
pub const SOCKET: &str = "gateway-python.sock";

/// The variables by which a worker finds what it needs.
pub mod variable {
    /// The gateway's socket.
    pub const SOCKET: &str = "COPROC_PYTHON_SOCKET";
    /// The worker's own name.
    pub const WORKER: &str = "COPROC_PYTHON_WORKER";
    /// How many hooks run at once.
    pub const THREADS: &str = "COPROC_PYTHON_THREADS";
    /// The largest message that it may send, in bytes.
    pub const MAX: &str = "COPROC_PYTHON_MAX";

    /// All of them.
    pub const ALL: [&str; 4] = [SOCKET, WORKER, THREADS, MAX];
}

/// How hooks in Python are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonConfig {
    /// The folder with their files; `None`: all of them are in bundles.
    pub path: Option<PathBuf>,
    /// How many processes run them.
    pub workers: usize,
    /// How many hooks each of them runs at once.
    pub threads: usize,
    /// The program that runs Python.
    pub interpreter: String,
    /// User, environment, folder and limits of the workers.
    pub context: Context,
    /// How long calls may take that a worker still has when it is to make way for its successor.
    pub drain: Duration,
    /// How long a worker may take from its start until it can be called.
    pub start_timeout: Duration,
    /// The largest message to or from a worker, in bytes.
    pub max_message: usize,
    /// Calls on their way to all workers.
    pub max_in_flight: usize,
    /// Calls that wait for others to end.
    pub queue: usize,
    /// How long they wait at most.
    pub queue_timeout: Duration,
    /// How packages are installed that bundles ask for; `None`: they are not.
    pub install: Option<InstallConfig>,
    /// Where the Python side is written to.
    pub folder: PathBuf,
    /// The socket that workers connect to.
    pub socket: PathBuf,
}

impl Default for PythonConfig {
    fn default() -> Self {
        Self {
            path: None,
            workers: 2,
            threads: 4,
            interpreter: "python3".to_owned(),
            context: Context::default(),
            drain: Duration::from_secs(30),
            start_timeout: Duration::from_secs(5),
            max_message: 16 << 20,
            max_in_flight: 512,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
            install: Some(InstallConfig::default()),
            folder: PathBuf::from(FOLDER),
            socket: PathBuf::from(SOCKET),
        }
    }
}

impl PythonConfig {
    /// The name of the workers' coprocesses, which are replicas of one.
    pub const NAME: &str = "gateway-python";

    /// The name of a worker's coprocess; they are counted from 1.
    pub fn name(number: usize) -> String {
        format!("{}-{number}", Self::NAME)
    }

    /// Program and arguments of a worker.
    pub fn command(&self) -> Vec<String> {
        // Files of bytecode beside the hooks would be changes of their folder.
        let program = self.folder.join(PROGRAM).display().to_string();
        let hooks = self.path.as_ref().map(|path| path.display().to_string());
        let own = [self.interpreter.clone(), "-B".to_owned(), program];
        own.into_iter().chain(hooks).collect()
    }

    /// What a worker has to find in its environment.
    pub fn variables(&self, name: &str) -> [(&'static str, String); 4] {
        [
            (variable::SOCKET, self.socket.display().to_string()),
            (variable::WORKER, name.to_owned()),
            (variable::THREADS, self.threads.to_string()),
            (variable::MAX, self.max_message.to_string()),
        ]
    }
}

/// Whoever starts workers anew that have ended.
pub trait Supervisor: Send + Sync {
    /// Ends a worker at once if it is still this process.
    fn kill(&self, worker: &str, pid: i32);
}

/// Events on their way at once.
const EVENTS: usize = 32;

/// Hooks in Python.
#[derive(Debug)]
pub struct Python {
    shared: Arc<Shared>,
    /// `None` once it is closed.
    listener: Mutex<Option<Listener>>,
    /// Ends the thread.
    _stop: oneshot::Sender<()>,
}

/// What the driver shares with its thread.
struct Shared {
    config: PythonConfig,
    crew: Crew,
    hooks: Admission,
    /// Events have turns of their own, so that no request waits for one.
    events: Admission,
    counters: Counters,
    supervisor: OnceLock<Arc<dyn Supervisor>>,
    attendant: OnceLock<Attendant>,
    /// The workers are to make way for their successors.
    renewal: Notify,
    bundles: Bundles,
    /// The log was told what the workers' Python lacks.
    told_lack: Once,
    /// From now on somebody starts workers.
    supervised: Notify,
    /// Nobody is let in any more.
    closed: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("crew", &self.crew).finish_non_exhaustive()
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn kill(&self, worker: &str, pid: i32) {
        if let Some(supervisor) = self.supervisor.get() {
            supervisor.kill(worker, pid);
        }
    }
}

impl Python {
    /// Writes the Python side, binds the socket and has workers let in.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(config: PythonConfig) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            crew: Crew::new(breaker::Limits::default(), config.start_timeout, config.threads),
            hooks: Admission::new(config.max_in_flight, config.queue, config.queue_timeout),
            events: Admission::new(EVENTS, config.queue, config.queue_timeout),
            counters: Counters::default(),
            supervisor: OnceLock::new(),
            attendant: OnceLock::new(),
            renewal: Notify::new(),
            bundles: Bundles::default(),
            told_lack: Once::new(),
            supervised: Notify::new(),
            closed: AtomicBool::new(false),
            config,
        });
        let (stop, listener) = door::open(shared.clone())?;
        // Workers never find the list of another run.
        let listed = shared.bundles.replace(&shared.config.folder, Vec::new());
        let path = shared.config.folder.clone();
        listed.map_err(|error| OpenError::Files { path, error })?;
        Ok(Self { shared, listener: Mutex::new(Some(listener)), _stop: stop })
    }

    /// How it is configured.
    pub fn config(&self) -> &PythonConfig {
        &self.shared.config
    }

    /// Has workers ended by `supervisor`. Only the first one counts.
    pub fn supervised_by(&self, supervisor: Arc<dyn Supervisor>) {
        let _ = self.shared.supervisor.set(supervisor);
        self.shared.supervised.notify_one();
    }

    /// Has `attendant` do what hooks ask of the gateway. Only the first one counts.
    pub fn attended_by(&self, attendant: Attendant) {
        let _ = self.shared.attendant.set(attendant);
    }

    /// Lets nobody in any more; the socket goes with its file.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The group of the workers, where they have a user of their own.
    pub fn readers(&self) -> Option<u32> {
        // Whether there is such a user was seen when the socket was bound.
        identity(&self.shared.config.context).ok().flatten().map(|(_, group)| group)
    }

    /// Has workers run hooks of these bundles, by their hashes, and of no others. Workers that do not know of
    /// one that is new make way, and are not called for it meanwhile.
    ///
    /// # Errors
    /// Where workers cannot be told.
    pub fn bring(&self, bundles: Listed) -> io::Result<()> {
        if self.shared.bundles.replace(&self.shared.config.folder, bundles)? {
            self.renew();
        }
        Ok(())
    }

    /// Has workers make way for their successors, one after another.
    pub fn renew(&self) {
        self.shared.renewal.notify_one();
    }

    /// How many workers are connected.
    pub fn connected(&self) -> usize {
        self.shared.crew.workers().len()
    }

    /// What has been done so far.
    pub fn figures(&self) -> Figures {
        let Shared { counters, hooks, .. } = &*self.shared;
        counters.read(hooks.in_flight(), hooks.queued())
    }

    /// A call and its place in the figures.
    async fn counted(
        &self,
        turns: &Admission,
        kind: Kind,
        message: Vec<u8>,
        deadline: Instant,
        since: u64,
    ) -> Result<Bytes, Failure> {
        let begun = Instant::now();
        let answer = self.call(turns, kind, message, deadline, since).await;
        self.shared.counters.count(begun.elapsed(), answer.as_ref().err());
        answer
    }

    async fn call(
        &self,
        turns: &Admission,
        kind: Kind,
        message: Vec<u8>,
        deadline: Instant,
        since: u64,
    ) -> Result<Bytes, Failure> {
        let (length, max) = (message.len(), self.shared.config.max_message);
        if length > max {
            return Err(Failure::TooLarge(format!("{length} bytes to send, {max} are allowed")));
        }
        let _turn = turns.admit(deadline).await?;
        let (seat, sent) = loop {
            let seat = self.shared.crew.seat(deadline, since).await?;
            // What has not left is given to another worker.
            let sent = seat.0.lane().ok().and_then(|lane| lane.send(kind, &message));
            match sent {
                Some(sent) => break (seat, sent),
                None => {
                    let worker = seat.0.clone();
                    tracing::warn!(target: "gateway", "{} does not take calls", worker.name);
                    self.shared.crew.remove(&worker);
                    self.shared.kill(&worker.name, worker.pid);
                }
            }
        };
        // The message is not kept while its answer is waited for.
        drop(message);
        Flight::new(self.shared.clone(), seat, sent, deadline).answer().await
    }
}

impl Driver for Python {
    fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>> {
        Box::pin(async move {
            let Call { object, deadline, .. } = call;
            let Sent { kind, bundle, bytes, .. } = object;
            let since = self.shared.bundles.since(bundle);
            let answer =
                self.counted(&self.shared.hooks, Kind::Dispatch, bytes, deadline, since).await?;
            reply::read(kind, answer).map_err(|error| Failure::Malformed(error.to_string()))
        })
    }

    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let told =
            self.counted(&self.shared.events, Kind::Event, event.encode_to_vec(), deadline, 0);
        Box::pin(async move { told.await.map(drop) })
    }

    /// Has workers make way for their successors; this does not wait for that.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
        self.renew();
        Box::pin(std::future::ready(Ok(())))
    }
}
