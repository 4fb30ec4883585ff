//! The exec socket: programs that are run on demand over a Unix socket, without a shell.
//!
//! # Theory of operation
//!
//! One connection is one run. Its request is decoded by [`protocol`] on top of [`netstring`], its life
//! is decided by [`session`], all three without a clock or a descriptor. [`connection`] moves the bytes:
//! stdin, stdout and stderr are three flows of their own, so that none waits for another. Worker
//! threads share the listening socket; nothing of a run is a message between actors. The actor starts
//! the workers, ends them, and passes on the events that somebody subscribed to.
//!
//! [`client`] is the other side, with [`answer`] on top of the same [`netstring`].

mod actor;
mod alive;
mod allow;
pub mod allow_table;
pub mod answer;
pub mod arguments;
pub mod client;
pub mod config;
mod connection;
mod figures;
pub mod netstring;
pub mod protocol;
mod queue;
pub mod scalars;
mod server;
pub mod session;
mod spool;
mod stdin;
pub mod table;
mod timers;
mod worker;

pub use actor::{ExecActor, ExecService};
pub use figures::{Figures, Run, Snapshot};
pub use server::{Bound, OpenError};
