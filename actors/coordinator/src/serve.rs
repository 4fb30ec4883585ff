//! The life of the thread: it opens the doors to connections, lets deadlines pass, and closes the
//! doors in the order in which nothing is lost.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_acomm::Response;
use coproc_acomm::unix::Link;
use coproc_core::process::watch;
use coproc_core::threads::Stop;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::door::close;
use crate::hook::deliver;
use crate::http_server;
use crate::nats;
use crate::seldom::Seldom;
use crate::server::{Bound, Shared, Sockets};
use crate::tracker::Origin;
use crate::unix::{self, shown};

/// How long nothing is accepted after the system had no room for a connection.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Which part of `stop_timeout` is kept for telling those who wait that they wait in vain.
const TELLING: f64 = 0.2;
/// The most of it.
const LONGEST_TELLING: Duration = Duration::from_secs(2);

/// What a requester is told whose request nobody answered.
pub(crate) const TIMEOUT: &str = "response timeout";

/// Serves until it is told to stop, and until all that waits has its answer or `stop_timeout` is over.
pub(crate) async fn serve(
    bound: Bound,
    sockets: Sockets,
    mut stop: watch::Receiver<Stop>,
) -> io::Result<()> {
    let Bound { shared, doors } = bound;
    let (last, last_seen) = watch::channel(Stop::Not);
    let seats = shared.seats;
    let mut http = Entrance::new("the port", seats, stop.clone());
    let mut internal = Entrance::new("the socket of requests", seats, stop.clone());
    let mut response = Entrance::new("the socket of responses", seats, last_seen);
    if let Some(port) = sockets.port {
        let (shared, doors) = (shared.clone(), doors.clone());
        http.open(
            TcpListener::from_std(port)?,
            move || close(&doors.port),
            move |stream, stop| http_server::serve(shared.clone(), stream, stop),
        );
    }
    if let Some(socket) = sockets.internal {
        let door = Unix { socket: watch(socket, Interest::READABLE)?, shared: shared.clone() };
        let (shared, doors) = (shared.clone(), doors.clone());
        internal.open(
            door,
            move || close(&doors.internal),
            move |stream, stop| unix::request(shared.clone(), stream, stop),
        );
    }
    if let Some(socket) = sockets.response {
        let door = Unix { socket: watch(socket, Interest::READABLE)?, shared: shared.clone() };
        let (shared, doors) = (shared.clone(), doors.clone());
        response.open(
            door,
            move || close(&doors.response),
            move |stream, stop| unix::response(shared.clone(), stream, stop),
        );
    }
    tokio::spawn(expire(shared.clone()));
    let sharing = tokio::spawn(nats::serve(shared.clone(), stop.clone()));
    let _ = stop.wait_for(|stop| *stop != Stop::Not).await;
    let orderly = async {
        http.closed().await;
        internal.closed().await;
        let _ = sharing.await;
        shared.tracker().stop();
        while !shared.tracker().is_idle() {
            shared.left.notified().await;
        }
        last.send_replace(Stop::InOrder);
        response.closed().await;
    };
    let limit = shared.config.stop_timeout;
    let in_time = async {
        let telling = limit.mul_f64(TELLING).min(LONGEST_TELLING);
        tokio::select! {
            () = orderly => return,
            () = tokio::time::sleep(limit - telling) => {}
        }
        let _ = tokio::time::timeout(telling, give_all_up(&shared)).await;
    };
    tokio::select! {
        () = in_time => {}
        _ = stop.wait_for(|stop| *stop >= Stop::Now) => {}
    }
    let left = {
        let tracker = shared.tracker();
        tracker.waiting() + tracker.leaving()
    };
    if left > 0 && *stop.borrow() != Stop::Left {
        tracing::warn!(target: "coordinator", "the end came before the response of so many requests: {left}");
    }
    if *stop.borrow() == Stop::Left {
        return Ok(());
    }
    close(&doors.port);
    close(&doors.internal);
    close(&doors.response);
    Ok(())
}

/// Answers requests whose time is over. One timer serves them all.
async fn expire(shared: Arc<Shared>) {
    loop {
        let next = shared.tracker().next_deadline();
        let over = async {
            match next {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            () = shared.deadline.notified() => continue,
        }
        loop {
            let late = shared.tracker().expire(Instant::now());
            let Some(origin) = late else { break };
            give_up(&shared, origin);
        }
    }
}

/// Tells a requester that nobody answered.
fn give_up(shared: &Arc<Shared>, origin: Origin) {
    shared.figures.timed_out.add();
    let (id, hook) = (shown(&origin.id), shown(&origin.hook.to_string()));
    tracing::warn!(target: "coordinator", "`{id}` has no response in time; {hook} is told");
    let response = Response::error(&*origin.id, TIMEOUT);
    deliver(shared, origin, response);
}

/// Gives up all requests that wait, and lets their requesters be told.
async fn give_all_up(shared: &Arc<Shared>) {
    shared.tracker().stop();
    loop {
        let Some(origin) = shared.tracker().give_up() else { break };
        give_up(shared, origin);
    }
    while !shared.tracker().is_idle() {
        shared.left.notified().await;
    }
}

/// A listener of either kind.
trait Door: Send + 'static {
    type Stream: Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A Unix listener whose clients are not made known to the event loop at once.
struct Unix {
    socket: AsyncFd<OwnedFd>,
    shared: Arc<Shared>,
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
struct Entrance {
    name: &'static str,
    seats: Arc<Semaphore>,
    all: u32,
    stop: watch::Receiver<Stop>,
    accepting: Option<tokio::task::JoinHandle<()>>,
}

impl Entrance {
    fn new(name: &'static str, seats: usize, stop: watch::Receiver<Stop>) -> Self {
        let all = u32::try_from(seats).unwrap_or(u32::MAX);
        Self { name, seats: Arc::new(Semaphore::new(seats)), all, stop, accepting: None }
    }

    fn open<D, C, F, W>(&mut self, door: D, close: C, serve: F)
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
    async fn closed(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
        let _ = self.seats.acquire_many(self.all).await;
    }
}

/// What keeps clients from being accepted at once, told now and then.
struct Troubles {
    entrance: &'static str,
    seats: u32,
    full: Seldom,
    failed: Seldom,
}

impl Troubles {
    fn new(entrance: &'static str, seats: u32) -> Self {
        Self { entrance, seats, full: Seldom::default(), failed: Seldom::default() }
    }

    fn full(&mut self) {
        if self.full.count(Instant::now()).is_some() {
            tracing::warn!(
                target: "coordinator",
                "{} serves {} connections; further ones wait (max_clients)",
                self.entrance,
                self.seats
            );
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if self.failed.count(Instant::now()).is_some() {
            tracing::warn!(target: "coordinator", "{} cannot accept: {error}", self.entrance);
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
