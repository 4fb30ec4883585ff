//! Where a line comes from: the child, its stream, and who listens in.

use std::fmt;
use std::sync::Arc;

/// One of a child's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// The word in a JSON line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a child's lines are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Lines stay whole.
    #[default]
    Plain,
    /// nginx's own head is taken off: the log has a time and a level of its own.
    Nginx,
    /// What is said beside the matter, again and again: every line is of level debug.
    Aside,
}

/// A stream of a child.
pub struct Source {
    /// The child's name, which is the logger of its lines.
    pub name: Arc<str>,
    /// Which of its streams.
    pub stream: Stream,
    /// How its lines are to be read.
    pub kind: Kind,
    /// Who sees each line first.
    pub tap: Option<Box<dyn Tap>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("stream", &self.stream)
            .field("kind", &self.kind)
            .field("tap", &self.tap.is_some())
            .finish()
    }
}

/// One who sees the lines of a stream before they are written. It runs on the output thread, so it
/// must neither block nor panic: it picks out facts and sends them on.
pub trait Tap: Send {
    /// A line as the child wrote it, without its newline. Of a line that is longer than the limit
    /// only the first piece is shown, so that no later part of it can pass for a line.
    fn line(&mut self, line: &[u8]);

    /// The stream has ended. Called once, after the last line.
    fn closed(&mut self);
}
