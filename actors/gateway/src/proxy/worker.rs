//! One thread that serves: it accepts connections and keeps what they share.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coproc_core::threads::Stop;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_local, yield_now};

use super::closing::Closing;
use super::connection::{serve, serve_tcp};
use super::crew::{Accepted, Coming, Crew, Passed};
use super::pool::Pool;
use super::stream::Stream;
use crate::exchange::Scheme;
use crate::server::{Shared, Socket, Table};

/// How long a thread waits that cannot accept.
const BREATH: Duration = Duration::from_millis(100);

/// The routes under a count of this thread's own.
#[derive(Debug)]
pub(super) struct Mine(Arc<Table>);

impl Deref for Mine {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

/// What the connections of one thread share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Rc<Pool>,
    pub(super) closing: Rc<Closing>,
    /// Which thread it is.
    number: usize,
    crew: Arc<Crew>,
    /// The routes as they were at the last request: counted here, where no other thread counts.
    routes: RefCell<Rc<Mine>>,
    /// The last connection was refused for want of a place.
    full: Cell<bool>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight(Rc<Worker>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.shared.figures.end();
    }
}

/// Serves on this thread until it is told to stop.
pub(crate) fn work(
    shared: Arc<Shared>,
    number: usize,
    sockets: Vec<Socket>,
    (crew, coming): (Arc<Crew>, Coming),
    stop: watch::Receiver<Stop>,
) -> io::Result<()> {
    // Its tasks stay on this thread, and wake each other without a system call.
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let limits = &shared.config.limits;
    let worker = Rc::new(Worker {
        pool: Pool::new(limits.upstream_idle, limits.upstream_idle_timeout),
        closing: Rc::default(),
        number,
        crew,
        routes: RefCell::new(Rc::new(Mine(shared.routes.load_full()))),
        full: Cell::new(false),
        shared: shared.clone(),
    });
    let served = runtime.block_on(worker.run(sockets, coming, stop));
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
    served
}

impl Worker {
    /// Where paths lead just now.
    pub(super) fn routes(&self) -> Rc<Mine> {
        let now = self.shared.routes.load();
        let mut mine = self.routes.borrow_mut();
        if !Arc::ptr_eq(&now, &mine.0) {
            *mine = Rc::new(Mine(Arc::clone(&now)));
        }
        mine.clone()
    }

    /// Lets go of routes that others took the place of, though no request comes.
    async fn heed(self: Rc<Self>) {
        let mut swapped = self.shared.swapped.subscribe();
        loop {
            self.routes();
            if swapped.changed().await.is_err() {
                return;
            }
        }
    }

    /// One more request, if there may be one.
    pub(super) fn begin(self: &Rc<Self>) -> Option<InFlight> {
        let most = self.shared.config.limits.max_in_flight;
        let within = self.shared.figures.begin(self.number, most);
        // The place is given back in either case.
        let in_flight = InFlight(self.clone());
        within.then_some(in_flight)
    }

    async fn run(
        self: Rc<Self>,
        sockets: Vec<Socket>,
        mut coming: Coming,
        mut stop: watch::Receiver<Stop>,
    ) -> io::Result<()> {
        let mut listening = JoinSet::new();
        for socket in sockets {
            let worker = self.clone();
            match socket {
                Socket::Tcp(socket) => {
                    let listener = TcpListener::from_std(socket)?;
                    listening.spawn_local(worker.accept_tcp(listener));
                }
                Socket::Unix(socket) => {
                    let listener = UnixListener::from_std(socket)?;
                    listening.spawn_local(worker.accept_unix(listener));
                }
            }
        }
        let tending = spawn_local(self.pool.clone().tend());
        let heeding = spawn_local(self.clone().heed());
        // A server that is gone without a word leaves nobody to wait for.
        let told = async |stop: &mut watch::Receiver<Stop>, least| {
            stop.wait_for(|now| *now >= least).await.map_or(Stop::Now, |now| *now)
        };
        let first = loop {
            tokio::select! {
                first = told(&mut stop, Stop::InOrder) => break first,
                Some(passed) = coming.recv() => self.take_in(passed),
            }
        };
        listening.shutdown().await;
        // Who passes one on from now on hears that nobody takes it.
        coming.close();
        while let Ok(passed) = coming.try_recv() {
            self.take_in(passed);
        }
        if first == Stop::InOrder {
            self.closing.tell();
            tokio::select! {
                () = self.closing.is_over() => {}
                _ = told(&mut stop, Stop::Now) => {}
            }
        }
        tending.abort();
        heeding.abort();
        Ok(())
    }

    async fn accept_tcp(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    // Answers are written whole: there is nothing to wait for.
                    let _ = stream.set_nodelay(true);
                    let ip = address.ip().to_canonical();
                    self.admit(
                        stream,
                        |stream| Ok(Accepted::Tcp(stream.into_std()?, ip)),
                        |stream| serve_tcp(self.clone(), stream, ip),
                    );
                    // The connection begins before another is taken, and other threads get theirs.
                    yield_now().await;
                }
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    async fn accept_unix(self: Rc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.admit(
                        stream,
                        |stream| Ok(Accepted::Unix(stream.into_std()?)),
                        |stream| {
                            serve(self.clone(), Stream::Unix(stream), None, Scheme::Http, None)
                        },
                    );
                    yield_now().await;
                }
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    async fn cannot_accept(&self, error: &io::Error) {
        if !matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            tracing::warn!(target: "gateway", "cannot accept: {error}");
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Serves a connection that this thread has accepted, or passes it on.
    fn admit<S, F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        stream: S,
        leave: impl FnOnce(S) -> io::Result<Accepted>,
        serving: impl FnOnce(S) -> F,
    ) {
        let most = self.shared.config.limits.max_connections;
        let Some(connected) = self.shared.figures.connect(most) else {
            // Once for each time that it is full.
            if !self.full.replace(true) {
                tracing::warn!(
                    target: "gateway",
                    "connections are refused: {most} are served already"
                );
            }
            return;
        };
        self.full.set(false);
        let seated = self.crew.seat(self.number);
        if seated.is_at(self.number) {
            let serving = serving(stream);
            spawn_local(async move {
                let _stays = (connected, seated);
                serving.await;
            });
            return;
        }
        let Ok(accepted) = leave(stream) else { return };
        if let Err(back) = self.crew.pass((accepted, seated, connected), self.number) {
            self.take_in(back);
        }
    }

    /// Serves a connection that was passed on to this thread.
    fn take_in(self: &Rc<Self>, (accepted, seated, connected): Passed) {
        let worker = self.clone();
        spawn_local(async move {
            let _stays = (connected, seated);
            // A descriptor that this thread cannot watch is closed.
            match accepted {
                Accepted::Tcp(stream, ip) => {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        serve_tcp(worker, stream, ip).await;
                    }
                }
                Accepted::Unix(stream) => {
                    if let Ok(stream) = UnixStream::from_std(stream) {
                        serve(worker, Stream::Unix(stream), None, Scheme::Http, None).await;
                    }
                }
            }
        });
    }
}
