//! The server's actor: it accepts connections and serves them, each in a task of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Recipient};
use actix_rt::task::JoinHandle;
use coproc_core::broker::EventLog;
use coproc_core::output::Output;
use coproc_core::process::hung_up;
use coproc_core::supervision::Lifeline;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::answer;
use crate::connections::{Entrance, Guests};
use crate::listener::Listener;
use crate::port::Port;
use crate::request::Ask;

/// How many connections are served at once by each entrance, besides those that follow. On the socket
/// further ones wait to be accepted; on a port the oldest one makes room, so that no crowd of silent
/// clients keeps an orchestrator from its answer.
const CONNECTIONS: usize = 64;
/// How many may follow events or logs at once; further ones are refused.
pub(crate) const FOLLOWERS: usize = 64;
/// How long a client may take to send its request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Where clients come in.
#[derive(Debug, Default)]
pub struct Entrances {
    /// The control socket.
    pub socket: Option<Listener>,
    /// Ports for health and metrics.
    pub ports: Vec<Port>,
}

/// The actor that owns the listening tasks.
pub struct ControlActor {
    entrances: Rc<Entrances>,
    shared: Rc<Shared>,
    accepting: Vec<JoinHandle<()>>,
    _lifeline: Lifeline,
}

/// What clients can be told of.
pub struct Sources {
    /// Who answers what is asked.
    pub root: Recipient<Ask>,
    /// The events that happened.
    pub events: Rc<RefCell<EventLog>>,
    /// The log.
    pub output: Output,
}

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) sources: Sources,
    pub(crate) followers: Arc<Semaphore>,
    guests: Rc<Guests>,
}

impl ControlActor {
    /// A server of `sources` that counts its clients in `guests`.
    pub fn new(
        entrances: Rc<Entrances>,
        sources: Sources,
        guests: Rc<Guests>,
        lifeline: Lifeline,
    ) -> Self {
        let followers = Arc::new(Semaphore::new(FOLLOWERS));
        let shared = Rc::new(Shared { sources, followers, guests });
        Self { entrances, shared, accepting: Vec::new(), _lifeline: lifeline }
    }

    fn listening(&self) -> io::Result<Vec<Listening>> {
        let socket = self.entrances.socket.iter().map(|listener| {
            listener.socket().and_then(UnixListener::from_std).map(Listening::Socket)
        });
        let ports = self
            .entrances
            .ports
            .iter()
            .map(|port| port.socket().and_then(TcpListener::from_std).map(Listening::Port));
        socket.chain(ports).collect()
    }
}

impl Actor for ControlActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        match self.listening() {
            Ok(listening) => {
                let accept = |one| actix_rt::spawn(accept(one, self.shared.clone()));
                self.accepting = listening.into_iter().map(accept).collect();
            }
            Err(error) => tracing::error!(target: "control", "cannot listen: {error}"),
        }
    }
}

impl Drop for ControlActor {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
    }
}

/// An entrance in the event loop.
enum Listening {
    Socket(UnixListener),
    Port(TcpListener),
}

/// A client that was let in.
enum Client {
    Socket(UnixStream),
    Port(TcpStream),
}

impl Listening {
    fn entrance(&self) -> Entrance {
        match self {
            Self::Socket(_) => Entrance::Socket,
            Self::Port(_) => Entrance::Port,
        }
    }

    async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Socket(socket) => Ok(Client::Socket(socket.accept().await?.0)),
            Self::Port(socket) => Ok(Client::Port(socket.accept().await?.0)),
        }
    }
}

async fn accept(listening: Listening, shared: Rc<Shared>) {
    let entrance = listening.entrance();
    // Each entrance has its own, so that none can be kept waiting by clients of another.
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    // Those of a port, in the order in which they came.
    let mut guests = VecDeque::new();
    loop {
        if entrance == Entrance::Socket && seats.acquire().await.is_err() {
            return;
        }
        let client = match listening.accept().await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(target: "control", "cannot accept: {error}");
                // Out of descriptors: others have to be closed first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if entrance == Entrance::Port {
            guests.retain(|guest: &JoinHandle<()>| !guest.is_finished());
            if guests.len() >= CONNECTIONS
                && let Some(oldest) = guests.pop_front()
            {
                oldest.abort();
            }
        }
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        let guest = actix_rt::spawn(attend(client, entrance, seat, shared.clone()));
        if entrance == Entrance::Port {
            guests.push_back(guest);
        }
    }
}

async fn attend(
    client: Client,
    entrance: Entrance,
    seat: OwnedSemaphorePermit,
    shared: Rc<Shared>,
) {
    let _guest = shared.guests.enter(entrance);
    match client {
        Client::Socket(stream) => {
            let watched = stream.as_fd().try_clone_to_owned();
            tokio::select! {
                () = serve(stream, entrance, seat, &shared) => {}
                // A stream with nothing to write would not notice, and hold its seat for ever.
                () = hung_up(watched) => {}
            }
        }
        Client::Port(stream) => serve(stream, entrance, seat, &shared).await,
    }
}

/// What a connection counts against. One that follows goes over to the followers' share, so that
/// they keep no request from being answered.
pub(crate) type Seat = RefCell<OwnedSemaphorePermit>;

async fn serve<S>(stream: S, entrance: Entrance, seat: OwnedSemaphorePermit, shared: &Rc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let seat = Rc::new(RefCell::new(seat));
    let service = service_fn(|request| {
        let (shared, seat) = (shared.clone(), seat.clone());
        async move { Ok::<_, Infallible>(answer(request, entrance, &shared, &seat).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        // Who has nothing more to say may still listen.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(target: "control", "connection: {error}");
    }
}
