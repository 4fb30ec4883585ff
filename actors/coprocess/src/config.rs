//! What one `[coprocess.NAME]` table says, checked and with defaults filled in.

use std::time::Duration;

use coproc_core::event::EventName;
use coproc_core::name::Name;
use coproc_core::output::Rules;
use coproc_core::probe::Probe;
use coproc_core::process::Context;

use crate::lifecycle::Readiness;

/// One configured coprocess.
#[derive(Clone, Debug, PartialEq)]
pub struct Coprocess {
    /// The table's key, by which environment and flags reach it.
    pub key: String,
    /// By which commands, events and logs name it.
    pub name: Name,
    /// Program and arguments, not yet interpolated; at least one word.
    pub exec: Vec<String>,
    /// Run at the stop event, before the program is signalled.
    pub stop_exec: Option<Vec<String>>,
    /// User, environment, folder and limits of both commands.
    pub context: Context,
    /// How the lines of both are treated.
    pub log: Rules,
    /// How it is asked whether it is ready; without it, it is when it runs.
    pub ready: Option<Probe>,
    /// How it is asked whether it is still alive.
    pub live: Option<Probe>,
    /// How often it is started again.
    pub policy: Policy,
    /// When it starts.
    pub exec_event: EventName,
    /// When it stops; `exit` where the config is silent.
    pub stop_event: EventName,
    /// How long each of TERM, INT and KILL has to end it.
    pub stop_timeout: Duration,
    /// How long `stop_exec` may take before it is killed.
    pub stop_exec_timeout: Duration,
    /// The tasks that it offers to the coordinator.
    pub tasks: Vec<String>,
}

impl Coprocess {
    /// When its program counts as ready.
    pub fn readiness(&self) -> Readiness {
        match &self.ready {
            Some(probe) => Readiness::Probed { within: probe.within },
            None => Readiness::Spawned,
        }
    }
}

/// What decides over starting again, and over who waits. All of it can be changed while running.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How many more times after the first.
    pub restarts: Restarts,
    /// The least pause before each restart, counted from the exit.
    pub time_between_restarts: Duration,
    /// Whether the event goes on at once; a foreground coprocess holds it until it has ended for good.
    pub background: bool,
    /// A growing pause; without it the pause is always the same.
    pub backoff: Option<Backoff>,
    /// At most so many restarts in a window of time.
    pub restart_limit: Option<RestartLimit>,
    /// The codes that count as success; 0 where the config is silent.
    pub success_exit_codes: Vec<i32>,
    /// What follows when it has given up.
    pub on_give_up: OnGiveUp,
}

/// The number of restarts of a coprocess, over its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// One run only.
    Never,
    /// This many after the first run.
    Times(u32),
    /// Until it is stopped.
    Unlimited,
}

/// A pause that grows from `initial` by `factor` up to `max`, with up to a quarter of jitter on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub initial: Duration,
    /// The longest pause, before jitter.
    pub max: Duration,
    /// At least 1.
    pub factor: f64,
    /// A run of this length makes the next pause the first again.
    pub reset_after: Duration,
}

/// More than `count` restarts within `window` are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimit {
    /// How many are allowed.
    pub count: u32,
    /// In which time.
    pub window: Duration,
}

/// What a coprocess that has failed for good does to the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGiveUp {
    /// Nothing.
    Ignore,
    /// The wrapper stops, with the coprocess's own exit status.
    Shutdown,
}
