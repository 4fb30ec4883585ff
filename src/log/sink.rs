//! The end of all lines: shaped, gathered, and written in one go.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use coproc_core::output::{Level, Limits, Line, Output, OutputThread, Record, Sink};
use coproc_core::zone;

use super::aside::{Aside, KEPT};
use super::config::LogConfig;
use super::destination::Place;
use super::format::{Format, Surroundings};
use super::forward::{self, Figures, Forward};
use super::turns::Turns;
use super::writing::Writing;

/// So much is gathered before it is written, even within one batch.
const BATCH: usize = 64 * 1024;

/// A log that runs.
#[derive(Debug)]
pub struct Started {
    /// The way to it.
    pub output: Output,
    /// The thread that writes it.
    pub thread: OutputThread,
    /// How much went to each place that lines are forwarded to.
    pub forwarded: Vec<Arc<Figures>>,
}

/// Opens the log's destination and starts the thread that writes to it. `variable` looks up an
/// environment variable.
pub fn start(config: &LogConfig, variable: impl Fn(&str) -> Option<String>) -> io::Result<Started> {
    let sink = LogSink::open(config, variable)?;
    let forwarded = sink.forwards.iter().map(Forward::figures).collect();
    let (output, thread) = Output::start(Box::new(sink), config.limits())?;
    Ok(Started { output, thread, forwarded })
}

impl LogConfig {
    /// What bounds the output thread.
    pub fn limits(&self) -> Limits {
        let Self { level, form, max_line, history, queue, .. } = *self;
        Limits { level, form, max_line, history, queue }
    }
}

/// Shapes lines and writes them to the configured destination, on the thread that it is called on or,
/// once it has stepped aside, on one of its own.
#[derive(Debug)]
pub struct LogSink {
    format: Format,
    gathered: Vec<u8>,
    /// Lines of processes that do not wait, once there is a thread that they could wait for.
    turns: Turns,
    forwards: Vec<Forward>,
    /// None only while it changes, and at the end.
    hand: Option<Hand>,
}

/// Who writes.
#[derive(Debug)]
enum Hand {
    Here(Box<Writing>),
    Aside(Aside),
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
        let format = || Format::new(config.form, &config.options, &around);
        let forwards = config.forward.iter().map(Forward::start).collect::<io::Result<_>>()?;
        let writing = Box::new(Writing::new(format(), place));
        Ok(Self {
            format: format(),
            gathered: Vec::new(),
            turns: Turns::default(),
            forwards,
            hand: Some(Hand::Here(writing)),
        })
    }

    fn forward(&self, line: &Line<'_>) {
        for forward in &self.forwards {
            forward.line(line);
        }
    }

    /// Writes all that was kept back.
    fn drain(&mut self) {
        self.flush();
        while let Some(Hand::Aside(aside)) = &mut self.hand
            && !(self.gathered.is_empty() && self.turns.is_empty())
        {
            aside.wait();
            self.flush();
        }
    }

    /// Says in the log, and nowhere else, what is to be said of forwarding.
    fn say(&mut self, news: Vec<String>) {
        for sentence in news {
            let record = Record::new(Level::Warn, "log", sentence);
            self.format.line(&record.line(), &mut self.gathered);
        }
    }
}

impl Sink for LogSink {
    fn line(&mut self, line: &Line<'_>) {
        self.forward(line);
        self.format.line(line, &mut self.gathered);
        if self.gathered.len() >= BATCH {
            self.flush();
        }
    }

    fn line_of(&mut self, number: usize, line: &Line<'_>) {
        match &self.hand {
            Some(Hand::Aside(_)) => {
                self.forward(line);
                self.turns.push(number, |out| self.format.line(line, out));
                if self.turns.waiting(number) >= BATCH {
                    self.flush();
                }
            }
            _ => self.line(line),
        }
    }

    fn flush(&mut self) {
        let news = self.forwards.iter().flat_map(Forward::news).collect();
        self.say(news);
        if self.gathered.is_empty() && self.turns.is_empty() {
            return;
        }
        match &mut self.hand {
            Some(Hand::Here(writing)) => {
                writing.write(&self.gathered);
                self.gathered.clear();
                self.gathered.shrink_to(KEPT);
            }
            Some(Hand::Aside(aside)) => aside.write(|batch| {
                std::mem::swap(batch, &mut self.gathered);
                self.turns.take(batch);
            }),
            None => {}
        }
    }

    fn reopen(&mut self) {
        self.flush();
        match &mut self.hand {
            Some(Hand::Here(writing)) => writing.reopen(),
            Some(Hand::Aside(aside)) => aside.reopen(),
            None => {}
        }
    }

    fn step_aside(&mut self, written: Box<dyn Fn() + Send>) -> io::Result<()> {
        self.flush();
        let (hand, result) = match self.hand.take() {
            Some(Hand::Here(writing)) => match Aside::start(writing, written) {
                Ok(aside) => (Some(Hand::Aside(aside)), Ok(())),
                Err((writing, error)) => (Some(Hand::Here(writing)), Err(error)),
            },
            hand => (hand, Ok(())),
        };
        self.hand = hand;
        result
    }

    fn is_full(&self) -> bool {
        match &self.hand {
            Some(Hand::Aside(aside)) => self.gathered.len() >= BATCH && aside.was_busy(),
            _ => false,
        }
    }

    fn waiting(&self, number: usize) -> usize {
        self.turns.waiting(number)
    }

    fn finish(&mut self) {
        // What the log itself has is written first: a place that hangs may take all the time there is.
        self.drain();
        let news = forward::finish(std::mem::take(&mut self.forwards));
        self.say(news);
        self.drain();
        if let Some(Hand::Aside(aside)) = self.hand.take_if(|hand| matches!(hand, Hand::Aside(_))) {
            aside.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::config::{Destination, Options, TextOptions};
    use coproc_core::output::Form;
    use std::fs;
    use std::path::Path;

    fn config(path: &Path) -> LogConfig {
        LogConfig {
            level: Level::Info,
            destination: Destination::File(path.into()),
            form: Form::Text,
            options: Options {
                text: TextOptions { disable_timestamp: true, ..TextOptions::default() },
                ..Options::default()
            },
            max_line: 1000,
            history: 0,
            queue: 10,
            drain_timeout: std::time::Duration::from_secs(1),
            rotation: None,
            forward: Vec::new(),
        }
    }

    fn write(sink: &mut LogSink, text: &str) {
        sink.line(&Record::new(Level::Info, "test", text).line());
    }

    #[test]
    fn lines_are_gathered_and_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = LogSink::open(&config(&path), |_| None).unwrap();
        write(&mut sink, "one");
        write(&mut sink, "two");
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
        write(&mut sink, "one");
        write(&mut sink, "two");
        sink.flush();
        write(&mut sink, "three");
        sink.flush();
        // There is room again.
        fs::remove_file(&path).unwrap();
        sink.reopen();
        write(&mut sink, "four");
        write(&mut sink, "five");
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

    #[test]
    fn aside_nothing_waits_but_in_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open to both ends, so that neither opening waits for the other.
        let mut reader = fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut sink = LogSink::open(&config(&path), |_| None).unwrap();
        let (told, written) = std::sync::mpsc::channel();
        sink.step_aside(Box::new(move || told.send(()).unwrap_or(()))).unwrap();
        // Nobody reads: the first batch does not fit into the pipe, and the others wait.
        let long = "x".repeat(1000);
        for number in 0..1000 {
            sink.line_of(7, &Record::new(Level::Info, "noisy", format!("{number} {long}")).line());
            sink.flush();
        }
        assert!(sink.waiting(7) > 800_000 && !sink.is_full());
        while !sink.is_full() {
            write(&mut sink, &long);
        }
        write(&mut sink, "behind one batch of each");
        let ended = std::thread::spawn(move || {
            let mut text = String::new();
            let mut chunk = vec![0; 64 * 1024];
            while !(text.contains("noisy: 999 ") && text.ends_with('\n')) {
                let count = io::Read::read(&mut reader, &mut chunk).unwrap();
                text.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
            }
            text
        });
        while sink.is_full() {
            written.recv().unwrap();
            sink.flush();
        }
        write(&mut sink, "the end");
        sink.finish();
        let text = ended.join().unwrap();
        let noisy = text.lines().filter(|line| line.contains("noisy: ")).count();
        let after = |line: &str| text.find(line).unwrap();
        assert_eq!(noisy, 1000);
        assert!(after("noisy: 999 ") > after("test: behind one batch of each"), "in turns");
    }
}
