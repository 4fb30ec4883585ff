//! The server's actor: it accepts connections and serves them, each in a task of its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context};
use actix_rt::task::JoinHandle;
use coproc_core::peers::Peer;
use coproc_core::process::hung_up;
use coproc_core::socket::Listener;
use coproc_core::supervision::Lifeline;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::answer::answer;
use crate::caller::{Caller, Door};
use crate::connections::{Entrance, Guests};
use crate::port::Port;
use crate::role::Roles;
pub use crate::shared::Sources;
use crate::shared::{FOLLOWERS, Seat, Shared};

/// How many connections are served at once by each entrance, besides those that follow. On the socket
/// further ones wait to be accepted; on a port the oldest one makes room, so that no crowd of silent
/// clients keeps an orchestrator from its answer.
const CONNECTIONS: usize = 64;
/// How long a client may take to send its request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Where clients come in.
#[derive(Debug, Default)]
pub struct Entrances {
    /// The control socket.
    pub socket: Option<Listener>,
    /// Who has which role there.
    pub roles: Roles,
    /// Ports for health and metrics, and with tokens for everything.
    pub ports: Vec<Port>,
    /// What is shown at the ports.
    pub door: Rc<Door>,
    /// How long a stream of server-sent events may be silent; zero is for ever.
    pub heartbeat: Duration,
}

/// The actor that owns the listening tasks.
pub struct ControlActor {
    entrances: Rc<Entrances>,
    shared: Rc<Shared>,
    accepting: Vec<JoinHandle<()>>,
    _lifeline: Lifeline,
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
        let shared = Rc::new(Shared {
            sources,
            followers,
            door: entrances.door.clone(),
            heartbeat: entrances.heartbeat,
            guests,
        });
        Self { entrances, shared, accepting: Vec::new(), _lifeline: lifeline }
    }

    fn listening(&self) -> io::Result<Vec<Listening>> {
        let socket = self.entrances.socket.iter().map(|listener| {
            let socket = listener.socket().map(std::os::unix::net::UnixListener::from);
            socket.and_then(UnixListener::from_std).map(Listening::Socket)
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
                let accept =
                    |one| actix_rt::spawn(accept(one, self.entrances.clone(), self.shared.clone()));
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
    Port(TcpStream, IpAddr),
}

impl Client {
    fn caller(&self, roles: &Roles) -> Caller {
        match self {
            Self::Socket(stream) => {
                let peer = Peer::of(stream.as_fd());
                Caller::Peer { uid: peer.uid, role: roles.of(peer, stream.as_fd()) }
            }
            Self::Port(_, address) => Caller::Remote { address: *address },
        }
    }
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
            Self::Port(socket) => {
                let (stream, from) = socket.accept().await?;
                Ok(Client::Port(stream, from.ip()))
            }
        }
    }
}

async fn accept(listening: Listening, entrances: Rc<Entrances>, shared: Rc<Shared>) {
    let entrance = listening.entrance();
    // Each entrance has its own, so that none can be kept waiting by clients of another.
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    // Those of a port, in the order in which they came, and how they are seated.
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
            make_room(&mut guests);
        }
        let Ok(permit) = seats.clone().acquire_owned().await else { return };
        let seat = Rc::new(Seat::new(permit));
        let caller = client.caller(&entrances.roles);
        let guest = actix_rt::spawn(attend(client, caller, seat.clone(), shared.clone()));
        if entrance == Entrance::Port {
            guests.push_back((guest, seat));
        }
    }
}

/// Sends the oldest of a port's clients away where there is no seat left: of those who have shown no good
/// token, if there is one. Who follows has a seat elsewhere.
fn make_room(guests: &mut VecDeque<(JoinHandle<()>, Rc<Seat>)>) {
    guests.retain(|(guest, _)| !guest.is_finished());
    let follows = |seat: &Seat| seat.follows.get();
    if guests.iter().filter(|(_, seat)| !follows(seat)).count() < CONNECTIONS {
        return;
    }
    let stranger = |(_, seat): &(_, Rc<Seat>)| !seat.known.get();
    let oldest = guests
        .iter()
        .position(stranger)
        .or_else(|| guests.iter().position(|(_, seat)| !follows(seat)));
    if let Some((guest, _)) = oldest.and_then(|at| guests.remove(at)) {
        guest.abort();
    }
}

async fn attend(client: Client, caller: Caller, seat: Rc<Seat>, shared: Rc<Shared>) {
    match client {
        Client::Socket(stream) => {
            let _guest = shared.guests.enter(Entrance::Socket);
            let watched = stream.as_fd().try_clone_to_owned();
            tokio::select! {
                () = serve(stream, caller, seat, &shared) => {}
                // A stream with nothing to write would not notice, and hold its seat for ever.
                () = hung_up(watched) => {}
            }
        }
        Client::Port(stream, _) => {
            let _guest = shared.guests.enter(Entrance::Port);
            serve(stream, caller, seat, &shared).await;
        }
    }
}

async fn serve<S>(stream: S, caller: Caller, seat: Rc<Seat>, shared: &Rc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let (shared, seat) = (shared.clone(), seat.clone());
        async move { Ok::<_, Infallible>(answer(request, caller, &shared, &seat).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        // Who has nothing more to say on the socket may still listen, and its leaving is told by the
        // kernel. At a port the end of what is said is all that can be noticed.
        .half_close(matches!(caller, Caller::Peer { .. }))
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::debug!(target: "control", "connection: {error}");
        },
        () = seat.leave.notified() => {}
    }
}
