//! A coordinator whose sockets are bound, what its connections share, and the thread that serves it.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use coproc_acomm::Url;
use coproc_core::socket::Listener;
use coproc_core::threads::Threads;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{Notify, Semaphore};

use crate::admission::Admission;
use crate::awaited::Awaited;
use crate::config::Coordinator;
use crate::directory::{Directory, Task, reordered, tasks};
use crate::door::{Doors, open};
use crate::figures::{Figures, Snapshot};
use crate::nats::Peers;
use crate::random::{Pool, Secret, random};
use crate::router::Order;
use crate::serve::serve;
use crate::stream::{Streams, hexadecimal};
use crate::tracker::Tracker;

pub use crate::door::OpenError;

/// How many responses are being delivered at once; further ones wait.
const DELIVERIES: usize = 128;

/// How many descriptors one seat takes at most: a requester and a provider each on the socket of
/// requests and on the port, a response that comes in, and one that goes out.
const DESCRIPTORS: u64 = 6;

/// How many connections each entrance serves at once: no more than there are descriptors for, so that who
/// comes in a crowd waits to be accepted, and nobody is refused for want of one.
fn seats(config: &Coordinator) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fit = limit.saturating_sub(spare(limit)) / DESCRIPTORS;
    let fit = usize::try_from(fit).unwrap_or(usize::MAX).max(1);
    if fit < config.max_connections {
        tracing::info!(
            target: "coordinator",
            "{fit} connections are served at once, not {}: RLIMIT_NOFILE is {limit}",
            config.max_connections
        );
    }
    fit.min(config.max_connections)
}

/// How many of `limit` descriptors the rest of the process needs.
fn spare(limit: u64) -> u64 {
    24 + (limit / 8).min(64)
}

/// What all connections share. It outlives the actor and its thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Coordinator,
    pub(crate) admission: Admission,
    pub(crate) directory: Directory,
    pub(crate) figures: Figures,
    pub(crate) awaited: Awaited,
    /// How many connections each entrance serves at once.
    pub(crate) seats: usize,
    pub(crate) deliveries: Semaphore,
    /// Where HTTP is listened on.
    pub(crate) address: Option<SocketAddr>,
    /// What there is to share tasks with other coordinators.
    pub(crate) peers: Option<Peers>,
    pool: Mutex<Pool>,
    tracker: Mutex<Tracker>,
    streams: Mutex<Streams>,
    /// A deadline is there where none was.
    pub(crate) deadline: Notify,
    /// A response has left.
    pub(crate) left: Notify,
}

impl Shared {
    pub(crate) fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bits that nobody can guess.
    pub(crate) fn random(&self) -> io::Result<Secret> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives the address of a stream out; the answer is its query.
    pub(crate) fn publish(&self, source: Url) -> io::Result<String> {
        let (secret, now) = (self.random()?, Instant::now());
        let ttl = self.config.stream_ttl;
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + ttl;
        Ok(self.streams().publish(source, secret, now, now + ttl, end.as_secs()))
    }

    pub(crate) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A coordinator whose sockets are bound. Clients may connect; they wait until it is served.
#[derive(Clone, Debug)]
pub struct Bound {
    pub(crate) shared: Arc<Shared>,
    pub(crate) doors: Arc<Doors>,
}

impl Bound {
    /// Makes the folders and binds both sockets and the port.
    ///
    /// # Errors
    /// As [`OpenError`] says; whoever serves there already is unharmed.
    pub fn open(config: Coordinator) -> Result<Self, OpenError> {
        let admission = Admission::look_up(&config).map_err(OpenError::Names)?;
        if let Some(nats) = &config.nats {
            nats.check_ca().map_err(OpenError::Names)?;
        }
        let doors = open(&config)?;
        if config.priority_order == Order::Number {
            for task in reordered(&config.socket_dir) {
                tracing::warn!(
                    target: "coordinator",
                    "the providers of `{task}` are asked by their priorities as numbers, which is \
                     another order than by their names (priority_order = \"text\")"
                );
            }
        }
        let name = || random().map(|bits| hexadecimal(&bits)).map_err(OpenError::Random);
        let peers = match &config.nats {
            Some(nats) => Peers::new(nats.clone(), &name()?),
            None => None,
        };
        let seats = seats(&config);
        let shared = Shared {
            admission,
            directory: Directory::new(
                config.socket_dir.clone(),
                config.priority_order,
                config.rotate,
            ),
            figures: Figures::default(),
            awaited: Awaited::default(),
            seats,
            deliveries: Semaphore::new(DELIVERIES.min(seats)),
            address: doors.address,
            peers,
            pool: Mutex::default(),
            tracker: Mutex::new(Tracker::new(config.max_inflight)),
            streams: Mutex::new(Streams::new(config.max_inflight)),
            deadline: Notify::new(),
            left: Notify::new(),
            config,
        };
        Ok(Self { shared: Arc::new(shared), doors: Arc::new(doors) })
    }

    /// How it is configured.
    pub fn config(&self) -> &Coordinator {
        &self.shared.config
    }

    /// Where it listens for HTTP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.shared.address
    }

    /// Names the tasks whose providers are there or come back by themselves; a request for one of
    /// them waits while its provider is away.
    pub fn await_tasks(&self, tasks: BTreeSet<String>) {
        self.shared.awaited.set(tasks);
    }

    /// What it has done so far.
    pub fn figures(&self) -> Snapshot {
        let (waiting, leaving) = {
            let tracker = self.shared.tracker();
            (tracker.waiting(), tracker.leaving())
        };
        let open_streams = self.shared.streams().len();
        Snapshot { waiting, leaving, open_streams, ..self.shared.figures.snapshot() }
    }

    /// Whether it is connected to a NATS server; `None` where it shares nothing.
    pub fn is_sharing(&self) -> Option<bool> {
        self.shared.peers.as_ref().map(Peers::is_connected)
    }

    /// The tasks that somebody registered for, and who. This reads folders.
    pub fn tasks(&self) -> Vec<Task> {
        tasks(&self.shared.config.socket_dir, self.shared.config.priority_order)
    }
}

/// The sockets, for the thread.
pub(crate) struct Sockets {
    pub(crate) internal: Option<OwnedFd>,
    pub(crate) response: Option<OwnedFd>,
    pub(crate) port: Option<TcpListener>,
}

impl Bound {
    fn sockets(&self) -> io::Result<Sockets> {
        let unix = |door: &Mutex<Option<Listener>>| {
            let door = door.lock().unwrap_or_else(PoisonError::into_inner);
            door.as_ref().map(Listener::socket).transpose()
        };
        let port = self.doors.port.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Sockets {
            internal: unix(&self.doors.internal)?,
            response: unix(&self.doors.response)?,
            port: port.as_ref().map(TcpListener::try_clone).transpose()?,
        })
    }

    /// Starts the thread.
    pub(crate) fn start(&self) -> io::Result<Threads> {
        let (threads, stopped) = Threads::new();
        let (bound, sockets) = (self.clone(), self.sockets()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("coproc-coord".into()).spawn(move || {
            let watched = stopped.clone();
            if let Err(error) = runtime.block_on(serve(bound, sockets, stopped)) {
                tracing::error!(target: "coordinator", "the thread cannot serve: {error}");
            }
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
            drop(watched);
        })?;
        Ok(threads)
    }
}
