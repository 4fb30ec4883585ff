//! A plugin server: its channels, its breaker, and what it says of its own health.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::breaker::{Input, Limits, State, step};
use super::channel::Channel;
use super::dial::Place;
use super::health::Watch;

/// One server.
pub(super) struct Peer {
    pub(super) place: Place,
    pub(super) authority: http::Uri,
    pub(super) channels: Vec<Arc<Channel>>,
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
        Arc::new(Self {
            channels: (0..connections.max(1)).map(channel).collect(),
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

    /// Its channel with the fewest calls.
    pub(super) fn channel(&self) -> &Arc<Channel> {
        let (first, rest) = self.channels.split_first().expect("a peer has a channel");
        let mut least = (first, first.in_flight());
        for channel in rest {
            // An idle one is as good as it gets, and one that was used before is connected.
            if least.1 == 0 {
                break;
            }
            let load = channel.in_flight();
            if load < least.1 {
                least = (channel, load);
            }
        }
        least.0
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
