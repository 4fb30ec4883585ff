//! Hooks in native code, called on the thread that serves the request.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::NativeConfig;
use super::exports::ATTENDANT;
use super::library::{BadReply, Library, OpenError};
use crate::driver::handling::Handling;
use crate::driver::{Attendant, Call, Driver, Failure, reply};
use crate::object::Sent;
use crate::wire::{Event, Object};

/// Hooks of a shared object.
#[derive(Debug)]
pub struct Native {
    library: Arc<Library>,
    events: Handling,
}

impl Native {
    /// Loads the shared object.
    ///
    /// # Errors
    /// When it cannot be loaded, or is none of hooks.
    pub fn open(config: &NativeConfig) -> Result<Self, OpenError> {
        let library = Arc::new(Library::load(&config.library)?);
        Ok(Self { library, events: Handling::default() })
    }

    /// Has `attendant` do what hooks of all shared objects ask of the gateway from now on, and calls
    /// `CoProcessInit`. Before that no hook may be called.
    ///
    /// # Errors
    /// When the shared object says that it is not ready.
    pub fn start(&self, attendant: Option<Attendant>) -> Result<(), OpenError> {
        if let Some(attendant) = attendant {
            ATTENDANT.store(Some(Arc::new(attendant)));
        }
        self.library.init()
    }

    fn call(&self, mut sent: Sent<'_>, deadline: Instant) -> Result<Object, Failure> {
        let wrong = |why: BadReply| {
            let said = format!("Hook '{}': {why}", sent.name);
            match why {
                BadReply::Nothing => Failure::Refused(said),
                BadReply::TooLarge => Failure::TooLarge(said),
                BadReply::Length | BadReply::Beyond => Failure::Malformed(said),
            }
        };
        let read = |answer: &[u8]| reply::read(sent.kind, answer);
        let returned = self.library.dispatch(&mut sent.bytes, read);
        let returned = returned.map_err(wrong)?;
        // Nothing ends a hook earlier.
        if Instant::now() > deadline {
            return Err(Failure::Late);
        }
        returned.map_err(|error| Failure::Malformed(error.to_string()))
    }
}

impl Driver for Native {
    fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>> {
        Box::pin(async move { self.call(call.object, call.deadline) })
    }

    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let library = self.library.clone();
        let handle = move || Ok(library.dispatch_event(&event.payload));
        Box::pin(self.events.run(deadline, handle))
    }

    /// Calls `CoProcessReload`, if it is there.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
        self.library.reload();
        Box::pin(std::future::ready(Ok(())))
    }
}
