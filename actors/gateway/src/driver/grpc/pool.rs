//! All plugin servers of a driver, and which of them a call goes to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::Uri;
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use super::GrpcConfig;
use super::address::{Address, AddressError};
use super::channel::{Channel, Occupied};
use super::dial::{Place, Sender};
use super::names::{Schedule, look_up};
use super::peer::{Peer, Permit};
use crate::driver::Failure;
use crate::driver::breaker::{Input, Limits};

/// The servers.
pub(super) struct Pool {
    peers: ArcSwap<Vec<Arc<Peer>>>,
    /// Names whose addresses are servers.
    names: Vec<(String, u16, Uri)>,
    schedule: Schedule,
    /// One look-up at a time; what it last failed with.
    looking: Mutex<Option<String>>,
    turn: AtomicUsize,
    connections: usize,
    patience: Duration,
    limits: Limits,
}

/// A server, and all that a call on it needs.
pub(super) struct Picked {
    pub(super) peer: Arc<Peer>,
    pub(super) channel: Arc<Channel>,
    pub(super) sender: Sender,
    pub(super) permit: Permit,
    /// Counts the call.
    pub(super) _occupied: Occupied,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.peers.load().iter().map(|peer| &peer.place)).finish()
    }
}

impl Pool {
    pub(super) fn new(config: &GrpcConfig) -> Result<Self, AddressError> {
        let mut pool = Self {
            peers: ArcSwap::default(),
            names: Vec::new(),
            schedule: Schedule::new(config.resolve_every),
            looking: Mutex::new(None),
            turn: AtomicUsize::new(0),
            connections: config.connections,
            patience: config.connect_timeout,
            limits: config.breaker,
        };
        let mut peers = Vec::new();
        for text in &config.addresses {
            let address = Address::parse(text)?;
            let authority = config.authority.clone().unwrap_or_else(|| address.authority());
            let origin = origin(&authority)?;
            let place = match address {
                Address::Name { host, port } => {
                    pool.names.push((host, port, origin));
                    continue;
                }
                Address::Host { host, port } => Place::Host(host, port),
                Address::Unix(path) => Place::Unix(path),
                Address::Abstract(name) => Place::Abstract(name),
            };
            peers.push(pool.peer(place, origin));
        }
        if peers.is_empty() && pool.names.is_empty() {
            let problem = "a plugin server needs at least one address";
            return Err(AddressError { address: String::new(), problem });
        }
        pool.peers = ArcSwap::from_pointee(peers);
        Ok(pool)
    }

    fn peer(&self, place: Place, origin: Uri) -> Arc<Peer> {
        Peer::new(place, origin, self.connections, self.patience, self.limits)
    }

    /// A server that takes a call: of those that may be asked the one with the fewest calls, and of equals
    /// each in its turn. One that cannot be connected to gives the call to the next.
    pub(super) async fn pick(self: &Arc<Self>, deadline: Instant) -> Result<Picked, Failure> {
        self.look(deadline).await?;
        let peers = self.peers.load_full();
        let mut tried = Vec::new();
        let mut why = None;
        while let Some(at) = self.least_loaded(&peers, &tried) {
            let peer = &peers[at];
            let Some(permit) = peer.admit(Instant::now()) else {
                tried.push(at);
                continue;
            };
            let channel = peer.channel().clone();
            let occupied = channel.occupy();
            match timeout_at(deadline.into(), channel.sender()).await {
                Ok(Ok(sender)) => {
                    let peer = peer.clone();
                    return Ok(Picked { peer, channel, sender, permit, _occupied: occupied });
                }
                Ok(Err(error)) => {
                    tried.push(at);
                    permit.settle(Input::Broken);
                    why = Some(error.to_string());
                    self.hurry();
                }
                Err(_) => {
                    permit.settle(Input::Late);
                    return Err(Failure::Late);
                }
            }
        }
        Err(match why {
            Some(why) => Failure::Unreachable(why),
            None if peers.iter().any(|peer| peer.is_serving()) => Failure::Resting,
            None => Failure::Unreachable("no server says that it serves".to_owned()),
        })
    }

    /// Lets servers that were started anew be asked at once.
    pub(super) fn renew(&self) {
        self.peers.load().iter().for_each(|peer| peer.renew());
    }

    /// Has names looked up soon.
    pub(super) fn hurry(&self) {
        self.schedule.hurry();
    }

    fn least_loaded(&self, peers: &[Arc<Peer>], tried: &[usize]) -> Option<usize> {
        let now = Instant::now();
        let may = |at: &usize| {
            !tried.contains(at) && peers[*at].is_serving() && peers[*at].would_admit(now)
        };
        if peers.len() == 1 {
            return Some(0).filter(may);
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..peers.len()).map(|step| first.wrapping_add(step) % peers.len());
        in_turn.filter(may).min_by_key(|at| peers[*at].in_flight())
    }

    /// Looks names up when it is time: in the background if there are servers, else the call waits.
    async fn look(self: &Arc<Self>, deadline: Instant) -> Result<(), Failure> {
        if self.names.is_empty() {
            return Ok(());
        }
        let due = self.schedule.is_due(Instant::now());
        if !self.peers.load().is_empty() {
            if due {
                let pool = self.clone();
                tokio::spawn(async move { pool.refresh().await });
            }
            return Ok(());
        }
        let looked = async {
            if due {
                self.refresh().await;
            }
            self.looking.lock().await.clone()
        };
        let problem = timeout_at(deadline.into(), looked).await.map_err(|_| Failure::Late)?;
        if self.peers.load().is_empty() {
            return Err(Failure::Unreachable(problem.unwrap_or_else(|| "no address".to_owned())));
        }
        Ok(())
    }

    /// Looks all names up. A server that is still there stays as it is; of a name that cannot be looked up all
    /// stay.
    async fn refresh(&self) {
        let mut problem = self.looking.lock().await;
        *problem = None;
        let old = self.peers.load_full();
        let by_name = |peer: &&Arc<Peer>| matches!(peer.place, Place::Socket(_));
        let mut new: Vec<_> = old.iter().filter(|peer| !by_name(peer)).cloned().collect();
        for (host, port, origin) in &self.names {
            let known = old.iter().filter(by_name).filter(|peer| peer.authority == *origin);
            let known: Vec<_> = known.cloned().collect();
            match look_up(host, *port).await {
                Ok(addresses) => new.extend(addresses.into_iter().map(|address| {
                    let place = Place::Socket(address);
                    let same = known.iter().find(|peer| peer.place == place).cloned();
                    same.unwrap_or_else(|| self.peer(place, origin.clone()))
                })),
                Err(error) => {
                    tracing::warn!("the addresses of a plugin server cannot be looked up: {error}");
                    *problem = Some(error);
                    new.extend(known);
                }
            }
        }
        self.peers.store(Arc::new(new));
    }
}

/// What requests are addressed to.
fn origin(authority: &str) -> Result<Uri, AddressError> {
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/").build();
    let problem = "it cannot be an authority";
    uri.map_err(|_| AddressError { address: authority.to_owned(), problem })
}
