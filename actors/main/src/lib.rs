//! The main process: its start, its events, its reload and its stop.
pub mod config;
