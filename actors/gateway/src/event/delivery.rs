//! Events on their way to plugins: a bounded queue and one task that empties it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use crate::driver::Driver;
use crate::wire::Event;

/// How many events may wait for their plugins; further ones are dropped.
const QUEUE: usize = 1024;
/// How many are being delivered at once.
const AT_ONCE: usize = 64;
/// How often the log says that events were dropped or not taken, at most.
const COMPLAINTS: Duration = Duration::from_secs(10);

/// One event for one handler.
struct Delivery {
    driver: Arc<dyn Driver>,
    event: Event,
}

/// The way of events to plugins. Each is delivered at most once, in no order, and nobody waits for it.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Delivery>,
    sums: Arc<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("sums", &self.sums).finish_non_exhaustive()
    }
}

impl Events {
    /// Starts the task that delivers; it ends with the last handle. Must be called within a runtime.
    pub fn start(timeout: Duration) -> Self {
        let (queue, deliveries) = mpsc::channel(QUEUE);
        let sums = Arc::<Sums>::default();
        tokio::spawn(deliver(deliveries, sums.clone(), timeout));
        Self { queue, sums }
    }

    /// Queues an event if there is room; only then is it made.
    pub fn send(&self, driver: &Arc<dyn Driver>, payload: impl FnOnce() -> String) {
        match self.queue.try_reserve() {
            Ok(room) => {
                let event = Event { payload: payload() };
                room.send(Delivery { driver: driver.clone(), event });
            }
            Err(_) => {
                self.sums.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// How many were taken by their plugins, were not, and were dropped.
    pub fn sums(&self) -> [(&'static str, u64); 3] {
        [
            ("delivered", self.sums.delivered.load(Relaxed)),
            ("failed", self.sums.failed.load(Relaxed)),
            ("dropped", self.sums.dropped.load(Relaxed)),
        ]
    }
}

async fn deliver(mut deliveries: mpsc::Receiver<Delivery>, sums: Arc<Sums>, timeout: Duration) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut told = Told::default();
    while let Some(Delivery { driver, event }) = deliveries.recv().await {
        // The semaphore is never closed.
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        let sums_of_one = sums.clone();
        tokio::spawn(async move {
            let result = driver.dispatch_event(event, Instant::now() + timeout).await;
            let sum = match &result {
                Ok(()) => &sums_of_one.delivered,
                Err(_) => &sums_of_one.failed,
            };
            sum.fetch_add(1, Relaxed);
            if let Err(failure) = result {
                tracing::debug!(target: "gateway", "an event was not delivered: {failure}");
            }
            drop(seat);
        });
        told.complain(&sums);
    }
}

/// What the log was told of losses.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    dropped: u64,
    failed: u64,
}

impl Told {
    /// Says what was lost since it was last said, unless that is not long ago.
    fn complain(&mut self, sums: &Sums) {
        let (dropped, failed) = (sums.dropped.load(Relaxed), sums.failed.load(Relaxed));
        let lately = self.at.is_some_and(|at| at.elapsed() < COMPLAINTS);
        if lately || (dropped, failed) == (self.dropped, self.failed) {
            return;
        }
        tracing::warn!(
            target: "gateway",
            "events for plugins were lost: {} dropped since the queue was full, {} not taken",
            dropped - self.dropped,
            failed - self.failed,
        );
        *self = Self { at: Some(Instant::now()), dropped, failed };
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use tokio::sync::Notify;

    use super::*;
    use crate::driver::{Call, Failure};
    use crate::wire::Object;

    /// Takes events once it is told to.
    #[derive(Debug, Default)]
    struct Gate {
        open: Notify,
        taken: AtomicU64,
    }

    impl Driver for Gate {
        fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>> {
            async move { Ok(call.object.object()) }.boxed()
        }

        fn dispatch_event<'a>(
            &'a self,
            _: Event,
            _: Instant,
        ) -> BoxFuture<'a, Result<(), Failure>> {
            async move {
                self.open.notified().await;
                self.taken.fetch_add(1, Relaxed);
                Ok(())
            }
            .boxed()
        }

        fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
            async { Ok(()) }.boxed()
        }
    }

    #[tokio::test]
    async fn who_sends_never_waits_and_what_has_no_room_is_counted() {
        let events = Events::start(Duration::from_secs(1));
        let gate = Arc::new(Gate::default());
        let driver: Arc<dyn Driver> = gate.clone();
        let all = QUEUE + AT_ONCE + 10;
        for _ in 0..all {
            events.send(&driver, || "{}".to_owned());
            // The task gets its turn.
            tokio::task::yield_now().await;
        }
        let [_, _, (_, dropped)] = events.sums();
        assert!((1..=10).contains(&dropped), "{dropped}");
        let kept = all as u64 - dropped;
        while gate.taken.load(Relaxed) < kept {
            gate.open.notify_one();
            tokio::task::yield_now().await;
        }
        while events.sums()[0].1 < kept {
            tokio::task::yield_now().await;
        }
        assert_eq!(events.sums(), [("delivered", kept), ("failed", 0), ("dropped", dropped)]);
    }
}
