//! What other threads ask of the output thread: a bounded queue of coproc's own lines, and commands.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::{mpsc, oneshot};

use super::tally::Shown;
use super::{LogLine, Record, Source};

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Attach(OwnedFd, Source),
    Reopen,
    History { name: Option<String>, count: usize, reply: oneshot::Sender<Vec<LogLine>> },
    Follow { name: Option<Arc<str>>, lines: mpsc::Sender<LogLine> },
    Finish(Instant),
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
}

impl Queue {
    pub(super) fn new(capacity: usize) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            state: Mutex::default(),
            wake,
            capacity: capacity.max(1),
            shown: Shown::default(),
        })
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

    /// Takes what waits.
    pub(super) fn take(&self) -> Waiting {
        let mut state = self.lock();
        if mem::take(&mut state.woken) {
            // Cannot fail in a way that matters: the counter is above zero, and reading clears it.
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        }
        mem::take(&mut state.waiting)
    }

    /// Takes what waits for the last time.
    pub(super) fn close(&self) -> Waiting {
        self.lock().closed = true;
        self.take()
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if !mem::replace(&mut state.woken, true) {
            // Fails only when the counter is full, and then the thread is awake.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
