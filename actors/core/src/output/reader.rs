//! The output thread: reads every child's pipes side by side and hands their lines to the sink.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::desk::{Desk, Origin};
use super::lanes::Course;
use super::memory::Place;
use super::queue::{Command, NewSink, QUEUE, Queue};
use super::{Level, Limits, Record, Sink, Source, Splitter};

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
    /// Streams that are not listened to until the sink takes more.
    held: Vec<u64>,
    /// Streams that are not listened to until a time, counted from `began` on.
    resting: Vec<(Duration, u64)>,
    /// coproc's own lines are left in the queue until the sink takes more.
    behind: bool,
}

/// An attached stream.
struct Open {
    fd: OwnedFd,
    lines: Splitter,
    source: Source,
    place: Place,
    /// The level of the line whose pieces are coming.
    level: Level,
    /// The line whose pieces are coming is being dropped.
    dropping: bool,
}

impl Reader {
    pub(super) fn new(queue: Arc<Queue>, sink: Box<dyn Sink>, limits: &Limits) -> Self {
        Self {
            queue,
            streams: HashMap::new(),
            max_line: limits.max_line,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            desk: Desk::new(sink, limits),
            deadline: None,
            held: Vec::new(),
            resting: Vec::new(),
            behind: false,
        }
    }

    /// Reads until it is told to finish, and then as long as there is something to read.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while let Some(timeout) = self.timeout() {
            match epoll::wait(self.queue.epoll(), spare_capacity(&mut events), timeout.as_ref()) {
                // All that was written before the end lies in the pipes, and they are empty.
                Ok(0) if self.deadline.is_some() && self.held.is_empty() => break,
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
            self.desk.say_dropped(false);
            self.desk.sink.flush();
            self.resume();
            self.show();
        }
        self.end();
    }

    fn show(&mut self) {
        self.queue.shown.show(self.desk.tally());
        if let Some(sums) = self.desk.lanes.sums() {
            self.queue.shown.show_dropped(sums);
        }
    }

    /// How long to wait for the next event, or none when the work is done.
    fn timeout(&self) -> Option<Option<Timespec>> {
        if let Some(deadline) = self.deadline {
            let over = deadline.saturating_duration_since(Instant::now()).is_zero();
            if over || self.streams.is_empty() {
                return None;
            }
            if self.held.is_empty() {
                return Some(Some(Timespec::default()));
            }
        }
        let rested = self.resting.iter().map(|(until, _)| *until).min();
        // What would not be taken is not said either.
        let said = self.desk.lanes.due().filter(|_| !self.desk.sink.is_full());
        let next = [rested, said].into_iter().flatten().min().map(|time| self.desk.began + time);
        let next = [next, self.deadline].into_iter().flatten().min();
        Some(next.and_then(|next| {
            Timespec::try_from(next.saturating_duration_since(Instant::now())).ok()
        }))
    }

    /// Writes coproc's own lines and does what was asked.
    fn serve(&mut self) {
        self.behind = self.desk.sink.is_full();
        let waiting = self.queue.take(!self.behind);
        self.desk.waiting(&waiting);
        for command in waiting.commands {
            match command {
                Command::Attach(key, fd, source) => self.open(key, fd, source),
                Command::Reopen => self.desk.sink.reopen(),
                Command::Change(level, form, sink) => {
                    self.desk.change(level, form, sink.map(|NewSink(sink)| sink));
                    self.step_aside();
                }
                // Nobody waits any more if a reply cannot be sent.
                Command::History { names, count, reply } => {
                    let _ = reply.send(self.desk.memory.last(&names, count));
                }
                Command::Follow { names, lines } => self.desk.memory.follow(names, lines),
                Command::Rules(book) => {
                    self.desk.lanes.rule(book);
                    self.step_aside();
                }
                Command::Finish(deadline) => self.deadline = Some(deadline),
            }
        }
    }

    fn open(&mut self, key: u64, fd: OwnedFd, source: Source) {
        let place = self.desk.memory.place(&source.name);
        let lines = Splitter::new(self.max_line);
        self.desk.lanes.open(place.at(), &source.name);
        let level = Level::Info;
        self.streams.insert(key, Open { fd, lines, source, place, level, dropping: false });
        self.step_aside();
    }

    /// A process that does not wait for the destination is read on while that is stuck, which takes
    /// a second thread.
    fn step_aside(&mut self) {
        if self.desk.aside || !self.desk.lanes.any_drops() {
            return;
        }
        self.desk.aside = true;
        let queue = self.queue.clone();
        if let Err(error) = self.desk.sink.step_aside(Box::new(move || queue.nudge())) {
            let message = format!("no thread for the log: {error}; who drops lines waits instead");
            self.desk.own(&Record::new(Level::Error, "log", message));
        }
    }

    /// One read of one stream: each that is ready gets its turn, however much another writes.
    fn read(&mut self, key: u64) {
        if !self.streams.contains_key(&key) {
            // It was attached since the queue was last looked at.
            self.serve();
        }
        let Some(open) = self.streams.get_mut(&key) else { return };
        let course = self.desk.lanes.course(open.place.at());
        if course != Course::Dropping && self.desk.sink.is_full() {
            let _ = epoll::delete(self.queue.epoll(), &open.fd);
            self.held.push(key);
            return;
        }
        // The end waits for nobody's pace.
        if course == Course::Paced && self.deadline.is_none() {
            let now = self.desk.began.elapsed();
            let rest = self.desk.lanes.rest(open.place.at(), now);
            if !rest.is_zero() {
                let _ = epoll::delete(self.queue.epoll(), &open.fd);
                self.resting.push((now + rest, key));
                return;
            }
        }
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

    /// Listens again to the streams that may be read again.
    fn resume(&mut self) {
        if self.desk.sink.is_full() {
            return;
        }
        if self.behind {
            self.serve();
            self.desk.sink.flush();
        }
        let mut ready = std::mem::take(&mut self.held);
        if !self.resting.is_empty() {
            let now = self.desk.began.elapsed();
            let all = self.deadline.is_some();
            self.resting.retain(|(until, key)| {
                let rests = *until > now && !all;
                if !rests {
                    ready.push(*key);
                }
                rests
            });
        }
        for key in ready {
            let Some(open) = self.streams.get(&key) else { continue };
            let data = epoll::EventData::new_u64(key);
            if let Err(error) =
                epoll::add(self.queue.epoll(), &open.fd, data, epoll::EventFlags::IN)
            {
                let (stream, name) = (open.source.stream, &open.source.name);
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
        self.desk.say_dropped(true);
        self.desk.sink.finish();
        self.show();
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
        let Self { lines, source, place, level, dropping, .. } = self;
        let mut from = Origin { now: SystemTime::now(), source, place: *place, level, dropping };
        lines.feed(&buffer[..count], |piece| desk.piece(&mut from, piece));
        Ok(count)
    }

    /// Hands on what no newline ended, and tells the tap.
    fn finish(&mut self, desk: &mut Desk) {
        let Self { lines, source, place, level, dropping, .. } = self;
        let mut from = Origin { now: SystemTime::now(), source, place: *place, level, dropping };
        lines.finish(|piece| desk.piece(&mut from, piece));
        if let Some(tap) = &mut source.tap {
            tap.closed();
        }
    }
}
