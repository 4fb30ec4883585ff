//! Who is told of what happens to one API, or to none: the tree, and the plugins that are registered.

use std::fmt;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{About, Events, Heard, Tally, payload, system};
use crate::api::Api;
use crate::driver::Driver;

/// Tells of events: the one way to their handlers. This never waits.
pub struct Voice {
    /// The API's id and its organisation; empty where it is no API's.
    of: (String, String),
    tally: Arc<Tally>,
    /// Events and their handlers.
    handlers: Vec<(String, String)>,
    /// Where the handlers are. Drivers have hooks that tell of events themselves, and so a voice of their own.
    drivers: Vec<Weak<dyn Driver>>,
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
        driver: Option<&Arc<dyn Driver>>,
        events: Events,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        Self {
            of: (api.id.clone(), api.org.clone()),
            tally: Tally::new(&api.id, heard),
            handlers: api.events.clone(),
            drivers: driver.into_iter().map(Arc::downgrade).collect(),
            events,
        }
    }

    /// That of the gateway itself: whichever driver has a handler gets what is for it.
    pub fn of_gateway<'a>(
        handlers: Vec<(String, String)>,
        drivers: impl IntoIterator<Item = &'a Arc<dyn Driver>>,
        events: Events,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        let drivers = drivers.into_iter().map(Arc::downgrade).collect();
        Self { of: Default::default(), tally: Tally::new("", heard), handlers, drivers, events }
    }

    /// Tells of an event.
    pub fn tell(&self, about: About<'_>) {
        self.tally.count(about.kind);
        let (api, org) = &self.of;
        self.call(about.kind.as_str(), |handler, now| payload(about, (api, org), handler, now));
    }

    /// Tells of an event that a hook fires, of whatever name. It is told to handlers alone.
    pub fn pass_on(&self, name: &str, message: &str) {
        self.call(name, |handler, now| system(name, message, handler, now));
    }

    /// Has the handlers of an event called with what `made` makes for each.
    fn call(&self, name: &str, made: impl Fn(&str, Timestamp) -> String) {
        for (_, handler) in self.handlers.iter().filter(|(event, _)| event == name) {
            for driver in self.drivers.iter().filter_map(Weak::upgrade) {
                self.events.send(&driver, || made(handler, Timestamp::now()));
            }
        }
    }
}
