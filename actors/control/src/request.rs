//! What a client can ask of a running wrapper, and what it is answered.

use std::fmt;
use std::str::FromStr;

use actix::Message;
use coproc_core::signal::Signal;
use serde_json::Value;
use tokio::sync::oneshot;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What everything does, or what goes by one name.
    Status(Option<String>),
    /// What is not as it should be; the answer is a list of sentences.
    Health(Health),
    /// Why each is in the state that it is in, or one of them.
    Why(Option<String>),
    /// What a stop of all would be like now.
    Plan,
    /// What is measured; the answer is a text of OpenMetrics.
    Metrics,
    /// An order to one coprocess.
    Order(String, Order),
    /// Changes of a running coprocess's policy: key and value as they stand in a config.
    Set(String, Vec<(String, String)>),
    /// A signal to a coprocess's group, or to the main process itself.
    Signal(String, Signal),
    /// A reload of the main process; answered when it is over.
    Reload,
    /// Read the config anew: tell what follows, or do it as well.
    Reconfigure {
        /// Whether it is done.
        apply: bool,
    },
    /// Publish `custom.NAME`.
    Emit(String),
    /// Something about the gateway's keys.
    Keys(KeysOrder),
    /// Whether a process, or all replicas that share a name, are as it is waited for; answered when it
    /// is so, or cannot come to be so by itself.
    Wait(String, Until),
    /// By which names lines of a process, or of the replicas that share a name, are logged; a list.
    LoggersOf(String),
}

/// What counts as healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is wrong that only a new start of the whole would heal.
    Alive,
    /// All that is meant to be up is ready.
    Ready,
}

/// What can be ordered of a coprocess; answered when it is so, or when it has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Be up.
    Start,
    /// Be down.
    Stop,
    /// Be down, then up.
    Restart,
    /// Let go of events.
    Background,
    /// Hold events.
    Foreground,
}

/// What is waited for of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Its program runs.
    Started,
    /// It serves.
    Ready,
    /// A run of it has ended, and none is under way.
    Exited,
    /// It is down, and nothing but an order or an event brings it back.
    Stopped,
    /// It was given up.
    Failed,
}

impl Until {
    /// All, as they are written.
    pub const WORDS: &str = "started|ready|exited|stopped|failed";

    const ALL: [Self; 5] = [Self::Started, Self::Ready, Self::Exited, Self::Stopped, Self::Failed];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| {
            let words = Self::WORDS.replace('|', ", ");
            format!("`{text}` cannot be waited for; expected one of {words}")
        })
    }
}

/// What is asked about the gateway's keys, as HTTP has it. The gateway knows what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysOrder {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The key; `None`: all of them, or a new one.
    pub id: Option<String>,
    /// Whether it is not the key but its hash.
    pub hashed: bool,
    /// The session as JSON.
    pub body: Vec<u8>,
    /// Whether a quota goes on that would begin anew.
    pub go_on: bool,
}

/// A request that cannot be fulfilled, with HTTP's word for the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A status of HTTP: 400 and above.
    pub status: u16,
    /// A sentence.
    pub why: String,
}

impl Refused {
    /// A refusal.
    pub fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// A request on its way to the root, with the way back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ask {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes. Dropping it says that the wrapper is leaving.
    pub reply: oneshot::Sender<Result<Value, Refused>>,
}
