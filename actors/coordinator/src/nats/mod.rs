//! Tasks that coordinators share through a NATS server: a request for which nobody registered here
//! goes to one of the others that has a provider, and its response comes back.
//!
//! Each coordinator that has a provider for a task, or knows one that comes back, is in the task's queue
//! group. Whoever gets a request claims it from where it came from before any provider hears of it; a
//! claim is granted once in a round. Where whoever claimed it says that nothing runs, the others are
//! asked in further rounds, all at once. What nobody has claimed when its requester is told of a failure
//! is granted to nobody any more: so nothing runs twice, and what the client keeps back while the server
//! is away does not run late.

#[cfg(not(feature = "nats"))]
mod absent;
#[cfg(feature = "nats")]
mod away;
#[cfg(feature = "nats")]
mod claims;
pub mod config;
#[cfg(feature = "nats")]
mod folders;
#[cfg(feature = "nats")]
mod intake;
#[cfg(feature = "nats")]
mod offer;
#[cfg(feature = "nats")]
mod peers;
pub mod table;

use coproc_acomm::Url;

use crate::forward::Untaken;

#[cfg(not(feature = "nats"))]
pub(crate) use absent::{Peers, give_away, return_response, serve};
#[cfg(feature = "nats")]
pub(crate) use away::{give_away, return_response};
#[cfg(feature = "nats")]
pub(crate) use intake::serve;
#[cfg(feature = "nats")]
pub(crate) use peers::Peers;

/// The scheme of hooks that are other coordinators.
const SCHEME: &str = "nats";

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Whoever has a provider.
    Now,
    /// Whoever has one, or gets one back within the request's time, as these are known to.
    Later(Vec<String>),
}

/// Nobody took it.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    /// Why.
    pub(crate) untaken: Untaken,
    /// The coordinators that know a provider that comes back.
    pub(crate) later: Vec<String>,
}

impl From<Untaken> for Passed {
    fn from(untaken: Untaken) -> Self {
        Self { untaken, later: Vec::new() }
    }
}

/// Whether a hook is another coordinator.
pub(crate) fn is_shared(hook: &Url) -> bool {
    hook.scheme == SCHEME
}
