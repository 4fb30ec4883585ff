//! What children and coproc itself write: one thread reads it, splits it into lines and hands them on.
//!
//! [`Output`] is the handle that every part keeps, [`Sink`] the place the lines go to. The thread
//! waits without a timeout, so an idle wrapper is never woken; a slow sink stops the reading, the
//! pipes fill, and the children wait instead of the memory growing.

mod handle;
mod level;
mod line;
mod lines;
mod memory;
mod nginx;
mod queue;
mod reader;
mod recognise;
mod ring;
mod source;
mod tally;

pub use handle::{Limits, Output, OutputThread};
pub use level::Level;
pub use line::{Line, LogLine, Part, Record, Sink};
pub use lines::{Piece, Splitter};
pub use nginx::{Head, Prefix, head, prefix};
pub use recognise::recognise;
pub use source::{Kind, Source, Stream, Tap};
pub use tally::Tally;
