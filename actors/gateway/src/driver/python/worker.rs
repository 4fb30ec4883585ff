//! One worker as the gateway sees it: a process that is connected, how much it has to do, and its lanes.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as Socket;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::BytesMut;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};

use super::codec::{self, Kind};
use super::lane::Lane;

/// Tells workers apart, those of all drivers.
static SERIAL: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The lanes of this thread, by the numbers of their workers.
    static LANES: RefCell<Vec<(u64, Arc<Lane>)>> = const { RefCell::new(Vec::new()) };
}

/// A worker.
#[derive(Debug)]
pub(super) struct Worker {
    /// The name of its coprocess.
    pub(super) name: String,
    /// Its process.
    pub(super) pid: i32,
    /// Which list of bundles it has read.
    pub(super) bundles: u64,
    serial: u64,
    /// Calls on their way to it and back.
    load: AtomicUsize,
    /// Nobody begins a call any more.
    leaving: AtomicBool,
    /// The last call of one that leaves has come back.
    idle: Notify,
    /// Calls that it is at and that take their time.
    pub(super) slow: AtomicUsize,
    /// How many frames came from it.
    pub(super) heard: AtomicU64,
    /// The connection that it made itself.
    control: Socket,
    lanes: Mutex<Vec<Weak<Lane>>>,
    gone: watch::Sender<bool>,
    /// The largest payload that is taken from it.
    max: usize,
}

/// A place of a call at a worker, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(pub(super) Arc<Worker>);

impl Drop for Seat {
    fn drop(&mut self) {
        let worker = &self.0;
        if worker.load.fetch_sub(1, Ordering::SeqCst) == 1 && worker.leaving.load(Ordering::SeqCst)
        {
            worker.idle.notify_one();
        }
    }
}

impl Worker {
    pub(super) fn new(name: String, pid: i32, bundles: u64, control: Socket, max: usize) -> Self {
        Self {
            name,
            pid,
            bundles,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            load: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            idle: Notify::new(),
            slow: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            control,
            lanes: Mutex::default(),
            gone: watch::channel(false).0,
            max,
        }
    }

    /// Calls on their way; `None` where none may begin.
    pub(super) fn load(&self) -> Option<usize> {
        (!self.leaving.load(Ordering::SeqCst)).then(|| self.load.load(Ordering::Relaxed))
    }

    /// Whether all of its threads are held by hooks that take their time.
    pub(super) fn is_full(&self, threads: usize) -> bool {
        self.slow.load(Ordering::Relaxed) >= threads
    }

    /// A place for one more call, unless it is leaving, or has not as many as were seen: who was chosen for
    /// its few calls by several at once is to be chosen by one.
    pub(super) fn seat(self: &Arc<Self>, seen: usize) -> Option<Seat> {
        self.load.compare_exchange(seen, seen + 1, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        // In this order: who makes it leave looks at the load after having said so.
        let seat = Seat(self.clone());
        (!self.leaving.load(Ordering::SeqCst)).then_some(seat)
    }

    /// Has no call begin any more.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Resolves when nothing is on its way to one that leaves.
    pub(super) async fn idle(&self) {
        while self.load.load(Ordering::SeqCst) > 0 {
            self.idle.notified().await;
        }
    }

    /// Its process is gone, or does as if it were.
    pub(super) fn mark_gone(&self) {
        self.leave();
        self.gone.send_replace(true);
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        for lane in lanes {
            if let Some(lane) = lane.upgrade() {
                lane.close();
            }
        }
    }

    /// Resolves when it is gone.
    pub(super) async fn gone(&self) {
        // It cannot fail: the sender is here.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Tells it to end.
    ///
    /// # Errors
    /// Where it does not read.
    pub(super) fn drain(&self) -> io::Result<()> {
        self.tell(Kind::Drain, &mut SendAncillaryBuffer::default())
    }

    /// The lane of this thread, made if it is not there. Within a runtime.
    ///
    /// # Errors
    /// Where there are no descriptors, or the worker does not read.
    pub(super) fn lane(self: &Arc<Self>) -> io::Result<Arc<Lane>> {
        let found = LANES.with_borrow(|lanes| {
            let own = lanes.iter().find(|(serial, _)| *serial == self.serial);
            own.map(|(_, lane)| lane.clone()).filter(|lane| !lane.is_closed())
        });
        if let Some(lane) = found {
            return Ok(lane);
        }
        let (here, there) = Socket::pair()?;
        here.set_nonblocking(true)?;
        let here = UnixStream::from_std(here)?;
        let descriptors = [there.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        self.tell(Kind::Lane, &mut ancillary)?;
        let lane = Arc::new(Lane::default());
        {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.retain(|lane| lane.strong_count() > 0);
            lanes.push(Arc::downgrade(&lane));
        }
        if *self.gone.borrow() {
            // It went meanwhile, and may not have seen this lane.
            lane.close();
        }
        tokio::spawn(lane.clone().run(self.clone(), here, self.max));
        LANES.with_borrow_mut(|lanes| {
            lanes.retain(|(_, lane)| !lane.is_closed());
            lanes.push((self.serial, lane.clone()));
        });
        Ok(lane)
    }

    fn tell(&self, kind: Kind, ancillary: &mut SendAncillaryBuffer<'_, '_, '_>) -> io::Result<()> {
        let mut frame = BytesMut::with_capacity(codec::HEAD);
        codec::put(&mut frame, 0, kind, &[]);
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&self.control, &[IoSlice::new(&frame)], ancillary, flags)? {
            // So few bytes go as a whole.
            codec::HEAD => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}
