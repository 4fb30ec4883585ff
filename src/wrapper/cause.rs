//! What makes the wrapper leave: the first of all causes is the one that counts.

use std::fmt;

use coproc_core::exit::ExitStatus;
use coproc_core::name::MAIN;
use coproc_core::signal::Signal;
use serde_json::{Value, json};

/// A cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The wrapper was sent this signal.
    Signal(Signal),
    /// The main process ended.
    MainEnded(ExitStatus),
    /// nginx went into the background.
    MainLeft,
    /// The main process could not be started, for this reason.
    MainNotStarted(String),
    /// The main process runs and is of no use, for this reason.
    MainUnfit(String),
    /// This coprocess failed for good, and `on_give_up` is `shutdown`.
    GaveUp(String),
    /// The boot failed for this reason, at this coprocess or at the templates.
    Boot(Option<String>, String),
    /// Nothing was started, for this reason.
    NotStarted(String),
    /// The wrapper's own runtime was ended by this signal.
    Runtime(Signal),
    /// An actor of the tree died once too often, or cannot be built again.
    Actor(String),
}

/// The names of all causes for programs.
pub const CAUSES: [&str; 10] = [
    "signal",
    "main-ended",
    "main-left-the-foreground",
    "main-not-started",
    "main-unfit",
    "gave-up",
    "boot",
    "not-started",
    "runtime",
    "actor",
];

impl Cause {
    /// Its name for programs.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Signal(_) => "signal",
            Self::MainEnded(_) => "main-ended",
            Self::MainLeft => "main-left-the-foreground",
            Self::MainNotStarted(_) => "main-not-started",
            Self::MainUnfit(_) => "main-unfit",
            Self::GaveUp(_) => "gave-up",
            Self::Boot(..) => "boot",
            Self::NotStarted(_) => "not-started",
            Self::Runtime(_) => "runtime",
            Self::Actor(_) => "actor",
        }
    }

    /// Whose fault or doing it is: `main` or a coprocess; none where it is nobody's of the tree.
    pub(super) fn who(&self) -> Option<&str> {
        match self {
            Self::MainEnded(_) | Self::MainLeft => Some(MAIN),
            Self::MainNotStarted(_) | Self::MainUnfit(_) => Some(MAIN),
            Self::GaveUp(name) => Some(name),
            Self::Boot(name, _) => name.as_deref(),
            Self::Signal(_) | Self::Actor(_) | Self::NotStarted(_) | Self::Runtime(_) => None,
        }
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> Value {
        json!({ "cause": self.as_str(), "who": self.who(), "sentence": self.to_string() })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "the wrapper was sent {signal}"),
            Self::MainEnded(status @ ExitStatus::Code(_)) => {
                write!(f, "the main process ended with {status}")
            }
            Self::MainEnded(status) => write!(f, "the main process was ended by {status}"),
            Self::MainLeft => f.write_str("nginx left the foreground"),
            Self::MainNotStarted(why) => write!(f, "the main process did not start: {why}"),
            Self::MainUnfit(why) => write!(f, "the main process {why}"),
            Self::GaveUp(name) => write!(f, "{name} has failed for good"),
            Self::Boot(_, why) => write!(f, "the boot was given up: {why}"),
            Self::NotStarted(why) => write!(f, "nothing was started: {}", why.trim_end()),
            Self::Runtime(signal) => {
                write!(f, "the wrapper's runtime was ended by signal {signal}")
            }
            Self::Actor(name) => write!(f, "the actor of {name} died"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_name() {
        let why = String::new;
        let all = [
            Cause::Signal(Signal::TERM),
            Cause::MainEnded(ExitStatus::Code(0)),
            Cause::MainLeft,
            Cause::MainNotStarted(why()),
            Cause::MainUnfit(why()),
            Cause::GaveUp(why()),
            Cause::Boot(None, why()),
            Cause::NotStarted(why()),
            Cause::Runtime(Signal::KILL),
            Cause::Actor(why()),
        ];
        assert_eq!(all.map(|cause| cause.as_str()), CAUSES);
    }
}
