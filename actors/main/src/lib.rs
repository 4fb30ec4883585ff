//! The main process: its start, its events, its reload and its stop.

pub mod actor;
mod check;
pub mod config;
pub mod foreground;
pub mod messages;
pub mod nginx;
mod probing;
pub mod reload;
mod reloading;
mod running;
mod stopping;
mod successors;
pub mod surroundings;
pub mod table;
mod tap;
pub mod time;
pub mod version;
mod watching;
pub mod workers;
