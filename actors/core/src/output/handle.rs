//! The handle that every part keeps, and the one that ends the output.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::queue::{Command, NewSink, Queue, Refused};
use super::reader::Reader;
use super::{Dropped, Form, Level, LogLine, Record, Rules, Sink, Source, Tally};

/// The name of the thread, as `ps -L` shows it.
const THREAD: &str = "coproc-output";

/// How many lines may wait for one who follows them.
const FOLLOWER: usize = 1024;

/// How long after its deadline the thread may need for the last write.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// What bounds the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines below it are neither written nor kept.
    pub level: Level,
    /// The form of lines whose process has none of its own.
    pub form: Form,
    /// The longest piece of a line, in bytes.
    pub max_line: usize,
    /// How many bytes of each child's lines are kept to look back on.
    pub history: usize,
    /// How many of coproc's own lines may wait.
    pub queue: usize,
}

/// The way to the log. Cheap to clone, and no call waits for a destination.
#[derive(Clone, Debug)]
pub struct Output {
    queue: Arc<Queue>,
    /// The same for all copies.
    level: Arc<AtomicU8>,
}

/// The thread that reads and writes. Dropping this leaves it running; [`OutputThread::finish`]
/// ends it.
#[derive(Debug)]
pub struct OutputThread {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
    done: Receiver<()>,
}

impl Output {
    /// Starts the thread; its lines go to `sink`.
    pub fn start(sink: Box<dyn Sink>, limits: Limits) -> io::Result<(Self, OutputThread)> {
        let queue = Arc::new(Queue::new(limits.queue)?);
        let reader = Reader::new(queue.clone(), sink, &limits);
        let (sender, done) = channel();
        let thread = thread::Builder::new().name(THREAD.into()).spawn(move || {
            reader.run();
            // Nobody waits if `finish` has given up.
            let _ = sender.send(());
        })?;
        let level = Arc::new(AtomicU8::new(limits.level as u8));
        let output = Self { queue: queue.clone(), level };
        Ok((output, OutputThread { queue, thread, done }))
    }

    /// One that nothing comes of, as after the end of its thread: for a tree whose programs are imagined.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn nowhere() -> io::Result<Self> {
        let queue = Arc::new(Queue::new(1)?);
        queue.close();
        Ok(Self { queue, level: Arc::new(AtomicU8::new(Level::Fatal as u8)) })
    }

    /// Reads `stream`, the reading end of a pipe, until its end. It is made non-blocking. If it
    /// cannot be read, or the thread has finished, it is closed at once and the tap told so.
    pub fn attach(&self, stream: OwnedFd, source: Source) {
        let source = match self.queue.attach(stream, source) {
            Ok(()) => return,
            Err(Refused::Closed(source)) => source,
            Err(Refused::Unreadable(source, error)) => {
                let why = format!("{} of {} cannot be read: {error}", source.stream, source.name);
                self.own(Record::new(Level::Error, "log", why));
                source
            }
        };
        if let Some(mut tap) = source.tap {
            tap.closed();
        }
    }

    /// Is a line of this level written?
    pub fn enabled(&self, level: Level) -> bool {
        level >= self.level()
    }

    /// The level below which lines are not written.
    pub fn level(&self) -> Level {
        let number = usize::from(self.level.load(Ordering::Relaxed));
        Level::ALL.get(number).copied().unwrap_or(Level::Info)
    }

    /// From now on lines below this level are not written, this is the form of lines whose process has
    /// none of its own, and with a sink all lines go there.
    pub fn change(&self, level: Level, form: Form, sink: Option<Box<dyn Sink>>) {
        self.level.store(level as u8, Ordering::Relaxed);
        // Without the thread nothing is written any more.
        let _ = self.queue.command(Command::Change(level, form, sink.map(NewSink)));
    }

    /// Writes a line of coproc itself. If too many wait for a slow destination it is dropped, and
    /// the log says how many were.
    pub fn own(&self, record: Record) {
        if self.enabled(record.level) {
            self.queue.record(record);
        }
    }

    /// How much went through so far.
    pub fn tally(&self) -> Tally {
        self.queue.shown.read()
    }

    /// Sets the rules of processes by name, those of all others aside: from the next line on they
    /// are treated by these.
    pub fn rules(&self, rules: impl IntoIterator<Item = (Arc<str>, Rules)>) {
        // Without the thread nothing is treated.
        let _ = self.queue.command(Command::Rules(rules.into_iter().collect()));
    }

    /// How many lines of each process were dropped by its rules, where any were.
    pub fn dropped(&self) -> Dropped {
        self.queue.shown.dropped()
    }

    /// Opens the destination anew.
    pub fn reopen(&self) {
        // Without the thread there is nothing to open.
        let _ = self.queue.command(Command::Reopen);
    }

    /// The last `count` lines of these children together, oldest first; where none is named, of all and of
    /// coproc itself. The channel closes without an answer once the thread has finished.
    pub fn history(&self, names: &[Arc<str>], count: usize) -> oneshot::Receiver<Vec<LogLine>> {
        let (reply, lines) = oneshot::channel();
        let names = names.to_vec();
        // The channel's end says what is to be said.
        let _ = self.queue.command(Command::History { names, count, reply });
        lines
    }

    /// The lines of these children, or all where none is named, from now on, until the receiver is dropped. One
    /// who is slow misses lines, and the next line tells how many.
    pub fn follow(&self, names: &[Arc<str>]) -> mpsc::Receiver<LogLine> {
        let (sender, lines) = mpsc::channel(FOLLOWER);
        // The channel's end says what is to be said.
        let _ = self.queue.command(Command::Follow { names: names.to_vec(), lines: sender });
        lines
    }
}

impl OutputThread {
    /// Takes what the pipes hold, in so far as the destination takes it by the deadline, writes it all and
    /// ends the thread. No stream's end is waited for: what has ended has written all that it will, and
    /// what it left behind may hold its pipe for ever. False if the destination did not take it in time: the
    /// thread is then left behind.
    pub fn finish(self, deadline: Instant) -> bool {
        // A thread that is gone already has told so.
        let _ = self.queue.command(Command::Finish(deadline));
        let left = deadline.saturating_duration_since(Instant::now());
        match self.done.recv_timeout(left + LAST_WRITE) {
            Ok(()) => self.thread.join().is_ok(),
            Err(_) => false,
        }
    }
}
