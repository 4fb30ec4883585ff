//! What a driver has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::driver::Failure;

/// Upper bounds of the buckets of latency, in microseconds; beyond the last there is one more.
pub const BOUNDS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// Counters, each on its own: a reading may be between two of them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    failures: [AtomicU64; Failure::KINDS.len()],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Counters {
    /// Counts a call that is over.
    pub(crate) fn count(&self, took: Duration, failure: Option<&Failure>) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(took, Ordering::Relaxed);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            self.failures[failure.kind()].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, in_flight: usize, queued: usize) -> Figures {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            calls: value(&self.calls),
            failures: std::array::from_fn(|kind| value(&self.failures[kind])),
            buckets: std::array::from_fn(|bucket| value(&self.buckets[bucket])),
            latency_sum: Duration::from_micros(value(&self.microseconds)),
            in_flight,
            queued,
        }
    }
}

/// What a driver has done since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Calls that are over, events among them.
    pub calls: u64,
    /// Those that failed, by kind, in the order of [`Failure::KINDS`].
    pub failures: [u64; Failure::KINDS.len()],
    /// Calls by how long they took, waiting included: up to each of [`BOUNDS`] and beyond. A call is in one
    /// bucket only.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// How long all of them took.
    pub latency_sum: Duration,
    /// Calls of hooks on their way.
    pub in_flight: usize,
    /// Calls of hooks that wait for their turn.
    pub queued: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_time_and_failure() {
        let counters = Counters::default();
        counters.count(Duration::from_micros(100), None);
        counters.count(Duration::from_micros(101), Some(&Failure::Late));
        counters.count(Duration::from_secs(60), Some(&Failure::Late));
        let figures = counters.read(1, 2);
        assert_eq!((figures.calls, figures.in_flight, figures.queued), (3, 1, 2));
        assert_eq!((figures.buckets[0], figures.buckets[1], figures.buckets[14]), (1, 1, 1));
        let late = Failure::KINDS.iter().position(|kind| *kind == "late").unwrap();
        assert_eq!(figures.failures[late], 2);
        assert_eq!(figures.latency_sum, Duration::from_micros(60_000_201));
    }
}
