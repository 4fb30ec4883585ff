//! The log: the shape of a line and the place it goes to.

mod config;

pub use config::{Destination, Formatter, JsonOptions, LogConfig, Rotation, TextOptions};
