//! What other threads ask of the output thread: a bounded queue of coproc's own lines, and commands.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::sync::{mpsc, oneshot};

use super::lanes::Book;
use super::tally::Shown;
use super::{Form, Level, LogLine, Record, Sink, Source};

/// The queue's own key in the epoll set; streams count from one.
pub(super) const QUEUE: u64 = 0;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// A stream that is in the epoll set already, under this key.
    Attach(u64, OwnedFd, Source),
    Reopen,
    Change(Level, Form, Option<NewSink>),
    History {
        names: Vec<Arc<str>>,
        count: usize,
        reply: oneshot::Sender<Vec<LogLine>>,
    },
    Follow {
        names: Vec<Arc<str>>,
        lines: mpsc::Sender<LogLine>,
    },
    /// How lines of processes are treated from now on, by name.
    Rules(Book),
    Finish(Instant),
}

/// Where lines go from now on.
pub(super) struct NewSink(pub(super) Box<dyn Sink>);

impl fmt::Debug for NewSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewSink")
    }
}

/// All that waited for the thread.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) records: VecDeque<Record>,
    /// Records that found the queue full.
    pub(super) lost: u64,
    pub(super) commands: Vec<Command>,
}

/// Filled by anyone, emptied by the output thread, which an eventfd wakes.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: OwnedFd,
    /// What the output thread waits on: the eventfd and every stream.
    epoll: OwnedFd,
    capacity: usize,
    pub(super) shown: Shown,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    /// The thread has been woken and has not looked yet.
    woken: bool,
    /// The thread is gone.
    closed: bool,
    /// How many streams there have been.
    streams: u64,
}

/// Why a stream is not read; the source comes back.
#[derive(Debug)]
pub(super) enum Refused {
    /// The thread is gone.
    Closed(Source),
    /// The descriptor cannot be waited on.
    Unreadable(Source, io::Error),
}

impl Queue {
    pub(super) fn new(capacity: usize) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered: each write wakes the thread once, and nobody has to read it back.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(QUEUE), flags)?;
        Ok(Self {
            state: Mutex::default(),
            wake,
            epoll,
            capacity: capacity.max(1),
            shown: Shown::default(),
        })
    }

    /// What to wait on.
    pub(super) fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Puts a stream into the epoll set, non-blocking. The thread is not woken for it: it learns of
    /// the stream when there is something to read, or when it looks at the queue anyhow.
    pub(super) fn attach(&self, stream: OwnedFd, source: Source) -> Result<(), Refused> {
        // Under the lock from start to end: who sees an event of the key finds the stream here.
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed(source));
        }
        let key = QUEUE + 1 + state.streams;
        let watched = fcntl_getfl(&stream)
            .and_then(|flags| fcntl_setfl(&stream, flags | OFlags::NONBLOCK))
            .and_then(|()| {
                let data = epoll::EventData::new_u64(key);
                epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)
            });
        if let Err(error) = watched {
            return Err(Refused::Unreadable(source, error.into()));
        }
        state.streams += 1;
        state.waiting.commands.push(Command::Attach(key, stream, source));
        Ok(())
    }

    /// Queues a line, or counts it as lost. Never waits for the destination.
    pub(super) fn record(&self, record: Record) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.waiting.records.len() < self.capacity {
            state.waiting.records.push_back(record);
        } else {
            state.waiting.lost += 1;
        }
        self.wake(state);
    }

    /// Queues a command; gives it back once the thread is gone.
    pub(super) fn command(&self, command: Command) -> Result<(), Command> {
        let mut state = self.lock();
        if state.closed {
            return Err(command);
        }
        state.waiting.commands.push(command);
        self.wake(state);
        Ok(())
    }

    /// Takes what waits; without coproc's own lines they wait on.
    pub(super) fn take(&self, lines: bool) -> Waiting {
        let mut state = self.lock();
        state.woken = false;
        if lines {
            return mem::take(&mut state.waiting);
        }
        Waiting { commands: mem::take(&mut state.waiting.commands), ..Waiting::default() }
    }

    /// Wakes the thread for what it knows of already.
    pub(super) fn nudge(&self) {
        // Fails only when the counter is full, after more wakes than a machine lives to see.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Takes what waits for the last time.
    pub(super) fn close(&self) -> Waiting {
        self.lock().closed = true;
        self.take(true)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let asleep = !mem::replace(&mut state.woken, true);
        // The thread wants the lock as soon as it is awake.
        drop(state);
        if asleep {
            self.nudge();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
