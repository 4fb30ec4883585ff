//! The end of all lines: shaped, gathered, and written in one go.

use std::io::{self, Write};
use std::time::SystemTime;

use coproc_core::output::{Level, Limits, Line, Output, OutputThread, Record, Sink};

use super::config::LogConfig;
use super::destination::{Place, Unwritten};
use super::format::{Format, Surroundings};
use coproc_core::zone;

/// So much is gathered before it is written, even within one batch.
const BATCH: usize = 64 * 1024;

/// What a sudden burst may leave behind in memory.
const KEPT: usize = 2 * BATCH;

/// Opens the log's destination and starts the thread that writes to it. `variable` looks up an
/// environment variable.
pub fn start(
    config: &LogConfig,
    variable: impl Fn(&str) -> Option<String>,
) -> io::Result<(Output, OutputThread)> {
    Output::start(Box::new(LogSink::open(config, variable)?), config.limits())
}

impl LogConfig {
    /// What bounds the output thread.
    pub fn limits(&self) -> Limits {
        let Self { level, max_line, history, queue, .. } = *self;
        Limits { level, max_line, history, queue }
    }
}

/// Writes lines to the configured destination in the configured shape.
///
/// A destination that is slow holds the writer up. One that fails (a full disk, a pipe whose
/// reader has gone) does not: the children's work counts for more than its traces. The lines are
/// counted as lost, standard error is told once, and the log itself says how many are missing as
/// soon as it can be written again.
#[derive(Debug)]
pub struct LogSink {
    format: Format,
    place: Place,
    buffer: Vec<u8>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    lost: u64,
    error: String,
}

impl LogSink {
    /// Opens the destination.
    pub fn open(config: &LogConfig, variable: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let place = Place::open(&config.destination, config.rotation)?;
        let around = Surroundings {
            terminal: place.is_terminal(),
            zone: zone::local(variable("TZ").as_deref()),
            start: SystemTime::now(),
            clicolor: variable("CLICOLOR"),
            clicolor_force: variable("CLICOLOR_FORCE"),
        };
        let format = Format::new(&config.formatter, &around);
        Ok(Self { format, place, buffer: Vec::new(), trouble: None })
    }

    fn own(&mut self, level: Level, message: String, out: &mut Vec<u8>) {
        self.format.line(&Record::new(level, "log", message).line(), out);
    }

    /// Writes `buffer`, after a word on lines that were lost before.
    fn write(&mut self, buffer: &[u8]) {
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
        self.own(Level::Error, message, &mut with_word);
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

impl Sink for LogSink {
    fn line(&mut self, line: &Line<'_>) {
        self.format.line(line, &mut self.buffer);
        if self.buffer.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
        buffer.clear();
        buffer.shrink_to(KEPT);
        self.buffer = buffer;
        if let Some(notice) = self.place.notice() {
            let mut word = Vec::new();
            self.own(Level::Error, notice, &mut word);
            self.write(&word);
        }
    }

    fn reopen(&mut self) {
        self.flush();
        self.place.reopen();
        if let Some(notice) = self.place.notice() {
            let mut word = Vec::new();
            self.own(Level::Error, notice, &mut word);
            self.buffer.append(&mut word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::config::{Destination, Formatter, TextOptions};
    use std::fs;
    use std::path::Path;

    fn config(path: &Path) -> LogConfig {
        LogConfig {
            level: Level::Info,
            destination: Destination::File(path.into()),
            formatter: Formatter::Text(TextOptions {
                disable_timestamp: true,
                ..TextOptions::default()
            }),
            max_line: 1000,
            history: 0,
            queue: 10,
            drain_timeout: std::time::Duration::from_secs(1),
            rotation: None,
        }
    }

    fn say(sink: &mut LogSink, text: &str) {
        sink.line(&Record::new(Level::Info, "test", text).line());
    }

    #[test]
    fn lines_are_gathered_and_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = LogSink::open(&config(&path), |_| None).unwrap();
        say(&mut sink, "one");
        say(&mut sink, "two");
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        sink.flush();
        let expected = "level=info msg=\"test: one\"\nlevel=info msg=\"test: two\"\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn lost_lines_are_counted_and_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut sink = LogSink::open(&config(&path), |_| None).unwrap();
        say(&mut sink, "one");
        say(&mut sink, "two");
        sink.flush();
        say(&mut sink, "three");
        sink.flush();
        // There is room again.
        fs::remove_file(&path).unwrap();
        sink.reopen();
        say(&mut sink, "four");
        say(&mut sink, "five");
        sink.flush();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("level=error msg=\"log: 3 lines were lost: No space left"));
        assert_eq!(lines[1..], ["level=info msg=\"test: four\"", "level=info msg=\"test: five\""]);
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        let mut sink = LogSink::open(&config(&below.join("log")), |_| None).unwrap();
        let moved = folder.path().join("moved");
        fs::rename(&below, &moved).unwrap();
        sink.reopen();
        sink.flush();
        let text = fs::read_to_string(moved.join("log")).unwrap();
        assert!(text.contains("cannot be opened anew"), "{text}");
    }
}
