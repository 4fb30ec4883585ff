//! What all connections of a coordinator share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use coproc_acomm::Url;
use tokio::sync::{Notify, Semaphore};

use crate::admission::Admission;
use crate::awaited::Awaited;
use crate::config::Coordinator;
use crate::directory::Directory;
use crate::figures::Figures;
use crate::nats::Peers;
use crate::random::{Pool, Secret};
use crate::stream::Streams;
use crate::tracker::Tracker;

/// How many responses are being delivered at once; further ones wait.
const DELIVERIES: usize = 128;

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
    /// Nothing waits, and nothing was done so far.
    pub(crate) fn new(
        config: Coordinator,
        admission: Admission,
        address: Option<SocketAddr>,
        peers: Option<Peers>,
        seats: usize,
    ) -> Self {
        let (folder, order) = (config.socket_dir.clone(), config.priority_order);
        Self {
            admission,
            directory: Directory::new(folder, order, config.rotate),
            figures: Figures::default(),
            awaited: Awaited::default(),
            seats,
            deliveries: Semaphore::new(DELIVERIES.min(seats)),
            address,
            peers,
            pool: Mutex::default(),
            tracker: Mutex::new(Tracker::new(config.max_inflight)),
            streams: Mutex::new(Streams::new(config.max_inflight)),
            deadline: Notify::new(),
            left: Notify::new(),
            config,
        }
    }

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
