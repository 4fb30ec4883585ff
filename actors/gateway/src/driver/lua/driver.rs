//! The driver for hooks in Lua: they run in this process, on the thread that serves the request.
//!
//! Each thread has a state of its own, made when it is first needed and used for all its calls. A state is
//! bounded in memory and in instructions; one that went beyond is thrown away, and its call is the only one
//! that fails. After a reload threads make states anew with their next call.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::LuaConfig;
use super::files::Files;
use super::state::{State, Trouble};
use crate::driver::{Attendant, Call, Driver, Failure, STACK};
use crate::wire::{Event, Object};

/// Tells generations of files apart, those of all drivers.
static SERIAL: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The states of this thread, by their drivers, with their generations.
    pub(super) static STATES: RefCell<Vec<(u64, u64, State)>> = const { RefCell::new(Vec::new()) };
}

/// Hooks in Lua.
#[derive(Debug)]
pub struct Lua {
    pub(super) shared: Arc<Shared>,
    /// One event is handled at a time, not to have a state for each.
    events: Semaphore,
}

#[derive(Debug)]
pub(super) struct Shared {
    serial: u64,
    pub(super) config: Arc<LuaConfig>,
    pub(super) generation: ArcSwap<Generation>,
    pub(super) attendant: Arc<OnceLock<Attendant>>,
    /// Names of which the log was told that they are nobody's.
    unknown: Mutex<BTreeSet<String>>,
}

/// Files as they were at some time.
#[derive(Debug)]
pub(super) struct Generation {
    number: u64,
    pub(super) files: Arc<Files>,
}

impl Lua {
    /// Reads the hooks' files; what is wrong with them is told in the log.
    pub fn open(config: LuaConfig) -> Self {
        let shared = Shared {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            config: Arc::new(config),
            generation: ArcSwap::from_pointee(Generation { number: 0, files: Arc::default() }),
            attendant: Arc::default(),
            unknown: Mutex::default(),
        };
        let lua = Self { shared: Arc::new(shared), events: Semaphore::new(1) };
        lua.read();
        lua
    }

    /// Has `attendant` do what hooks ask of the gateway. Only the first one counts.
    pub fn attended_by(&self, attendant: Attendant) {
        let _ = self.shared.attendant.set(attendant);
    }

    /// Reads the files anew. Calls that run end with the old ones.
    pub fn read(&self) {
        let shared = &self.shared;
        let (files, problems) = Files::read(&shared.config.path);
        let files = Arc::new(files);
        // They run once here, so that the log is told once and not by each thread.
        let try_it = || {
            let tried = State::new(&shared.config, &files, &shared.attendant);
            tried.map_or_else(|error| vec![error.to_string()], |(_, problems)| problems)
        };
        let ran = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(STACK);
            match thread.spawn_scoped(scope, try_it) {
                Ok(thread) => thread.join().unwrap_or_default(),
                Err(error) => vec![format!("there is no thread to try the hooks' files: {error}")],
            }
        });
        for problem in problems.into_iter().chain(ran) {
            tracing::error!(target: "gateway", "lua: {problem}");
        }
        let number = SERIAL.fetch_add(1, Ordering::Relaxed);
        shared.unknown.lock().unwrap_or_else(PoisonError::into_inner).clear();
        shared.generation.store(Arc::new(Generation { number, files }));
    }
}

impl Shared {
    /// Does something with the state of this thread.
    fn with<T>(&self, work: impl FnOnce(&State) -> Result<T, Trouble>) -> Result<T, Failure> {
        let generation = self.generation.load();
        let found = STATES.with_borrow_mut(|states| {
            let place = states.iter().position(|(serial, ..)| *serial == self.serial)?;
            let (_, number, state) = states.swap_remove(place);
            (number == generation.number).then_some(state)
        });
        let state = match found {
            Some(state) => state,
            None => {
                let made = State::new(&self.config, &generation.files, &self.attendant);
                made.map_err(|error| Failure::Unreachable(error.to_string()))?.0
            }
        };
        let (result, keeps) = match work(&state) {
            Ok(value) => (Ok(value), true),
            Err(trouble) => (Err(trouble.failure), trouble.keeps_state),
        };
        if keeps && !self.config.fresh_state {
            STATES.with_borrow_mut(|states| states.push((self.serial, generation.number, state)));
        }
        result
    }

    fn call(&self, mut object: Object, deadline: Instant) -> Result<Object, Failure> {
        let is_there =
            self.with(|state| state.call(&mut object, deadline)).map_err(
                |failure| match failure {
                    Failure::Refused(why) => {
                        let name = &object.hook_name;
                        Failure::Refused(format!("Hook '{name}' returned an error: {why}"))
                    }
                    other => other,
                },
            )?;
        if !is_there {
            self.tell_unknown(&object.hook_name);
        }
        // Where instructions are not counted, nothing looks at the time earlier.
        if Instant::now() > deadline {
            return Err(Failure::Late);
        }
        Ok(object)
    }

    /// As Tyk does it, a hook that is not there changes nothing; here at least somebody is told.
    fn tell_unknown(&self, name: &str) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if !unknown.contains(name) {
            unknown.insert(name.to_owned());
            tracing::warn!(
                target: "gateway",
                "lua: there is no function `{name}`: its calls change nothing"
            );
        }
    }
}

impl Driver for Lua {
    fn dispatch<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Object, Failure>> {
        Box::pin(async move { self.shared.call(call.object, call.deadline) })
    }

    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let turn = timeout_at(deadline.into(), self.events.acquire()).await;
            let _turn = turn.ok().and_then(Result::ok).ok_or(Failure::Busy)?;
            let shared = self.shared.clone();
            // Not on a thread of the background, which handlers wait for when they ask for data.
            let handled = tokio::task::spawn_blocking(move || {
                shared.with(|state| state.handle(&event, deadline))
            });
            match handled.await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => {
                    Err(Failure::Refused("there is no function of its handler's name".to_owned()))
                }
                Ok(Err(failure)) => Err(failure),
                Err(error) => Err(Failure::Unreachable(error.to_string())),
            }
        })
    }

    /// Reads the files anew.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
        self.read();
        Box::pin(std::future::ready(Ok(())))
    }
}
