//! Processes: how they are started, waited for and signalled. The only home of `unsafe` in this crate.
//!
//! A [`Command`] is prepared (its user looked up, its program found) and started by posix_spawn(3)
//! in a process group of its own. What posix_spawn cannot set is set by the stage: this very program,
//! started with a hidden first argument, that applies the settings and becomes the program. What was
//! started is a [`Leader`], whose end is learnt by pidfd: what is left of its group is ended, and only
//! then is it reaped. A supervised process has a keeper, a task that does so. Signals are sent only while the process is not reaped, so that no stranger
//! with a recycled number can be hit.
#![allow(unsafe_code)]

mod capability;
mod cgroup;
mod command;
mod context;
mod credentials;
mod descriptor;
mod error;
mod keeper;
mod launch;
mod launcher;
mod leader;
mod lookup;
mod memory;
mod oom;
mod peer;
mod report;
mod rights;
mod run;
pub mod secret;
mod sender;
mod setting;
pub mod stage;
pub mod table;

pub use capability::Capabilities;
pub use cgroup::Cgroup;
pub use command::{Command, Taps};
pub use context::{Context, Limit, Resource};
pub use credentials::identity;
pub use descriptor::{hung_up, watch};
pub(crate) use error::plain;
pub use error::{SpawnError, Step};
pub use keeper::{Gone, Process, Report};
pub use launch::{Piped, launch, seal_descriptors};
pub use launcher::Launcher;
pub use leader::{Leader, Remains};
pub use lookup::{Lookup, find_program};
pub use memory::give_large_memory_back;
pub use oom::{OF_HELPERS, OomAdjustment, OomScore};
pub use peer::peer_groups;
pub use report::StageReport;
pub use run::{Ended, run};
pub use sender::{in_group, name_senders, receive};
pub use setting::Setting;
