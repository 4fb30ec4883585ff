//! Bytes on their way to the destination, and the count of those lines that it did not take.

use std::io::{self, Write};

use coproc_core::output::{Level, Record};

use super::destination::{Place, Unwritten};
use super::format::Format;

/// Writes shaped lines to the destination.
///
/// A destination that is slow holds the writer up. One that fails (a full disk, a pipe whose
/// reader has gone) does not: the children's work counts for more than its traces. The lines are
/// counted as lost, standard error is told once, and the log itself says how many are missing as
/// soon as it can be written again.
#[derive(Debug)]
pub(super) struct Writing {
    /// Shapes what it has to say itself, and knows where a line ends.
    format: Format,
    place: Place,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    lost: u64,
    error: String,
}

impl Writing {
    pub(super) fn new(format: Format, place: Place) -> Self {
        Self { format, place, trouble: None }
    }

    /// Writes lines, and what the place has to say of itself.
    pub(super) fn write(&mut self, lines: &[u8]) {
        self.put(lines);
        self.notice();
    }

    /// Opens the destination anew.
    pub(super) fn reopen(&mut self) {
        self.place.reopen();
        self.notice();
    }

    fn notice(&mut self) {
        if let Some(notice) = self.place.notice() {
            let mut word = Vec::new();
            self.own(notice, &mut word);
            self.put(&word);
        }
    }

    fn own(&mut self, message: String, out: &mut Vec<u8>) {
        self.format.line(&Record::new(Level::Error, "log", message).line(), out);
    }

    /// Writes `buffer`, after a word on lines that were lost before.
    fn put(&mut self, buffer: &[u8]) {
        let Some(mut trouble) = self.trouble.take() else {
            if let Err(unwritten) = self.place.write(buffer) {
                let lost = self.format.count(&buffer[unwritten.written..]);
                self.say(&unwritten);
                self.trouble = Some(Trouble { lost, error: unwritten.error.to_string() });
            }
            return;
        };
        let lines = if trouble.lost == 1 { "line was" } else { "lines were" };
        let message = format!("{} {lines} lost: {}", trouble.lost, trouble.error);
        let mut with_word = Vec::new();
        self.own(message, &mut with_word);
        let word = with_word.len();
        with_word.extend_from_slice(buffer);
        if let Err(Unwritten { written, error }) = self.place.write(&with_word) {
            if written >= word {
                trouble.lost = 0;
            }
            trouble.lost += self.format.count(&with_word[written.max(word)..]);
            trouble.error = error.to_string();
            self.trouble = Some(trouble);
        }
    }

    /// Tells standard error that the log is failing.
    fn say(&self, unwritten: &Unwritten) {
        if !self.place.is_stderr() {
            let error = &unwritten.error;
            // There is no one left to tell if this fails too.
            let _ = writeln!(
                io::stderr(),
                "coproc: the log cannot be written to {}: {error}; lines are lost until it can",
                self.place
            );
        }
    }
}
