//! How much went through the output thread, for those who measure it. The thread counts in plain
//! numbers and shows them once for each batch of reads.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// The sums as the thread showed them last.
#[derive(Debug, Default)]
pub(super) struct Shown([AtomicU64; 3]);

impl Shown {
    pub(super) fn show(&self, Tally { lines, missed, dropped }: Tally) {
        for (place, sum) in self.0.iter().zip([lines, missed, dropped]) {
            place.store(sum, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Tally {
        let [lines, missed, dropped] = &self.0;
        let sum = |place: &AtomicU64| place.load(Ordering::Relaxed);
        Tally { lines: sum(lines), missed: sum(missed), dropped: sum(dropped) }
    }
}
