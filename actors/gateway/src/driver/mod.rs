//! Drivers: what calls a plugin's hooks. The rest of the gateway knows this trait alone, so that a new way
//! to reach plugins is one more file beside this one.

mod admission;
mod attendant;
pub mod breaker;
mod figures;
pub mod grpc;
#[cfg(any(feature = "lua", feature = "native"))]
mod handling;
pub mod lua;
pub mod native;
pub mod python;
pub mod reply;
mod saying;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::object::Sent;
use crate::wire::{Event, Object};

pub use attendant::Attendant;
pub use figures::{BOUNDS, Figures};

/// The stack of a thread that hooks run on, in bytes: deeper than what Lua's own stack lets its functions call
/// each other through those of C.
pub const STACK: usize = 32 << 20;

/// Calls hooks.
pub trait Driver: Send + Sync + fmt::Debug {
    /// Runs a hook; `trace` are headers of a trace to pass on. Dropping the future gives the call up. Of what
    /// comes back, that which nobody heeds may be missing.
    fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>>;

    /// Delivers an event, at most once.
    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// Makes hooks anew from what has changed; calls that run end with the old ones.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>>;
}

/// One call of a hook.
#[derive(Debug)]
pub struct Call<'a> {
    /// What the hook is called with.
    pub object: Sent<'a>,
    /// When it is given up.
    pub deadline: Instant,
    /// `traceparent` and `tracestate` of the request, if it has them.
    pub trace: &'a [(&'static str, String)],
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin said no, with the code and words of its protocol.
    #[error("the plugin refused: {0}")]
    Refused(String),
    /// Nobody answers at the plugin's address.
    #[error("the plugin cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the plugin did not answer in time")]
    Late,
    /// Too many calls are waiting already, or it waited too long for its turn.
    #[error("too many calls are waiting for the plugin")]
    Busy,
    /// The plugin failed so often that it is left alone for a while.
    #[error("the plugin failed too often and is not asked for now")]
    Resting,
    /// The object or the answer is larger than allowed.
    #[error("a message is too large: {0}")]
    TooLarge(String),
    /// What came is no answer.
    #[error("the plugin's answer cannot be read: {0}")]
    Malformed(String),
}

impl Failure {
    /// The kinds of failure, by the names that metrics give them.
    pub const KINDS: [&'static str; 7] =
        ["refused", "unreachable", "late", "busy", "resting", "too_large", "malformed"];

    /// The place of this one among [`Failure::KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Refused(_) => 0,
            Self::Unreachable(_) => 1,
            Self::Late => 2,
            Self::Busy => 3,
            Self::Resting => 4,
            Self::TooLarge(_) => 5,
            Self::Malformed(_) => 6,
        }
    }
}

/// The drivers that this program is built with, by the names that APIs ask for.
pub const COMPILED: &[&str] = &[
    #[cfg(feature = "grpc")]
    "grpc",
    #[cfg(feature = "python")]
    "python",
    #[cfg(feature = "lua")]
    "lua",
    #[cfg(feature = "native")]
    "native",
];

/// The drivers that are loaded, by the names that APIs ask for.
#[derive(Clone, Debug, Default)]
pub struct Drivers(BTreeMap<&'static str, Arc<dyn Driver>>);

impl Drivers {
    /// All names that can be asked for.
    pub const NAMES: [&'static str; 4] = ["grpc", "python", "lua", "native"];

    /// Adds a driver, or takes the place of the one that has its name.
    pub fn load(&mut self, name: &'static str, driver: Arc<dyn Driver>) {
        self.0.insert(name, driver);
    }

    /// The driver of a name, if it is loaded.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.0.get(name).cloned()
    }
}
