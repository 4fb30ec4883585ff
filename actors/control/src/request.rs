//! What a client can ask of a running wrapper, and what it is answered.

use actix::Message;
use coproc_core::signal::Signal;
use serde_json::Value;
use tokio::sync::oneshot;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What everything does.
    Status,
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
    /// By which name a process's lines are logged.
    LoggerOf(String),
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
    /// 400, 404, 409 or 503.
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
