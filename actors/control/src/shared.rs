//! What connections share, and the seat of each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use coproc_core::broker::EventLog;
use coproc_core::output::Output;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::caller::Door;
use crate::connections::Guests;
use crate::request::{Ask, Refused, Request};

/// How many may follow events or logs at once; further ones are refused.
pub(crate) const FOLLOWERS: usize = 64;

/// What clients can be told of.
pub struct Sources {
    /// Who answers what is asked.
    pub root: Recipient<Ask>,
    /// The events that happened.
    pub events: Rc<RefCell<EventLog>>,
    /// The log.
    pub output: Output,
    /// The version of the program.
    pub version: &'static str,
}

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) sources: Sources,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) door: Rc<Door>,
    pub(crate) heartbeat: Duration,
    pub(crate) guests: Rc<Guests>,
}

impl Shared {
    /// Has the root answer.
    pub(crate) async fn ask(&self, request: Request) -> Result<Value, Refused> {
        let (reply, answer) = oneshot::channel();
        self.sources.root.do_send(Ask { request, reply });
        answer.await.unwrap_or_else(|_| Err(Refused::new(503, "the wrapper is leaving")))
    }
}

/// What a connection counts against, and what is known of it. One that follows goes over to the
/// followers' share, so that they keep no request from being answered.
pub(crate) struct Seat {
    permit: RefCell<OwnedSemaphorePermit>,
    /// Whether it goes on with what happens.
    pub(crate) follows: Cell<bool>,
    /// Whether it has shown a good token.
    pub(crate) known: Cell<bool>,
    /// Its connection is to end, whatever is on its way.
    pub(crate) leave: Notify,
}

impl Seat {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self {
            permit: permit.into(),
            follows: Cell::default(),
            known: Cell::default(),
            leave: Notify::new(),
        }
    }

    /// Goes over to the followers.
    pub(crate) fn follow(&self, permit: OwnedSemaphorePermit) {
        drop(self.permit.replace(permit));
        self.follows.set(true);
    }
}
