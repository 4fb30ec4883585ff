//! What children and coproc itself write: one thread reads it, splits it into lines and hands them on.

mod level;

pub use level::Level;
