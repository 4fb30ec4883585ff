//! The log: the shape of a line and the place it goes to.

mod aside;
mod config;
mod destination;
mod events;
mod format;
mod forward;
mod go_time;
mod level;
mod sink;
pub mod table;
mod turns;
mod writing;

pub use config::{
    Collector, Destination, ForwardConfig, JsonOptions, LogConfig, Options, Rotation, Target,
    TextOptions, Way,
};
pub use events::Events;
pub use format::{Format, Surroundings};
pub use forward::Figures;
pub use sink::{LogSink, Started, start};
