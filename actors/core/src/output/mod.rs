//! What children and coproc itself write: one thread reads it, splits it into lines and hands them on.
//!
//! [`Output`] is the handle that every part keeps, [`Sink`] the place the lines go to. The thread
//! waits without a timeout, so an idle wrapper is never woken; a slow sink stops the reading, the
//! pipes fill, and the children wait instead of the memory growing. Where a process is not to wait but
//! to lose lines ([`Rules`]), the sink writes on a second thread.

mod bucket;
mod desk;
mod form;
mod handle;
mod lanes;
mod level;
mod line;
mod lines;
mod memory;
mod nginx;
mod queue;
mod reader;
mod recognise;
mod ring;
mod rules;
mod source;
pub mod table;
mod tally;

pub use form::Form;
pub use handle::{Limits, Output, OutputThread};
pub use level::Level;
pub use line::{Line, LogLine, Part, Record, Sink};
pub use lines::{Piece, Splitter};
pub use nginx::{Head, Prefix, head, prefix};
pub use recognise::recognise;
pub use rules::{OnFull, Rate, Rules};
pub use source::{Kind, Source, Stream, Tap};
pub use tally::{Dropped, Tally};
