//! One supervised program under a restart policy: its config, the machine of its life, its actor.

pub mod actor;
pub mod config;
mod cron;
pub mod lifecycle;
pub mod messages;
pub mod orders;
mod policy;
mod probing;
mod reconfigure;
pub mod replicas;
mod run;
pub mod scalars;
pub mod schedule;
mod schedule_table;
mod scheduling;
pub mod standing;
mod state;
mod stop_command;
mod succession;
pub mod table;
pub mod tally;
pub mod why;
