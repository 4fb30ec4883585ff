//! The states of a coprocess's life, and how a run of its program can end.

use std::fmt;
use std::time::Duration;

use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;
use tokio::time::Instant;

/// Where a coprocess is in its life.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Its event has not come yet.
    Waiting,
    /// Its program was launched and is not known to run, or runs and is not ready.
    Starting {
        /// When it was launched.
        since: Instant,
        /// By when it has to be ready.
        until: Option<Instant>,
    },
    /// Its program runs and is ready, or was so once.
    Running {
        /// When it was launched.
        since: Instant,
    },
    /// It was told to end.
    Stopping {
        /// The last signal of the three.
        step: StopStep,
        /// When the next one is due; nothing follows KILL.
        until: Option<Instant>,
        /// What for.
        why: Why,
        /// When it was launched.
        since: Instant,
    },
    /// It ended and will be started again.
    Backoff {
        /// When.
        until: Instant,
    },
    /// It ended for good, as it should.
    Stopped,
    /// It ended for good, and should not have.
    Failed(Failure),
}

/// The signals of a stop, each with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopStep {
    /// The first.
    Term,
    /// To those who ignore the first.
    Int,
    /// Cannot be ignored.
    Kill,
}

impl StopStep {
    /// The signal that is sent.
    pub fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
            Self::Kill => Signal::KILL,
        }
    }
}

/// Why a program is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody wants it so.
    Requested,
    /// Its probes say that it is of no use.
    Unfit(Unfit),
}

/// What probes find wrong with a program that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It was not ready in time.
    NotReady,
    /// It shows no life.
    Unhealthy,
}

impl Unfit {
    /// The word in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// When a program that runs counts as ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// At once.
    #[default]
    Spawned,
    /// When its probe says so.
    Probed {
        /// How long that may take from the launch on.
        within: Option<Duration>,
    },
}

/// Why a coprocess was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No restart was left and the last run failed.
    Exhausted,
    /// It was restarted too often in its window.
    TooOften,
}

/// What its coprocess is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Running.
    Up,
    /// Ended.
    Down,
}

/// How one run of the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It ran and ended so.
    Exited(ExitStatus),
    /// It was stopped since it was unfit, and ended so.
    Unfit(Unfit, ExitStatus),
    /// It could not be started; the exit code that says why.
    SpawnFailed(u8),
}

impl RunEnd {
    /// The code that the wrapper leaves with if this ends it.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) | Self::Unfit(_, status) => status.shell_code(),
            Self::SpawnFailed(code) => code,
        }
    }

    /// How the program itself ended, if it ran.
    pub fn status(self) -> Option<ExitStatus> {
        match self {
            Self::Exited(status) | Self::Unfit(_, status) => Some(status),
            Self::SpawnFailed(_) => None,
        }
    }
}

impl State {
    /// The names of all states, in the order of a life.
    pub const NAMES: [&str; 7] =
        ["waiting", "starting", "running", "stopping", "backoff", "stopped", "failed"];

    /// Its name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Backoff { .. } => "backoff",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
