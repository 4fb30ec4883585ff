//! The main process: its start, its events, its reload and its stop.

pub mod actor;
pub mod config;
pub mod foreground;
pub mod nginx;
mod probing;
pub mod reload;
pub mod table;
mod tap;
pub mod time;
pub mod version;
pub mod workers;
