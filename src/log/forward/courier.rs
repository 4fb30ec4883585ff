//! The thread of one place: takes batches, sends them, and tries again with growing pauses.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_core::output::LogLine;

use super::queue::Queue;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);

/// How a batch is sent.
pub(super) trait Transport: Send {
    /// How many lines make a batch, and how long it is gathered.
    fn batch(&self) -> (usize, Duration);

    /// Sends lines within a time; how many were, and what kept the others.
    fn send(&mut self, lines: &[LogLine], patience: Duration) -> (usize, Result<(), Failure>);
}

/// Why lines were not sent.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may go better later, at the earliest after this pause if one was asked for.
    Later(String, Option<Duration>),
    /// The place does not want this batch.
    Never(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string(), None)
    }
}

pub(super) struct Courier {
    queue: Arc<Queue>,
    transport: Box<dyn Transport>,
    /// Since when it has been failing.
    failing: Option<Instant>,
}

impl Courier {
    pub(super) fn new(queue: Arc<Queue>, transport: Box<dyn Transport>) -> Self {
        Self { queue, transport, failing: None }
    }

    /// Works until the queue is to end.
    pub(super) fn run(mut self) {
        let (most, gather) = self.transport.batch();
        while let Some(lines) = self.queue.take(most, gather) {
            self.deliver(&lines);
        }
        self.queue.ended();
    }

    fn deliver(&mut self, mut lines: &[LogLine]) {
        let mut pause = PAUSES.0;
        while !lines.is_empty() {
            let (sent, result) = self.transport.send(lines, self.queue.patience(CALL));
            self.queue.sent(sent);
            lines = &lines[sent..];
            match result {
                Ok(()) => {
                    if let Some(since) = self.failing.take() {
                        let time = since.elapsed().as_secs();
                        self.queue.say(format!("takes lines again after {time} s"));
                    }
                }
                Err(Failure::Never(why)) => {
                    self.queue.say(format!("refuses lines: {why}"));
                    self.queue.give_up();
                    return;
                }
                Err(Failure::Later(why, asked)) => {
                    if self.failing.is_none() {
                        self.failing = Some(Instant::now());
                        self.queue.say(format!("{why}; it is tried again"));
                    }
                    if !self.queue.pause(asked.map_or(pause, |asked| asked.min(PAUSES.1))) {
                        self.queue.give_up();
                        return;
                    }
                    pause = if sent > 0 { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
                }
            }
        }
    }
}
