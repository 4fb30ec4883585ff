//! Offers tasks to a coordinator.
//!
//! A provider is a program with a socket for each task that it offers, in the task's folder below the
//! folder of sockets: `SOCKET_DIR/TASK/PRIORITY-NAME.sock`. That the socket is there is all there is
//! to registration. Requests come on it and are acked at once; the handler runs then, beside others,
//! and what comes of it goes to the request's hook.
//!
//! ```no_run
#![doc = include_str!("../examples/greeter.rs")]
//! ```
//!
//! Handlers are asynchronous functions on tokio; one that computes for long belongs on
//! [`tokio::task::spawn_blocking`]. What goes wrong on the way is told as events of `tracing`.

mod caller;
mod calls;
mod config;
mod error;
mod exchange;
mod provider;
mod request;
mod socket;
mod stream;

pub use caller::{Call, Caller, Reply};
pub use calls::{Calls, Duplicate};
pub use config::{Config, TaskConfig};
pub use coproc_acomm::Url;
pub use error::{CallError, Error};
pub use provider::Provider;
pub use request::{Answer, ArgsError, Request};
pub use serde_json::{Value, json};
pub use socket::{is_served, remove_stale};
pub use stream::{Offer, fetch};
