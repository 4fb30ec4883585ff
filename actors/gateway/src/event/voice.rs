//! Who is told of what happens to one API, or to none: the tree, and the plugins that are registered.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{About, Events, Heard, Tally, payload};
use crate::api::Api;
use crate::driver::Driver;

/// Tells of events. This never waits.
pub struct Voice {
    /// The API's id and its organisation; empty where it is no API's.
    of: (String, String),
    tally: Arc<Tally>,
    /// Events and their handlers.
    handlers: Vec<(String, String)>,
    /// Where the handlers are.
    drivers: Vec<Arc<dyn Driver>>,
    events: Events,
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Voice {
    /// That of an API, whose handlers are in its driver.
    pub fn of_api(
        api: &Api,
        driver: Option<Arc<dyn Driver>>,
        events: Events,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        Self {
            of: (api.id.clone(), api.org.clone()),
            tally: Tally::new(&api.id, heard),
            handlers: api.events.clone(),
            drivers: driver.into_iter().collect(),
            events,
        }
    }

    /// That of the gateway itself: whichever driver has a handler gets what is for it.
    pub fn of_gateway(
        handlers: Vec<(String, String)>,
        drivers: Vec<Arc<dyn Driver>>,
        events: Events,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        Self { of: Default::default(), tally: Tally::new("", heard), handlers, drivers, events }
    }

    /// Tells of an event.
    pub fn tell(&self, about: About<'_>) {
        self.tally.count(about.kind);
        let registered = self.handlers.iter().filter(|(name, _)| name == about.kind.as_str());
        for (_, handler) in registered {
            for driver in &self.drivers {
                let made = || payload(about, (&self.of.0, &self.of.1), handler, Timestamp::now());
                self.events.send(driver, made);
            }
        }
    }
}
