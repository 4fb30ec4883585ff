//! The coordinator: requests for tasks come in over HTTP and a Unix socket, go to a provider that is
//! found by its socket, and its response goes to where the requester wants it.
//!
//! Requests never pass through the actor: threads of their own serve them.

// What only coordinators that share need.
#![cfg_attr(not(feature = "nats"), allow(dead_code))]

pub mod actor;
mod admission;
pub mod allow;
mod awaited;
mod check;
pub mod config;
pub mod directory;
mod door;
pub mod exec_task;
mod figures;
mod forward;
mod gate;
mod hook;
mod http_client;
mod http_server;
pub mod nats;
mod oneshot;
mod random;
pub mod requester;
pub mod router;
mod seldom;
mod serve;
mod server;
mod shared;
mod shown;
mod stream;
pub mod table;
pub mod tracker;
mod unix;
pub mod unix_hooks;

pub use figures::Snapshot;
pub use server::{Bound, OpenError};
