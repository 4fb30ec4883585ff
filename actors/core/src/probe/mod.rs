//! Probes: how a process is asked whether it is ready, and whether it is still alive.
//!
//! One type serves both questions. A [`Probe`] is attached to a command before it is launched, since
//! some kinds need a pipe, a socket or an ear on its output; [`watch`] then runs as long as the
//! process and reports facts. What was last answered stands in [`Notes`].

mod attach;
mod check;
mod config;
mod notes;
mod notify;
mod table;
mod tally;
mod tap;
mod watch;

pub use attach::{Attached, attach};
pub use config::{Address, HttpTarget, Kind, Pattern, Probe, TcpAddress};
pub use notes::{Note, Notes};
pub use table::{ProbeTable, Role};
pub use watch::{Fact, Watch, watch};
