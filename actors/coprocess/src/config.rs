//! What one `[coprocess.NAME]` table says, checked and with defaults filled in.

use std::time::Duration;

use coproc_core::event::EventName;
use coproc_core::name::Name;
use coproc_core::output::Rules;
use coproc_core::probe::Probe;
use coproc_core::process::Context;

use crate::schedule::Schedule;
use crate::state::Readiness;

/// One configured coprocess.
#[derive(Clone, Debug, PartialEq)]
pub struct Coprocess {
    /// The table's key, by which environment and flags reach it.
    pub key: String,
    /// By which commands, events and logs name it.
    pub name: Name,
    /// Which it is of several that are alike.
    pub replica: Option<Replica>,
    /// Program and arguments, not yet interpolated; at least one word.
    pub exec: Vec<String>,
    /// Run at the stop event, before the program is signalled.
    pub stop_exec: Option<Vec<String>>,
    /// User, environment, folder and limits of both commands.
    pub context: Context,
    /// Whether it has a control group of its own, and all that is in it ends with it.
    pub cgroup: bool,
    /// How the lines of both are treated.
    pub log: Rules,
    /// How it is asked whether it is ready; without it, it is when it runs.
    pub ready: Option<Probe>,
    /// How it is asked whether it is still alive.
    pub live: Option<Probe>,
    /// How often it is started again.
    pub policy: Policy,
    /// When it starts, or its schedule begins.
    pub exec_event: EventName,
    /// What else has to hold for that; with `exec_event` among them the last of them counts.
    pub after: Vec<EventName>,
    /// At which times it is started from then on.
    pub schedule: Option<Schedule>,
    /// When it stops; `exit` where the config is silent.
    pub stop_event: EventName,
    /// How long each of TERM, INT and KILL has to end it.
    pub stop_timeout: Patience,
    /// How long `stop_exec` may take before it is killed.
    pub stop_exec_timeout: Patience,
    /// The tasks that it offers to the coordinator.
    pub tasks: Vec<String>,
}

impl Coprocess {
    /// Whether `name` stands for it: its own, or that of all replicas.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_str() == name
            || self.replica.as_ref().is_some_and(|replica| replica.of.as_str() == name)
    }

    /// Whether its event only puts its schedule in force.
    pub fn starts_by_the_clock(&self) -> bool {
        self.schedule.as_ref().is_some_and(|schedule| !schedule.at_once)
    }

    /// When its program counts as ready.
    pub fn readiness(&self) -> Readiness {
        match &self.ready {
            Some(probe) => Readiness::Probed { within: probe.within },
            None => Readiness::Spawned,
        }
    }
}

/// Which of several that are alike a coprocess is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The name of all of them.
    pub of: Name,
    /// Which it is, from 1.
    pub number: u32,
}

/// How long something may take at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// So long.
    pub time: Duration,
    /// Whether the config says so, and not just the default: then it does not shrink where the
    /// wrapper's own time for stopping is short.
    pub said: bool,
}

impl Patience {
    /// What nobody said.
    pub const fn default_of(time: Duration) -> Self {
        Self { time, said: false }
    }

    /// So long, or what is `left` if that is less and nobody said otherwise.
    pub fn within(self, left: Option<Duration>) -> Duration {
        match left {
            Some(left) if !self.said => self.time.min(left),
            _ => self.time,
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
