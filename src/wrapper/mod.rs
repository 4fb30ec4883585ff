//! The running wrapper: the root of the tree and what it needs around it.
//!
//! # Theory of operation
//!
//! One thread carries all actors: the root, the EventBroker, the main process's actor, one actor
//! for each coprocess and each exec socket, the coordinator's and the control socket's. It hears of
//! signals as well. A second thread reads and writes all output; it only sends messages here, so nothing
//! an actor does can hold up the reading of a log, and no log destination can hold up an actor.
//!
//! Decisions are taken by pure machines ([`lifecycle`] here, `lifecycle` of a coprocess, `reload`
//! of the main process); actors carry their effects out. An event is worked off by the broker:
//! it gives one order after another and waits for the hold that goes with each to be dropped.

mod building;
mod cause;
mod children;
mod control;
mod finishing;
mod keys;
mod leaving;
pub mod lifecycle;
mod metrics;
mod news;
mod oom;
mod paths;
mod performing;
mod plan;
mod plugin;
mod reconfigure;
mod record;
mod replicas;
mod root;
mod run;
mod simulation;
mod sockets;
mod status;
mod stop;
mod tasks;
mod templates;
mod tokens;
mod wait;
mod why;
mod workers;

pub use cause::CAUSES;
pub use run::{Manner, run};
pub use simulation::scenario::{Delay, Habit, Happening, Length, Scenario};
pub use simulation::{COMMAND, End, Entry, FOREGROUND, Outcome, Run, simulate};

#[cfg(test)]
mod tests;
