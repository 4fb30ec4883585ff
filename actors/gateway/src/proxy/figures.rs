//! What the gateway does and has done, for status and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use serde::Serialize;

/// How many threads count apart from each other; further ones share.
const APART: usize = 16;

/// The counters of the gateway; they outlive the actor.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    connections: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    upstream_failures: AtomicU64,
    buffered: AtomicUsize,
    unbuffered: AtomicU64,
    in_flight: Apart<AtomicUsize>,
    /// Each thread's.
    requests: [Apart<AtomicU64>; APART],
}

/// A number in a line of the cache of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Apart<T>(T);

/// All figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Connections of clients.
    pub connections: usize,
    /// Requests that are being answered.
    pub in_flight: usize,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were closed at once for want of a place.
    pub refused: u64,
    /// Requests that were begun.
    pub requests: u64,
    /// Requests that an upstream did not answer as it should.
    pub upstream_failures: u64,
    /// Bytes of bodies that are held whole.
    pub buffered: usize,
    /// Bodies for which there was no room.
    pub unbuffered: u64,
}

/// A connection that is being served.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Figures>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl Figures {
    /// One more connection, if there may be one.
    pub(crate) fn connect(self: &Arc<Self>, most: usize) -> Option<Connected> {
        self.accepted.fetch_add(1, Relaxed);
        let within = self.connections.fetch_add(1, Relaxed) < most;
        // The place is given back in either case.
        let connected = Connected(self.clone());
        if !within {
            self.refused.fetch_add(1, Relaxed);
        }
        within.then_some(connected)
    }

    /// One more request on a thread; whether there may be one. It ends in either case.
    pub(crate) fn begin(&self, thread: usize, most: usize) -> bool {
        self.requests[thread % APART].0.fetch_add(1, Relaxed);
        self.in_flight.0.fetch_add(1, Relaxed) < most
    }

    /// A request is over.
    pub(crate) fn end(&self) {
        self.in_flight.0.fetch_sub(1, Relaxed);
    }

    /// An upstream failed.
    pub(crate) fn upstream_failed(&self) {
        self.upstream_failures.fetch_add(1, Relaxed);
    }

    /// Takes room for bytes of a body, of which all together may take `most`; whether there is so much.
    pub(crate) fn hold(&self, bytes: usize, most: usize) -> bool {
        let within = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        let has_room = self.buffered.fetch_update(Relaxed, Relaxed, within).is_ok();
        if !has_room {
            self.unbuffered.fetch_add(1, Relaxed);
        }
        has_room
    }

    /// Gives it back.
    pub(crate) fn let_go(&self, bytes: usize) {
        self.buffered.fetch_sub(bytes, Relaxed);
    }

    /// All counters.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            connections: self.connections.load(Relaxed),
            in_flight: self.in_flight.0.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            requests: self.requests.iter().map(|count| count.0.load(Relaxed)).sum(),
            upstream_failures: self.upstream_failures.load(Relaxed),
            buffered: self.buffered.load(Relaxed),
            unbuffered: self.unbuffered.load(Relaxed),
        }
    }
}
