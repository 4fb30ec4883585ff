//! The output thread: reads every child's pipes side by side and hands their lines to the sink.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::memory::{Memory, Place};
use super::queue::{Command, NewSink, QUEUE, Queue, Waiting};
use super::{
    Kind, Level, Limits, Line, Part, Piece, Record, Sink, Source, Splitter, Tally, nginx, recognise,
};

/// One buffer serves all streams: a hundred idle children cost no memory for reading.
const BUFFER: usize = 64 * 1024;

/// As many streams get a turn between two looks at the queue.
const EVENTS: usize = 64;

/// What may at most wait in one pipe when time is up; who writes on meanwhile is not waited for.
const LAST_READ: usize = 1024 * 1024;

/// The thread's state.
pub(super) struct Reader {
    queue: Arc<Queue>,
    streams: HashMap<u64, Open>,
    max_line: usize,
    buffer: Box<[u8]>,
    desk: Desk,
    /// When to stop, once asked to.
    deadline: Option<Instant>,
}

/// An attached stream.
struct Open {
    fd: OwnedFd,
    lines: Splitter,
    source: Source,
    place: Place,
    /// The level of the line whose pieces are coming.
    level: Level,
}

/// Where lines are handed on.
struct Desk {
    sink: Box<dyn Sink>,
    memory: Memory,
    level: Level,
    /// How many lines children wrote so far.
    lines: u64,
    /// How many of coproc's own were dropped so far.
    dropped: u64,
}

impl Reader {
    pub(super) fn new(queue: Arc<Queue>, sink: Box<dyn Sink>, limits: &Limits) -> Self {
        Self {
            queue,
            streams: HashMap::new(),
            max_line: limits.max_line,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            desk: Desk {
                sink,
                memory: Memory::new(limits.history),
                level: limits.level,
                lines: 0,
                dropped: 0,
            },
            deadline: None,
        }
    }

    /// Reads until it is told to finish.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while let Some(timeout) = self.timeout() {
            match epoll::wait(self.queue.epoll(), spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Only a broken program gets here, and the children's lines must not stay unread
                // in silence.
                Err(error) => {
                    let message = format!("the output can no longer be read: {error}");
                    self.desk.own(&Record::new(Level::Fatal, "log", message));
                    break;
                }
            }
            for event in events.drain(..) {
                // Copied out: the event is packed.
                match { event.data }.u64() {
                    QUEUE => self.serve(),
                    key => self.read(key),
                }
            }
            self.desk.sink.flush();
            self.queue.shown.show(self.desk.tally());
        }
        self.end();
    }

    /// How long to wait for the next event, or none when the work is done.
    fn timeout(&self) -> Option<Option<Timespec>> {
        let Some(deadline) = self.deadline else { return Some(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if self.streams.is_empty() || left.is_zero() {
            return None;
        }
        Some(Timespec::try_from(left).ok())
    }

    /// Writes coproc's own lines and does what was asked.
    fn serve(&mut self) {
        let waiting = self.queue.take();
        self.desk.waiting(&waiting);
        for command in waiting.commands {
            match command {
                Command::Attach(key, fd, source) => self.open(key, fd, source),
                Command::Reopen => self.desk.sink.reopen(),
                Command::Change(level, sink) => {
                    self.desk.level = level;
                    if let Some(NewSink(sink)) = sink {
                        self.desk.sink.flush();
                        self.desk.sink = sink;
                    }
                }
                // Nobody waits any more if a reply cannot be sent.
                Command::History { name, count, reply } => {
                    let _ = reply.send(self.desk.memory.last(name.as_deref(), count));
                }
                Command::Follow { name, lines } => self.desk.memory.follow(name, lines),
                Command::Finish(deadline) => self.deadline = Some(deadline),
            }
        }
    }

    fn open(&mut self, key: u64, fd: OwnedFd, source: Source) {
        let place = self.desk.memory.place(&source.name);
        let lines = Splitter::new(self.max_line);
        self.streams.insert(key, Open { fd, lines, source, place, level: Level::Info });
    }

    /// One read of one stream: each that is ready gets its turn, however much another writes.
    fn read(&mut self, key: u64) {
        if !self.streams.contains_key(&key) {
            // It was attached since the queue was last looked at.
            self.serve();
        }
        let Some(open) = self.streams.get_mut(&key) else { return };
        match open.read(&mut self.buffer, &mut self.desk) {
            Ok(0) => self.close(key),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => {
                let (stream, name) = (open.source.stream, open.source.name.clone());
                let message = format!("{stream} of {name} cannot be read any further: {error}");
                self.desk.own(&Record::new(Level::Error, "log", message));
                self.close(key);
            }
        }
    }

    fn close(&mut self, key: u64) {
        if let Some(mut open) = self.streams.remove(&key) {
            open.finish(&mut self.desk);
            // A copy of the descriptor elsewhere would keep it in the set.
            let _ = epoll::delete(self.queue.epoll(), &open.fd);
        }
    }

    /// Takes what the pipes still hold and leaves.
    fn end(mut self) {
        for (_, mut open) in std::mem::take(&mut self.streams) {
            let mut taken = 0;
            while taken < LAST_READ {
                match open.read(&mut self.buffer, &mut self.desk) {
                    Ok(0) => break,
                    Ok(count) => taken += count,
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
            open.finish(&mut self.desk);
        }
        self.serve_last();
        self.desk.sink.flush();
    }

    /// Nothing may be asked after this, and who asked just before is not left waiting.
    fn serve_last(&mut self) {
        let waiting = self.queue.close();
        self.desk.waiting(&waiting);
        for command in waiting.commands {
            if let Command::Attach(_, _, source) = command
                && let Some(mut tap) = source.tap
            {
                tap.closed();
            }
        }
    }
}

impl Open {
    /// Reads once and hands on the lines; the number of bytes, zero at the end.
    fn read(&mut self, buffer: &mut [u8], desk: &mut Desk) -> Result<usize, Errno> {
        let count = rustix::io::read(&self.fd, &mut *buffer)?;
        let Self { lines, source, place, level, .. } = self;
        let now = SystemTime::now();
        lines.feed(&buffer[..count], |piece| desk.piece(now, source, *place, level, piece));
        Ok(count)
    }

    /// Hands on what no newline ended, and tells the tap.
    fn finish(&mut self, desk: &mut Desk) {
        let Self { lines, source, place, level, .. } = self;
        let now = SystemTime::now();
        lines.finish(|piece| desk.piece(now, source, *place, level, piece));
        if let Some(tap) = &mut source.tap {
            tap.closed();
        }
    }
}

impl Desk {
    fn piece(
        &mut self,
        time: SystemTime,
        source: &mut Source,
        place: Place,
        level: &mut Level,
        piece: Piece<'_>,
    ) {
        let mut text = piece.bytes;
        if piece.first {
            self.lines += 1;
            if let Some(tap) = &mut source.tap {
                tap.line(text);
            }
            let head = match source.kind {
                Kind::Nginx => nginx::head(text),
                Kind::Plain | Kind::Aside => None,
            };
            *level = match (head, source.kind) {
                (Some(head), _) => {
                    text = head.message;
                    head.level
                }
                (None, Kind::Aside) => Level::Debug,
                (None, _) => recognise(text).unwrap_or(Level::Info),
            };
        }
        let part = Part::new(piece.first, piece.last);
        // A blank line has nothing to say beside a time and a name.
        if *level < self.level || (text.is_empty() && part == Part::Whole) {
            return;
        }
        let stream = Some(source.stream);
        let line = Line { time, logger: &source.name, stream, level: *level, text, part };
        self.memory.line(Some(place), &line);
        self.sink.line(&line);
    }

    /// coproc's own lines that waited, and how many could not.
    fn waiting(&mut self, waiting: &Waiting) {
        for record in &waiting.records {
            self.own(record);
        }
        self.dropped += waiting.lost;
        if waiting.lost > 0 {
            let lines = if waiting.lost == 1 { "line" } else { "lines" };
            let message = format!("{} {lines} of coproc dropped: the log is slow", waiting.lost);
            self.own(&Record::new(Level::Warn, "log", message));
        }
    }

    fn tally(&self) -> Tally {
        Tally { lines: self.lines, missed: self.memory.missed(), dropped: self.dropped }
    }

    fn own(&mut self, record: &Record) {
        if record.level >= self.level {
            let line = record.line();
            self.memory.line(None, &line);
            self.sink.line(&line);
        }
    }
}
