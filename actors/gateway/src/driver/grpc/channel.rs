//! A channel: one connection to a plugin server, made when it is first needed and again when it has gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::body::Body;

use super::dial::{Place, Sender, dial};
use super::home::{Home, Resident};

/// A connection that is being made, or what came of it.
type Attempt = Shared<BoxFuture<'static, Result<Sender, Arc<str>>>>;

/// How often a request that has not left is given to a new connection.
const TRIES: usize = 3;

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

/// A channel with a sender at hand, as tonic wants it.
pub(super) struct Wire {
    pub(super) channel: Arc<Channel>,
    pub(super) sender: Sender,
}

/// A request that did not come through.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(String);

impl tower_service::Service<http::Request<Body>> for Wire {
    type Response = http::Response<Incoming>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    /// Sends a request. One that finds its connection closed, as it is by a server that has said goodbye, has
    /// not left and goes to the next connection.
    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let (channel, mut sender) = (self.channel.clone(), self.sender.clone());
        Box::pin(async move {
            let mut tries = 1;
            loop {
                let mut error = match sender.try_send_request(request).await {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                };
                match error.take_message() {
                    Some(unsent) if tries < TRIES => request = unsent,
                    _ => return Err(Broken(super::client::said(error.error()))),
                }
                tries += 1;
                sender = channel.sender().await.map_err(|why| Broken(why.to_string()))?;
            }
        })
    }
}
