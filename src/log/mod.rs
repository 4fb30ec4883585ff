//! The log: the shape of a line and the place it goes to.

mod config;
mod destination;
mod events;
mod format;
mod go_time;
mod sink;
pub mod table;

pub use config::{Destination, Formatter, JsonOptions, LogConfig, Rotation, TextOptions};
pub use events::Events;
pub use format::{Format, Surroundings};
pub use sink::{LogSink, start};
