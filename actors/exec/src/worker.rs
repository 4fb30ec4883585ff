//! One thread that serves: it accepts connections, drives them, and sees to what they leave behind.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use coproc_core::peers::Peer;
use coproc_core::process::{Remains, watch as watch_fd};
use coproc_core::threads::Stop;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, SocketFlags, accept_with, recv, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection::Connection;
use crate::figures::{Full, add, count};
use crate::protocol::{Frame, Request};
use crate::server::{Happened, Served};

/// How much is read from a client at a time.
const SCRATCH: usize = 64 << 10;
/// How long what a program started may at most take to leave its group after it has ended.
const AFTERCARE: Duration = Duration::from_millis(100);
/// How long it may at least take: whoever is past this when another's time is over goes with it, so
/// that many short runs do not wake the thread for each.
const LEAST_AFTERCARE: Duration = Duration::from_millis(50);
/// How long a client that was answered may go on sending.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a thread waits that cannot accept.
const BREATH: Duration = Duration::from_millis(100);

/// What the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) served: Arc<Served>,
    /// Who is told of runs, if anybody listens.
    pub(crate) events: Option<mpsc::Sender<Happened>>,
    /// Where a client's bytes are read to.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// Where output is read to.
    pub(crate) frame: RefCell<Frame>,
    aftercare: RefCell<VecDeque<(Instant, Remains)>>,
    /// There is something in `aftercare` again.
    died: Notify,
    orders: RefCell<HashMap<u64, Rc<Orders>>>,
    /// No connection is left.
    idle: Notify,
    next: Cell<u64>,
    farewells: Cell<u32>,
    /// The last connection was refused for want of a place.
    full: Cell<bool>,
    stop: Cell<Stop>,
}

/// The way from a thread to one of its connections.
#[derive(Default)]
pub(crate) struct Orders {
    stop: Cell<Option<Stop>>,
    waker: RefCell<Option<Waker>>,
}

impl Orders {
    /// An order that was not heeded yet.
    pub(crate) fn take(&self) -> Option<Stop> {
        self.stop.take()
    }

    /// Who is to be woken by the next.
    pub(crate) fn listen(&self, waker: &Waker) {
        let mut heard = self.waker.borrow_mut();
        if heard.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *heard = Some(waker.clone());
        }
    }

    fn give(&self, stop: Stop) {
        self.stop.set(Some(stop));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Worker {
    pub(crate) fn new(served: Arc<Served>, events: Option<mpsc::Sender<Happened>>) -> Rc<Self> {
        Rc::new(Self {
            served,
            events,
            scratch: RefCell::new(vec![0; SCRATCH]),
            frame: RefCell::default(),
            aftercare: RefCell::default(),
            died: Notify::new(),
            orders: RefCell::default(),
            idle: Notify::new(),
            next: Cell::new(0),
            farewells: Cell::new(0),
            full: Cell::new(false),
            stop: Cell::new(Stop::Not),
        })
    }

    /// Serves until it is told to stop and the last connection is over.
    pub(crate) async fn run(self: Rc<Self>, socket: OwnedFd, mut stop: watch::Receiver<Stop>) {
        let aftercare = tokio::task::spawn_local(self.clone().care());
        let socket = match watch_fd(socket, Interest::READABLE) {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(target: "exec", "cannot listen: {error}"),
        };
        tokio::select! {
            () = self.clone().accept(&socket) => {}
            _ = stop.wait_for(|stop| *stop != Stop::Not) => {}
        }
        drop(socket);
        while !self.orders.borrow().is_empty() {
            // A server that is gone without a word leaves nobody to wait for.
            let now =
                if stop.has_changed().is_err() { Stop::Now } else { *stop.borrow_and_update() };
            if self.stop.replace(now) != now {
                let all: Vec<_> = self.orders.borrow().values().cloned().collect();
                all.iter().for_each(|orders| orders.give(now));
            }
            tokio::select! {
                () = self.idle.notified() => {}
                _ = stop.changed(), if now < Stop::Now => {}
            }
        }
        aftercare.abort();
        self.aftercare.borrow_mut().clear();
    }

    /// Takes connections until the listener is shut.
    async fn accept(self: Rc<Self>, socket: &AsyncFd<OwnedFd>) {
        loop {
            let Ok(mut guard) = socket.readable().await else { return };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match accept_with(socket, flags) {
                Ok(client) => {
                    self.clone().admit(client);
                    // The connection begins before another is taken, and other threads get theirs.
                    tokio::task::yield_now().await;
                }
                // The listener was shut: it stays readable, and nobody comes.
                Err(Errno::AGAIN) if guard.ready().is_read_closed() => return,
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => {
                    tracing::warn!(target: "exec", "{}: cannot accept: {error}", self.served.name());
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn admit(self: Rc<Self>, client: OwnedFd) {
        let served = &self.served;
        count(&served.figures.accepted);
        let peer = Peer::of(client.as_fd());
        if served.peers.as_ref().is_some_and(|peers| !peers.include(peer, client.as_fd())) {
            count(&served.figures.refused);
            tracing::warn!(
                target: "exec", "{}: uid {} and gid {} may not connect", served.name(), peer.uid, peer.gid
            );
            return;
        }
        let share = served.config.max_connections_per_user;
        let permit = match served.figures.admit(served.max_connections, peer.uid, share) {
            Ok(permit) => permit,
            Err(full) => {
                count(&served.figures.refused);
                // Once for each time that it is full.
                if !self.full.replace(true) {
                    let (name, full) = (
                        served.name(),
                        match full {
                            Full::All(now) => format!("{now} are served already"),
                            Full::User { uid, most } => format!("uid {uid} has {most} already"),
                        },
                    );
                    tracing::warn!(target: "exec", "{name}: connections are refused: {full}");
                }
                return;
            }
        };
        self.full.set(false);
        let id = self.next.get();
        self.next.set(id + 1);
        let orders = Rc::new(Orders::default());
        self.orders.borrow_mut().insert(id, orders.clone());
        let leave = Leave { worker: self.clone(), id };
        let connection = Connection::new(self, client, permit, orders, (peer.pid, peer.uid));
        tokio::task::spawn_local(async move {
            let _leave = leave;
            connection.run().await;
        });
    }

    /// Keeps the number of a group a moment longer.
    pub(crate) fn care_for(&self, remains: Remains) {
        let mut all = self.aftercare.borrow_mut();
        if all.is_empty() {
            self.died.notify_one();
        }
        all.push_back((Instant::now() + AFTERCARE, remains));
    }

    async fn care(self: Rc<Self>) {
        loop {
            let first = self.aftercare.borrow().front().map(|(at, _)| *at);
            match first {
                Some(at) => sleep_until(at).await,
                None => self.died.notified().await,
            }
            let soon = Instant::now() + (AFTERCARE - LEAST_AFTERCARE);
            let mut all = self.aftercare.borrow_mut();
            while all.front().is_some_and(|(at, _)| *at <= soon) {
                all.pop_front();
            }
        }
    }

    /// Ends a connection whose last byte was sent. A client that is still sending, as one whose end
    /// mark is on its way, reads the end at once, and may send a moment longer without an error.
    pub(crate) fn part(self: &Rc<Self>, client: OwnedFd, request: Option<Request>) {
        let most = self.served.farewells;
        if self.stop.get() != Stop::Not || self.farewells.get() >= most {
            return;
        }
        if shutdown(&client, Shutdown::Write).is_err() {
            return;
        }
        let Ok(client) = watch_fd(client, Interest::READABLE) else { return };
        self.farewells.set(self.farewells.get() + 1);
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            let _ = timeout(FAREWELL, worker.hear_out(&client, request)).await;
            worker.farewells.set(worker.farewells.get() - 1);
        });
    }

    /// Reads to the end mark, if one is still awaited, or to the end.
    async fn hear_out(&self, client: &AsyncFd<OwnedFd>, mut request: Option<Request>) {
        loop {
            let Ok(mut guard) = client.readable().await else { return };
            let read = {
                let mut scratch = self.scratch.borrow_mut();
                let read = recv(client, &mut scratch[..], RecvFlags::DONTWAIT);
                if let (Ok((read, _)), Some(request)) = (&read, &mut request) {
                    let mut bytes = &scratch[..*read];
                    while matches!(request.next(&mut bytes), Ok(Some(_))) {}
                }
                read
            };
            match read {
                Ok((0, _)) => return,
                Ok((read, _)) => {
                    add(&self.served.figures.bytes_in, read);
                    if request.as_ref().is_some_and(Request::has_ended) {
                        return;
                    }
                    // One that never stops is not to stop the others.
                    tokio::task::yield_now().await;
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Strikes a connection off when its task ends, however it ends.
struct Leave {
    worker: Rc<Worker>,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut orders = self.worker.orders.borrow_mut();
        orders.remove(&self.id);
        if orders.is_empty() {
            self.worker.idle.notify_one();
        }
    }
}

/// Serves on this thread until it is told to stop.
pub(crate) fn work(
    served: Arc<Served>,
    socket: OwnedFd,
    events: Option<mpsc::Sender<Happened>>,
    stop: watch::Receiver<Stop>,
) -> io::Result<()> {
    // Its tasks stay on this thread, and wake each other without a system call.
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let worker = Worker::new(served, events);
    runtime.block_on(worker.run(socket, stop));
    Ok(())
}
