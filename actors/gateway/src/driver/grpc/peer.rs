//! A plugin server: its channels, its breaker, and what it says of its own health.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::dial::Place;
use super::health::Watch;
use super::home::Resident;
use crate::driver::breaker::{Input, Limits, State, step};

/// One server.
pub(super) struct Peer {
    pub(super) place: Place,
    pub(super) authority: http::Uri,
    channels: Vec<Arc<Channel>>,
    /// How many of them one thread makes for itself.
    share: usize,
    limits: Limits,
    breaker: Mutex<State>,
    /// `false` while it says that it does not serve.
    pub(super) serving: AtomicBool,
    pub(super) watch: Watch,
}

impl Peer {
    pub(super) fn new(
        place: Place,
        authority: http::Uri,
        connections: usize,
        patience: Duration,
        limits: Limits,
    ) -> Arc<Self> {
        let channel = |_| Channel::new(place.clone(), patience);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            channels: (0..connections.max(1)).map(channel).collect(),
            share: (connections / threads).max(1),
            place,
            authority,
            limits,
            breaker: Mutex::new(State::Closed { failures: 0 }),
            serving: AtomicBool::new(true),
            watch: Watch::default(),
        })
    }

    /// Calls on it.
    pub(super) fn in_flight(&self) -> usize {
        self.channels.iter().map(|channel| channel.in_flight()).sum()
    }

    /// Its channel for a call. Those whose connection is on this thread come first, since a call on another
    /// has to wake that one; each thread makes its share of them as it needs them, and is a guest on others'
    /// where all are taken.
    pub(super) fn channel(&self) -> &Arc<Channel> {
        let (mut own, mut free, mut any) = (None, None, None);
        let mut owned = 0;
        for channel in &self.channels {
            let found = Some((channel.in_flight(), channel));
            let least = |known: Option<(usize, _)>| match known {
                Some((load, _)) if found.is_some_and(|found| found.0 >= load) => known,
                _ => found,
            };
            match channel.resident() {
                Resident::Here => (own, owned) = (least(own), owned + 1),
                Resident::Nowhere => free = least(free),
                Resident::Elsewhere => {}
            }
            any = least(any);
        }
        let idle = own.is_some_and(|(load, _)| load == 0);
        let free = free.filter(|_| !idle && owned < self.share);
        free.or(own).or(any).map(|(_, channel)| channel).expect("a peer has a channel")
    }

    /// Whether its breaker would let a call through.
    pub(super) fn would_admit(&self, now: Instant) -> bool {
        step(*self.state(), Input::Call, now, &self.limits).1
    }

    /// Asks the breaker for a call.
    pub(super) fn admit(self: &Arc<Self>, now: Instant) -> Option<Permit> {
        self.see(Input::Call, now).then(|| Permit { peer: self.clone(), outcome: Input::Dropped })
    }

    /// Forgets failures of a server that has been started anew.
    pub(super) fn renew(&self) {
        self.see(Input::Renewed, Instant::now());
    }

    pub(super) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    fn see(&self, input: Input, now: Instant) -> bool {
        let mut state = self.state();
        let (next, may) = step(*state, input, now, &self.limits);
        if matches!(
            (&*state, next),
            (State::Closed { .. } | State::Probing { .. }, State::Open { .. })
        ) {
            tracing::warn!(server = ?self.place, "a plugin server fails and is left alone for a while");
        }
        *state = next;
        may
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.breaker.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A call that the breaker has let through, and what came of it.
pub(super) struct Permit {
    peer: Arc<Peer>,
    outcome: Input,
}

impl Permit {
    /// Tells the breaker.
    pub(super) fn settle(mut self, outcome: Input) {
        self.outcome = outcome;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.peer.see(self.outcome, Instant::now());
    }
}
