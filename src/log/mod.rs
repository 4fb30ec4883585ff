//! The log: the shape of a line and the place it goes to.

mod aside;
mod config;
mod destination;
mod events;
mod format;
mod go_time;
mod sink;
pub mod table;
mod turns;
mod writing;
mod zone;

pub use config::{Destination, JsonOptions, LogConfig, Options, Rotation, TextOptions};
pub use events::Events;
pub use format::{Format, Surroundings};
pub use sink::{LogSink, start};
