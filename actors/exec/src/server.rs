//! A socket that is bound, and the threads that serve it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use coproc_core::exit::ExitStatus;
use coproc_core::peers::{self, Peers};
use coproc_core::process::Setting;
use coproc_core::socket::{BindError, Listener};
use coproc_core::threads::Threads;
use rustix::process::{Resource, getrlimit};
use tokio::sync::mpsc;

use crate::alive::Alive;
use crate::allow::Allow;
use crate::config::ExecSocket;
use crate::figures::Figures;
use crate::worker;

/// How many descriptors one connection needs: its socket, three pipes, and one of those that it has for
/// a while only, such as the pidfd, the stage's report or the socket of one that is heard out.
const DESCRIPTORS: u64 = 5;

/// How many of `limit` descriptors the rest of the process needs: threads and their event loops, what
/// is open while a program is started, and where there are plenty, logs and coprocesses as well.
fn spare(limit: u64) -> u64 {
    24 + (limit / 8).min(40)
}

/// What a run did, for those who subscribed.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    Started { pid: i32, program: Box<str>, uid: u32 },
    Exited { pid: i32, program: Box<str>, status: Option<ExitStatus>, timed_out: bool },
}

/// What all connections of a socket need.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) config: ExecSocket,
    pub(crate) setting: Setting,
    pub(crate) allow: Option<Allow>,
    pub(crate) peers: Option<Peers>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) max_connections: u32,
    /// How many clients one thread may hear out at once.
    pub(crate) farewells: u32,
    pub(crate) alive: Arc<Alive>,
}

impl Served {
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }
}

/// A socket that is bound and whose users, groups and variables were looked up. Clients may connect;
/// they wait until it is served.
#[derive(Clone, Debug)]
pub struct Bound {
    pub(crate) listener: Arc<Listener>,
    pub(crate) served: Arc<Served>,
}

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Something that it names is not there; a sentence.
    #[error("{0}")]
    Names(String),
}

impl Bound {
    /// Looks everything up that the socket needs and binds it at `path`. `inherited` are the
    /// variables of the wrapper.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(
        config: &ExecSocket,
        path: &Path,
        inherited: &[(OsString, OsString)],
    ) -> Result<Self, OpenError> {
        let config = config.clone();
        let setting = Setting::look_up(&config.name, &config.context, inherited, &[])
            .map_err(|error| OpenError::Names(error.reason))?;
        let peers =
            Peers::look_up(&config.peer_users, &config.peer_groups).map_err(OpenError::Names)?;
        let owner = match config.owner.as_deref() {
            Some(owner) => {
                peers::owner(owner).map_err(|why| OpenError::Names(format!("owner: {why}")))?
            }
            None => (None, None),
        };
        let listener = Listener::bind(path, config.mode, owner, config.max_queue)?;
        let max_connections = within_limit(&config).map_err(OpenError::Names)?;
        let served = Served {
            setting,
            allow: config.allow.as_deref().map(Allow::new),
            peers,
            figures: Arc::default(),
            max_connections,
            farewells: (max_connections / number_of_threads(&config)).max(1),
            alive: Arc::default(),
            config,
        };
        Ok(Self { listener: Arc::new(listener), served: Arc::new(served) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.served.name()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.listener.path()
    }

    /// How many connections it serves at once.
    pub fn max_connections(&self) -> u32 {
        self.served.max_connections
    }

    /// Waits until nothing serves it any more and all that ran is killed; false if that took longer.
    pub fn wait(&self, limit: Duration) -> bool {
        self.served.alive.wait(limit)
    }

    /// What it has done so far.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.served.figures
    }
}

/// How many threads serve.
fn number_of_threads(config: &ExecSocket) -> u32 {
    let processors = || thread::available_parallelism().map_or(1, |number| number.get() as u32);
    config.workers.unwrap_or_else(processors)
}

/// As many connections as there are descriptors for; a sentence where there are too few for one.
fn within_limit(config: &ExecSocket) -> Result<u32, String> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fit = limit.saturating_sub(spare(limit)) / DESCRIPTORS;
    let fit = u32::try_from(fit).unwrap_or(u32::MAX);
    if fit == 0 {
        return Err(format!(
            "RLIMIT_NOFILE is {limit}: a connection takes {DESCRIPTORS} descriptors, and all else {}",
            spare(limit)
        ));
    }
    if fit < config.max_connections {
        tracing::warn!(
            target: "exec",
            "{}: at most {fit} of {} connections are served at once: RLIMIT_NOFILE is {limit}, and each \
             takes {DESCRIPTORS} descriptors",
            config.name,
            config.max_connections
        );
    }
    Ok(fit.min(config.max_connections))
}

impl Bound {
    /// Starts the threads.
    pub(crate) fn start(&self, events: Option<mpsc::Sender<Happened>>) -> io::Result<Threads> {
        let (threads, stopped) = Threads::new();
        for number in 0..number_of_threads(&self.served.config) {
            let served = self.served.clone();
            let socket = self.listener.socket()?;
            let (events, stopped) = (events.clone(), stopped.clone());
            let alive = self.served.alive.enter();
            thread::Builder::new().name(format!("coproc-exec-{number}")).spawn(move || {
                let _alive = alive;
                if let Err(error) = worker::work(served, socket, events, stopped) {
                    tracing::error!(target: "exec", "a thread cannot serve: {error}");
                }
            })?;
        }
        Ok(threads)
    }
}
