//! The log: the shape of a line and the place it goes to.

mod config;
pub mod table;

pub use config::{Destination, Formatter, JsonOptions, LogConfig, Rotation, TextOptions};
