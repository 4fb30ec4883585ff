//! What a coordinator has done so far, for status and metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// The counters of a coordinator; they outlive the actor.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) tracked: Counter,
    pub(crate) direct: Counter,
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
    pub(crate) refused: Counter,
    pub(crate) responses: Counter,
    pub(crate) unknown: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) delivered: Counter,
    pub(crate) undelivered: Counter,
    pub(crate) streams: Counter,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Requests whose response is waited for.
    pub waiting: usize,
    /// Responses on their way to a hook.
    pub leaving: usize,
    /// Addresses of streams that were given out and not read yet.
    pub open_streams: usize,
    /// Requests that somebody took: the sum of the four that follow.
    pub taken: u64,
    /// Requests that a provider here took and whose responses come back through us.
    pub tracked: u64,
    /// Requests that a provider here took and whose responses go straight to their requesters.
    pub direct: u64,
    /// Requests that another coordinator took.
    pub sent: u64,
    /// Requests of other coordinators that a provider here took.
    pub received: u64,
    /// Requests that were refused, by us or by all providers.
    pub refused: u64,
    /// Responses to requests that waited for one.
    pub responses: u64,
    /// Responses that nobody waited for.
    pub unknown: u64,
    /// Requests that no response came to in time.
    pub timed_out: u64,
    /// Responses that their hook took.
    pub delivered: u64,
    /// Responses that were given up.
    pub undelivered: u64,
    /// Streams that were passed on.
    pub streams: u64,
}

impl Figures {
    /// All counters.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (tracked, direct) = (self.tracked.get(), self.direct.get());
        let (sent, received) = (self.sent.get(), self.received.get());
        Snapshot {
            taken: tracked + direct + sent + received,
            tracked,
            direct,
            sent,
            received,
            refused: self.refused.get(),
            responses: self.responses.get(),
            unknown: self.unknown.get(),
            timed_out: self.timed_out.get(),
            delivered: self.delivered.get(),
            undelivered: self.undelivered.get(),
            streams: self.streams.get(),
            ..Snapshot::default()
        }
    }
}
