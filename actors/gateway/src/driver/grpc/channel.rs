//! A channel: one connection to a plugin server, made when it is first needed and again when it has gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::timeout;

use super::dial::{Place, Sender, dial};
use super::home::{Home, Resident};

/// A connection that is being made, or what came of it.
type Attempt = Shared<BoxFuture<'static, Result<Sender, Arc<str>>>>;

/// A connection and how to make it anew.
pub(super) struct Channel {
    place: Place,
    patience: Duration,
    last: Mutex<Option<Attempt>>,
    in_flight: AtomicUsize,
    home: Home,
}

impl Channel {
    pub(super) fn new(place: Place, patience: Duration) -> Arc<Self> {
        let (last, in_flight) = (Mutex::new(None), AtomicUsize::new(0));
        Arc::new(Self { place, patience, last, in_flight, home: Home::default() })
    }

    /// Where its connection is.
    pub(super) fn resident(&self) -> Resident {
        self.home.resident()
    }

    /// Calls on it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a call as long as the answer lives.
    pub(super) fn occupy(self: &Arc<Self>) -> Occupied {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Occupied(self.clone())
    }

    /// What takes a request. Whoever comes while a connection is being made waits for that one; a failure is
    /// everybody's who waited, and who comes later tries anew.
    pub(super) async fn sender(&self) -> Result<Sender, Arc<str>> {
        let attempt = {
            let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match last.as_ref().map(|attempt| (attempt, attempt.peek())) {
                Some((_, Some(Ok(sender)))) if !sender.is_closed() => return Ok(sender.clone()),
                Some((attempt, None)) => attempt.clone(),
                Some(_) | None => last.insert(self.attempt()).clone(),
            }
        };
        attempt.await
    }

    /// Begins to connect. It goes on when whoever wanted it first has given up.
    fn attempt(&self) -> Attempt {
        let (place, patience, stay) = (self.place.clone(), self.patience, self.home.settle());
        let task = tokio::spawn(async move {
            match timeout(patience, dial(&place, stay)).await {
                Ok(made) => made.map_err(Arc::from),
                Err(_) => Err(Arc::from("no connection in time")),
            }
        });
        let made = async { task.await.unwrap_or_else(|error| Err(error.to_string().into())) };
        made.boxed().shared()
    }
}

/// A call on a channel.
pub(super) struct Occupied(Arc<Channel>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
