//! A thread that writes while the output thread goes on reading.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use super::writing::Writing;

/// The name of the thread, as `ps -L` shows it.
const THREAD: &str = "coproc-log";

/// What a sudden burst may leave behind of a batch in memory, in bytes.
pub(super) const KEPT: usize = 128 * 1024;

/// The thread, and what it was given.
#[derive(Debug)]
pub(super) struct Aside {
    orders: Sender<Order>,
    /// Batches that are written, to be filled again.
    written: Receiver<Vec<u8>>,
    /// A batch is being written: the next one waits until it is.
    busy: bool,
    spare: Vec<u8>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Write(Vec<u8>),
    Reopen,
}

impl Aside {
    /// Starts the thread, which calls `told` after each batch. Without one the writing comes back.
    pub(super) fn start(
        writing: Box<Writing>,
        told: Box<dyn Fn() + Send>,
    ) -> Result<Self, (Box<Writing>, io::Error)> {
        let (orders, inbox) = channel();
        let (done, written) = channel();
        // Handed over once there is a thread: one that cannot be started would take it along.
        let (give, take) = channel::<Box<Writing>>();
        let builder = thread::Builder::new().name(THREAD.into());
        let started = builder.spawn(move || {
            let Ok(mut writing) = take.recv() else { return };
            for order in inbox {
                match order {
                    Order::Write(batch) => {
                        writing.write(&batch);
                        // Nobody fills it again once the log has ended.
                        let _ = done.send(batch);
                        told();
                    }
                    Order::Reopen => writing.reopen(),
                }
            }
        });
        match started {
            Ok(thread) => match give.send(writing) {
                Ok(()) => Ok(Self { orders, written, busy: false, spare: Vec::new(), thread }),
                Err(back) => Err((back.0, io::ErrorKind::BrokenPipe.into())),
            },
            Err(error) => Err((writing, error)),
        }
    }

    /// Is it still writing what it was given last?
    fn is_busy(&mut self) -> bool {
        match self.written.try_recv() {
            Ok(batch) => self.take_back(batch),
            // The thread is gone: what it is given is lost, and nobody waits for it.
            Err(TryRecvError::Disconnected) => self.busy = false,
            Err(TryRecvError::Empty) => {}
        }
        self.busy
    }

    /// Was it still writing when it was to write last?
    pub(super) fn was_busy(&self) -> bool {
        self.busy
    }

    /// Has it write what `fill` puts into a batch, unless it is writing still.
    pub(super) fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.is_busy() {
            return;
        }
        let mut batch = std::mem::take(&mut self.spare);
        fill(&mut batch);
        // A thread that is gone takes nothing.
        self.busy = self.orders.send(Order::Write(batch)).is_ok();
    }

    /// Has it open the destination anew, after what it was given.
    pub(super) fn reopen(&self) {
        let _ = self.orders.send(Order::Reopen);
    }

    /// Waits until all is written.
    pub(super) fn wait(&mut self) {
        if self.busy {
            match self.written.recv() {
                Ok(batch) => self.take_back(batch),
                Err(_) => self.busy = false,
            }
        }
    }

    /// Waits until all is written, and for the end of the thread.
    pub(super) fn end(mut self) {
        self.wait();
        drop(self.orders);
        // A panic has been told of.
        let _ = self.thread.join();
    }

    fn take_back(&mut self, mut batch: Vec<u8>) {
        batch.clear();
        batch.shrink_to(KEPT);
        self.spare = batch;
        self.busy = false;
    }
}
