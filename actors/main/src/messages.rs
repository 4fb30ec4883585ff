//! What the main process's actor is told and asked, and what it tells its parent.

use std::time::{Duration, SystemTime};

use actix::Message;
use coproc_core::exit::ExitStatus;
use coproc_core::probe::Note;
use coproc_core::process::SpawnError;
use coproc_core::signal::Signal;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::Main;

/// Start the main process.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Start;

/// End the main process: this signal now, KILL at that time.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// What it is asked with.
    pub signal: Signal,
    /// When asking is over.
    pub kill_at: Instant,
}

/// Make the main process read its configuration again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReloadMain {
    /// Why, for the event.
    pub cause: String,
    /// Who waits for the outcome; the error is a sentence.
    pub done: Option<oneshot::Sender<Result<(), String>>>,
}

/// From now on this is the config. What the process was started with stays as it is until it ends.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Reconfigure(pub Box<Main>);

/// Pass a signal on to the main process itself.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Pass(pub Signal);

/// Asks what the main process does.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "MainStatus")]
pub struct Status;

/// What the main process does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MainStatus {
    /// `waiting`, `starting`, `running`, `stopping` or `stopped`.
    pub state: &'static str,
    /// Its pid while it lives.
    pub pid: Option<i32>,
    /// When it was launched.
    pub launched: Option<SystemTime>,
    /// How long it has been running.
    pub uptime: Option<Duration>,
    /// Whether it serves.
    pub ready: bool,
    /// What its probes find wrong with it: of `ready`, then of `live`.
    pub wrong: [Option<String>; 2],
    /// What its readiness probe heard last.
    pub heard: Option<Note>,
    /// What it last said that it does.
    pub status: Option<String>,
    /// The number of the configuration that it serves with, from 1 on; 0 before its start.
    pub generation: u64,
}

impl MainStatus {
    /// All that `state` can be, in the order of a life.
    pub const STATES: [&str; 5] = ["waiting", "starting", "running", "stopping", "stopped"];
}

/// What became of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum MainNews {
    /// It could not be started.
    Failed(SpawnError),
    /// It runs and is of no use, for this reason.
    Unfit(String),
    /// A file that the config says to watch has changed: which of its paths.
    FileChanged(String),
    /// It is gone and its output was read to the end.
    Exited {
        /// Its process, as it was.
        pid: i32,
        /// How it ended.
        status: ExitStatus,
        /// An nginx that went into the background and left this wrapper.
        daemonised: bool,
    },
}
