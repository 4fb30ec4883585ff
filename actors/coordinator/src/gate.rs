//! One way in: who comes is served in a task of its own, so many at a time; further ones wait.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_acomm::unix::Link;
use coproc_core::process::watch;
use coproc_core::threads::Stop;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::seldom::Seldom;
use crate::shared::Shared;

/// How long nothing is accepted after the system had no room for a connection.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// A listener of either kind.
pub(crate) trait Door: Send + 'static {
    type Stream: Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A Unix listener whose clients are not made known to the event loop at once.
pub(crate) struct Unix {
    socket: AsyncFd<OwnedFd>,
    shared: Arc<Shared>,
}

impl Unix {
    /// One that is listening.
    pub(crate) fn new(socket: OwnedFd, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self { socket: watch(socket, Interest::READABLE)?, shared })
    }
}

impl Door for Unix {
    type Stream = Link;

    async fn next(&self) -> io::Result<Link> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accept = |socket: &OwnedFd| Ok(accept_with(socket, flags)?);
        loop {
            let client = self.socket.async_io(Interest::READABLE, accept).await?;
            if self.shared.admission.admits(client.as_fd()) {
                return Ok(Link::new(client.into()));
            }
        }
    }
}

impl Door for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

/// One way in: who comes is served in a task of its own, so many at a time.
pub(crate) struct Gate {
    name: &'static str,
    seats: Arc<Semaphore>,
    all: u32,
    stop: watch::Receiver<Stop>,
    accepting: Option<tokio::task::JoinHandle<()>>,
}

impl Gate {
    pub(crate) fn new(name: &'static str, seats: usize, stop: watch::Receiver<Stop>) -> Self {
        let all = u32::try_from(seats).unwrap_or(u32::MAX);
        Self { name, seats: Arc::new(Semaphore::new(seats)), all, stop, accepting: None }
    }

    pub(crate) fn open<D, C, F, W>(&mut self, door: D, close: C, serve: F)
    where
        D: Door + Sync,
        C: FnOnce() + Send + 'static,
        F: Fn(D::Stream, watch::Receiver<Stop>) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let (seats, mut stop) = (self.seats.clone(), self.stop.clone());
        let mut troubles = Troubles::new(self.name, self.all);
        self.accepting = Some(tokio::spawn(async move {
            let seated = |stream: D::Stream, seat: OwnedSemaphorePermit, stop| {
                let served = serve(stream, stop);
                tokio::spawn(async move {
                    served.await;
                    drop(seat);
                });
            };
            loop {
                let stopped = stop.clone();
                let accepted = tokio::select! {
                    told = stop.wait_for(|stop| *stop != Stop::Not) => match told.as_deref() {
                        Ok(Stop::Now | Stop::Left) => return,
                        _ => break,
                    },
                    accepted = accept(&door, &seats, &mut troubles) => accepted,
                };
                match accepted {
                    Some((stream, seat)) => seated(stream, seat, stopped),
                    None => return,
                }
            }
            close();
            // Who came before the door closed is served.
            while let Ok(Ok(stream)) = tokio::time::timeout(Duration::ZERO, door.next()).await {
                let Ok(seat) = seats.clone().acquire_owned().await else { return };
                seated(stream, seat, stop.clone());
            }
        }));
    }

    /// Resolves when nobody is accepted any more and the last connection has ended.
    pub(crate) async fn closed(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
        let _ = self.seats.acquire_many(self.all).await;
    }
}

/// What keeps clients from being accepted at once, told now and then.
struct Troubles {
    gate: &'static str,
    seats: u32,
    full: Seldom,
    failed: Seldom,
}

impl Troubles {
    fn new(gate: &'static str, seats: u32) -> Self {
        Self { gate, seats, full: Seldom::default(), failed: Seldom::default() }
    }

    fn full(&mut self) {
        if self.full.count(Instant::now()).is_some() {
            tracing::warn!(
                target: "coordinator",
                "{} serves {} connections; further ones wait (max_clients)",
                self.gate,
                self.seats
            );
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if self.failed.count(Instant::now()).is_some() {
            tracing::warn!(target: "coordinator", "{} cannot accept: {error}", self.gate);
        }
    }
}

/// The next client, once there is a seat for it.
async fn accept<D: Door>(
    door: &D,
    seats: &Arc<Semaphore>,
    troubles: &mut Troubles,
) -> Option<(D::Stream, OwnedSemaphorePermit)> {
    let seat = match seats.clone().try_acquire_owned() {
        Ok(seat) => seat,
        Err(_) => {
            troubles.full();
            seats.clone().acquire_owned().await.ok()?
        }
    };
    loop {
        match door.next().await {
            Ok(stream) => return Some((stream, seat)),
            Err(error) => {
                troubles.failed(&error);
                // Out of descriptors: others have to be closed first.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Resolves a moment after the order to stop came: who has sent nothing by then will not.
pub(crate) async fn stopped(mut stop: watch::Receiver<Stop>) {
    let _ = stop.wait_for(|stop| *stop != Stop::Not).await;
    tokio::time::sleep(PAUSE).await;
}
