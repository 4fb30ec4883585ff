//! What is to go wrong, or merely to happen, in a simulation.

use std::collections::HashMap;
use std::time::Duration;

use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;

/// How the programs of a simulation behave, what befalls them, and how long it goes on.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// By name; who is not named behaves as expected.
    pub habits: HashMap<String, Habit>,
    /// What happens at its time; at one time in this order.
    pub happenings: Vec<(Duration, Happening)>,
    /// When the state of all is noted.
    pub looks: Vec<Duration>,
    /// How long it goes on if the wrapper does not leave.
    pub limit: Duration,
    /// Where the numbers for jitter begin.
    pub seed: u64,
}

impl Scenario {
    /// How a program behaves, to be changed.
    pub fn of(&mut self, name: String) -> &mut Habit {
        self.habits.entry(name).or_default()
    }
}

/// How each run of a program behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habit {
    /// How long a run takes, and how it ends.
    pub runs: Option<Length>,
    /// How long it takes to end once it is told to, and how it ends then.
    pub stops: Option<(Duration, Option<ExitStatus>)>,
    /// When it is ready, counted from its launch.
    pub ready: Option<Delay>,
    /// Whether it heeds no signal but KILL.
    pub hangs: bool,
    /// Whether it cannot be started.
    pub missing: bool,
}

/// How long a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It goes on until it is ended.
    Forever,
    /// It ends by itself after this time, so.
    Time(Duration, ExitStatus),
}

/// When something comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// After this time.
    After(Duration),
    /// It does not.
    Never,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A program ends so.
    Ends(String, ExitStatus),
    /// A program shows no life any more, as far as its `live` probe can tell.
    Sickens(String),
    /// The wrapper is sent a signal.
    Signal(Signal),
    /// Somebody asks for a reload.
    Reload,
    /// Somebody publishes `custom.NAME`.
    Emit(String),
}

impl Happening {
    /// The flag that asks for it, without its time.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Ends(name, ExitStatus::Code(0)) => format!("--exit {name}"),
            Self::Ends(name, status) => format!("--fail {name}, {status}"),
            Self::Sickens(name) => format!("--unhealthy {name}"),
            Self::Signal(signal) => format!("--signal {signal}"),
            Self::Reload => "--reload".to_owned(),
            Self::Emit(name) => format!("--emit {name}"),
        }
    }
}
