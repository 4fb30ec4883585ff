//! The data plane: requests from a client's connection to an upstream's and back.
//!
//! # Theory of operation
//!
//! As many threads as there are processors share the listening sockets, each with a runtime and a pool of
//! upstream connections of its own. A connection stays on the thread that serves it, which is the one that
//! accepted it or one that serves fewer: nothing on a request's way is locked, and no task on another thread has to be woken. What all threads share are the
//! routes, which are swapped as a whole, and counters.
//!
//! hyper reads and writes both sides, but for exchanges with upstreams that are plain: a request without a body,
//! an answer whose length is told. The task of a client's connection lets the upstream's go on as well: nobody else
//! has to be woken for a response. A body is moved on frame by frame by the side that takes it, so that neither
//! outruns the other; only a step that wants a body whole has it read beforehand.

mod administer;
mod asked;
mod authorize;
mod body;
mod closing;
mod connection;
mod crew;
mod figures;
mod forward;
mod head;
mod held;
mod left;
mod link;
mod owed;
mod plain;
mod pool;
mod reached;
mod sniff;
mod stream;
mod timer;
mod trail;
mod tunnel;
mod upstream;
mod watch;
mod worker;

pub(crate) use crew::Crew;
pub(crate) use figures::Figures;
pub use figures::Snapshot;
pub(crate) use upstream::Origin;
pub(crate) use worker::work;
