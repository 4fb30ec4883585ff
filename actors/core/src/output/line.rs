//! A line on its way to the log, and the sink it ends in.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Form, Level, Stream};

/// One line, or one piece of a line that is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was read, or said.
    pub time: SystemTime,
    /// The child's name, or coproc's part.
    pub logger: &'a str,
    /// The child's stream; none for a line of coproc itself.
    pub stream: Option<Stream>,
    /// How grave it is.
    pub level: Level,
    /// The text without its newline. It need not be UTF-8.
    pub text: &'a [u8],
    /// Which piece of the line this is.
    pub part: Part,
    /// The form that its process asks for; none is the log's own.
    pub form: Option<Form>,
}

impl Line<'_> {
    /// A copy to keep, under a name that is its logger's. `missed` as [`LogLine::missed`].
    pub fn kept(&self, logger: Arc<str>, missed: u64) -> LogLine {
        LogLine {
            time: self.time,
            logger,
            stream: self.stream,
            level: self.level,
            text: self.text.into(),
            part: self.part,
            missed,
        }
    }
}

/// Which piece of a line a [`Line`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The beginning of a line that was too long.
    Begin,
    /// Neither beginning nor end.
    Middle,
    /// The end.
    End,
}

impl Part {
    /// The part that has the line's first byte, its last byte, both or neither.
    pub fn new(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Self::Whole,
            (true, false) => Self::Begin,
            (false, false) => Self::Middle,
            (false, true) => Self::End,
        }
    }

    /// The word that marks the piece in the log; a whole line has none.
    pub fn mark(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Begin => Some("begin"),
            Self::Middle => Some("middle"),
            Self::End => Some("end"),
        }
    }
}

/// A line of coproc itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was said.
    pub time: SystemTime,
    /// How grave it is.
    pub level: Level,
    /// The part of coproc that says it.
    pub logger: Cow<'static, str>,
    /// What it says.
    pub message: String,
}

impl Record {
    /// A record of this moment.
    pub fn new(
        level: Level,
        logger: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { time: SystemTime::now(), level, logger: logger.into(), message: message.into() }
    }

    /// The record as the sink sees it.
    pub fn line(&self) -> Line<'_> {
        Line {
            time: self.time,
            logger: &self.logger,
            stream: None,
            level: self.level,
            text: self.message.as_bytes(),
            part: Part::Whole,
            form: None,
        }
    }
}

/// A line that was kept, or that a follower receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read, or said.
    pub time: SystemTime,
    /// The child's name, or coproc's part.
    pub logger: Arc<str>,
    /// The child's stream; none for a line of coproc itself.
    pub stream: Option<Stream>,
    /// How grave it is.
    pub level: Level,
    /// The text without its newline.
    pub text: Box<[u8]>,
    /// Which piece of the line this is.
    pub part: Part,
    /// How many lines before this one the follower was too slow for.
    pub missed: u64,
}

impl LogLine {
    /// The line as a sink or a formatter takes it.
    pub fn line(&self) -> Line<'_> {
        Line {
            time: self.time,
            logger: &self.logger,
            stream: self.stream,
            level: self.level,
            text: &self.text,
            part: self.part,
            form: None,
        }
    }
}

/// Where lines go. All calls come from the one output thread.
pub trait Sink: Send {
    /// Takes a line; it may be kept back until [`Sink::flush`].
    fn line(&mut self, line: &Line<'_>);

    /// Takes a line of a process that does not wait for the destination. Lines of one number are
    /// kept apart from all others and written in turns with them.
    fn line_of(&mut self, number: usize, line: &Line<'_>) {
        let _ = number;
        self.line(line);
    }

    /// Writes what was kept back, in one write if the destination takes it. Blocks as long as the
    /// destination does, unless the sink has stepped aside.
    fn flush(&mut self);

    /// Opens the destination anew.
    fn reopen(&mut self);

    /// Writes on a thread of its own from now on, and calls `written` each time that all it was
    /// given is written.
    ///
    /// # Errors
    /// When there is no thread to be had; it goes on as before.
    fn step_aside(&mut self, written: Box<dyn Fn() + Send>) -> io::Result<()> {
        let _ = written;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Should lines wait that can? Never before it has stepped aside.
    fn is_full(&self) -> bool {
        false
    }

    /// How many bytes of the lines of this number are kept back.
    fn waiting(&self, number: usize) -> usize {
        let _ = number;
        0
    }

    /// Writes all that was kept back, and waits for it.
    fn finish(&mut self) {
        self.flush();
    }
}
