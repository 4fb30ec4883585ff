//! One supervised program under a restart policy: its config, the machine of its life, its actor.

pub mod actor;
pub mod config;
pub mod lifecycle;
mod policy;
mod probing;
pub mod scalars;
pub mod standing;
mod state;
pub mod table;
pub mod tally;
