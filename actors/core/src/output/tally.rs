//! How much went through the output thread, for those who measure it. The thread counts in plain
//! numbers and shows them once for each batch of reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that children wrote, also those whose level is not logged.
    pub lines: u64,
    /// Lines that followers missed, each follower's counted by itself.
    pub missed: u64,
    /// Lines of coproc itself that found too many others waiting.
    pub dropped: u64,
}

/// How many lines of each process were dropped by its own rules, where any were.
pub type Dropped = Arc<[(Arc<str>, u64)]>;

/// The sums as the thread showed them last.
#[derive(Debug, Default)]
pub(super) struct Shown {
    sums: [AtomicU64; 3],
    dropped: Mutex<Dropped>,
}

impl Shown {
    pub(super) fn show(&self, Tally { lines, missed, dropped }: Tally) {
        for (place, sum) in self.sums.iter().zip([lines, missed, dropped]) {
            place.store(sum, Ordering::Relaxed);
        }
    }

    /// Shows the sums of processes that lost lines.
    pub(super) fn show_dropped(&self, sums: Vec<(Arc<str>, u64)>) {
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner) = sums.into();
    }

    pub(super) fn read(&self) -> Tally {
        let [lines, missed, dropped] = &self.sums;
        let sum = |place: &AtomicU64| place.load(Ordering::Relaxed);
        Tally { lines: sum(lines), missed: sum(missed), dropped: sum(dropped) }
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
