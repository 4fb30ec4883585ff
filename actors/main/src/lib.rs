//! The main process: its start, its events, its reload and its stop.
pub mod config;
pub mod table;
pub mod version;
