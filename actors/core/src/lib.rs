//! What every actor of coproc needs: supervision of actors, the event broker, processes and
//! their output, and the small value types that the config is made of.
//!
//! Nothing in here knows the command line, the config files or any sibling crate.

pub mod accounts;
pub mod alarm;
pub mod broker;
pub mod count;
pub mod duration;
pub mod event;
pub mod exit;
pub mod flag;
pub mod mode;
pub mod name;
pub mod output;
pub mod peers;
pub mod port;
pub mod probe;
pub mod process;
pub mod refusal;
pub mod regular;
pub mod scalar;
pub mod scope;
pub mod service;
pub mod signal;
pub mod socket;
pub mod supervision;
pub mod text;
pub mod threads;
pub mod watched;
pub mod words;
pub mod world;
pub mod zone;
