//! What the tree is told of an API's events: how many there were since it was last told, so that a flood of
//! refusals is a trickle of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc;

use super::Kind;

/// The events of one API, or of none, that the tree has not been told of.
#[derive(Debug)]
pub struct Tally {
    api: String,
    counts: [AtomicU64; Kind::ALL.len()],
    heard: mpsc::Sender<Heard>,
}

/// Something happened to an API for the first time since its last event.
#[derive(Debug)]
pub struct Heard {
    tally: Arc<Tally>,
    kind: Kind,
}

impl Tally {
    /// Of an API by its id, or of none; `heard` goes to who tells the tree.
    pub fn new(api: &str, heard: mpsc::Sender<Heard>) -> Arc<Self> {
        Arc::new(Self { api: api.to_owned(), counts: Default::default(), heard })
    }

    /// Counts one. This never waits.
    pub fn count(self: &Arc<Self>, kind: Kind) {
        let count = &self.counts[kind as usize];
        if count.fetch_add(1, Relaxed) > 0 {
            return;
        }
        if self.heard.try_send(Heard { tally: self.clone(), kind }).is_err() {
            // Who comes next tries again.
            count.store(0, Relaxed);
        }
    }
}

impl Heard {
    /// What happened.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The API to which it happened; empty if it is none.
    pub fn api(&self) -> &str {
        &self.tally.api
    }

    /// How often, up to now; the next one is an event of its own.
    pub fn take(&self) -> u64 {
        self.tally.counts[self.kind as usize].swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_one_message_with_their_number() {
        let (sender, mut heard) = mpsc::channel(2);
        let tally = Tally::new("a1", sender);
        for _ in 0..1000 {
            tally.count(Kind::AuthFailure);
        }
        tally.count(Kind::QuotaExceeded);
        let first = heard.try_recv().unwrap();
        assert_eq!((first.api(), first.kind(), first.take()), ("a1", Kind::AuthFailure, 1000));
        assert_eq!(heard.try_recv().unwrap().take(), 1);
        assert!(heard.try_recv().is_err());
        tally.count(Kind::AuthFailure);
        assert_eq!(heard.try_recv().unwrap().take(), 1);
    }

    #[test]
    fn a_full_queue_loses_events_and_not_the_next_ones() {
        let (sender, mut heard) = mpsc::channel(1);
        let tally = Tally::new("a1", sender);
        tally.count(Kind::AuthFailure);
        tally.count(Kind::QuotaExceeded);
        heard.try_recv().unwrap().take();
        tally.count(Kind::QuotaExceeded);
        assert_eq!(heard.try_recv().unwrap().kind(), Kind::QuotaExceeded);
    }
}
