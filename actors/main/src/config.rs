//! What the `[main]` table and the core settings say about the main process.

use std::time::Duration;

use coproc_core::event::EventName;
use coproc_core::name::MAIN;
use coproc_core::output::Rules;
use coproc_core::probe::Probe;
use coproc_core::process::Context;
use coproc_core::signal::Signal;

/// The main process.
#[derive(Clone, Debug, PartialEq)]
pub struct Main {
    /// Whether nginx's log lines are events.
    pub kind: Kind,
    /// Program and arguments, not yet interpolated; for an nginx without `exec` the words that
    /// nginx-wrapper uses: the binary, `-p` and `-c`. Without a main process none.
    pub exec: Vec<String>,
    /// When it starts, if later than after `pre-start`.
    pub exec_event: Option<EventName>,
    /// User, environment, folder and limits.
    pub context: Context,
    /// How its lines are treated.
    pub log: Rules,
    /// How it is asked whether it is ready.
    pub ready: Option<Probe>,
    /// How it is asked whether it is still alive.
    pub live: Option<Probe>,
    /// What TERM and INT to the wrapper become.
    pub stop_signal: Signal,
    /// How long it may take to end after `stop_signal` before it is killed; by default what is left
    /// of `shutdown_timeout` less five seconds.
    pub stop_timeout: Option<Duration>,
    /// What makes it read its configuration again.
    pub reload_signal: Signal,
    /// What checks a new configuration before the signal.
    pub check: Check,
    /// How long the check may take until it counts as a refusal.
    pub check_timeout: Duration,
    /// How long a reload may take until it counts as refused.
    pub reload_timeout: Duration,
    /// The files and folders whose change asks for a reload, not yet interpolated.
    pub watch: Vec<String>,
    /// How long nothing has to change until a change is over.
    pub watch_delay: Duration,
}

/// What checks a new configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    Off,
    /// nginx itself: its own words and `-t`.
    Nginx,
    /// A program and its arguments, not yet interpolated.
    Command(Vec<String>),
}

impl Main {
    /// The program and the arguments that check a new configuration, not yet interpolated.
    pub fn check(&self) -> Option<Vec<String>> {
        match &self.check {
            Check::Off => None,
            Check::Nginx => Some([&self.exec[..], &["-t".to_owned()]].concat()),
            Check::Command(words) => Some(words.clone()),
        }
    }
}

/// What kind of program the main process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// nginx: its worker events are read from its log lines.
    Nginx,
    /// Any other program.
    Program,
    /// There is none: the wrapper runs until it is told to stop.
    None,
}

impl Kind {
    /// By which name the main process's lines are logged.
    pub fn logger(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Program | Self::None => MAIN,
        }
    }
}
