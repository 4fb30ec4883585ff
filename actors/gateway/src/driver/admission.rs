//! How many calls are on their way at once, and how many wait for their turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use crate::driver::Failure;

/// Turns, given in the order of asking.
#[derive(Debug)]
pub(crate) struct Admission {
    turns: Semaphore,
    max: usize,
    waiting: AtomicUsize,
    queue: usize,
    patience: Duration,
}

impl Admission {
    /// `max` calls at once, and `queue` that wait for at most `patience`.
    pub(crate) fn new(max: usize, queue: usize, patience: Duration) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self { turns: Semaphore::new(max), max, waiting: AtomicUsize::new(0), queue, patience }
    }

    /// A turn, which ends when it is dropped.
    pub(crate) async fn admit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            return Err(Failure::Busy);
        }
        let until = deadline.min(Instant::now() + self.patience);
        let turn = timeout_at(until.into(), self.turns.acquire()).await;
        drop(place);
        turn.ok().and_then(Result::ok).ok_or(Failure::Busy)
    }

    /// Calls on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.max - self.turns.available_permits()
    }

    /// Calls that wait.
    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue, given back when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_neither_goes_nor_waits_is_refused() {
        let far = Instant::now() + Duration::from_secs(60);
        let admission = Admission::new(1, 1, Duration::from_secs(60));
        let turn = admission.admit(far).await.unwrap();
        let mut next = Box::pin(admission.admit(far));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!((admission.in_flight(), admission.queued()), (1, 1));
        assert_eq!(admission.admit(far).await.unwrap_err(), Failure::Busy);
        drop(turn);
        let turn = next.await.unwrap();
        assert_eq!((admission.in_flight(), admission.queued()), (1, 0));
        drop(turn);
        assert_eq!(admission.in_flight(), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_refused() {
        let far = Instant::now() + Duration::from_secs(60);
        let admission = Admission::new(1, 8, Duration::from_millis(5));
        let _turn = admission.admit(far).await.unwrap();
        assert_eq!(admission.admit(far).await.unwrap_err(), Failure::Busy);
        let gone = admission.admit(Instant::now()).await;
        assert_eq!(gone.unwrap_err(), Failure::Busy);
        assert_eq!(admission.queued(), 0);
    }
}
