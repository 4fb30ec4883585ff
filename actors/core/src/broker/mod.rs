//! The EventBroker: who is told of an event, in which order, and who makes it wait.
//!
//! Events of the main process are worked off one at a time, since what they announce (starting the
//! main process, sending it HUP) waits until everyone concerned has let go. All other events flow
//! on meanwhile, each on its own.

mod actor;
mod group;
mod join;
mod log;
mod walk;

pub use actor::{
    BrokerIs, BrokerPlace, Cancel, EventBroker, Ongoing, OngoingWalk, Publish, Regroup, Subscribe,
    Unsubscribe, WhatGoesOn,
};
pub use group::Group;
pub use log::{EventLog, Stamped};
pub use walk::{Deliver, Hold, Order, Outcome, Subscription, Walked, held};
