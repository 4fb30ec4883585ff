//! The driver for hooks in Lua: they run in this process, on the thread that serves the request.
//!
//! Each thread has a state of its own for the folder's hooks and one for those of each bundle, made when it is
//! first needed and used for all its calls. A state is bounded in memory and in instructions; one that went
//! beyond is thrown away, and its call is the only one that fails. After a reload threads make states anew
//! with their next call.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;

use super::LuaConfig;
use super::files::Files;
use super::state::{Loaded, State, Trouble};
use crate::bundle::{Folder, Listed};
use crate::driver::handling::Handling;
use crate::driver::{Attendant, Call, Driver, Failure, STACK};
use crate::object::Sent;
use crate::wire::{Event, Object};

/// Tells drivers apart, and what their states are made of.
static SERIAL: AtomicU64 = AtomicU64::new(1);

fn serial() -> u64 {
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    /// The states of this thread.
    pub(super) static STATES: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// A state, whose it is and of which files.
pub(super) struct Held {
    driver: u64,
    part: u64,
    state: State,
}

/// Hooks in Lua.
#[derive(Debug)]
pub struct Lua {
    pub(super) shared: Arc<Shared>,
    events: Handling,
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
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// Those of the folder.
    pub(super) own: Part,
    /// Those of bundles, by their hashes.
    bundles: BTreeMap<String, Bundle>,
}

/// The bundles of one API.
#[derive(Clone, Debug)]
struct Bundle {
    folders: Vec<Folder>,
    /// One for each folder.
    parts: Vec<Part>,
    /// No API that is served names them: they are there for requests that began before.
    left: bool,
}

/// What a state is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    number: u64,
    pub(super) files: Arc<Files>,
}

impl Generation {
    /// All that states are made of, the folder's own first.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        [&self.own].into_iter().chain(self.bundles.values().flat_map(|bundle| &bundle.parts))
    }
}

impl Lua {
    /// Reads the hooks' files; what is wrong with them is told in the log.
    pub fn open(config: LuaConfig) -> Self {
        let shared = Shared {
            serial: serial(),
            config: Arc::new(config),
            generation: ArcSwap::default(),
            attendant: Arc::default(),
            unknown: Mutex::default(),
        };
        let lua = Self { shared: Arc::new(shared), events: Handling::default() };
        lua.read();
        lua
    }

    /// Has `attendant` do what hooks ask of the gateway. Only the first one counts.
    pub fn attended_by(&self, attendant: Attendant) {
        let _ = self.shared.attendant.set(attendant);
    }

    /// Reads all files anew. Calls that run end with the old ones.
    pub fn read(&self) {
        let generation = self.shared.generation.load_full();
        let kept = generation.bundles.iter().filter(|(_, bundle)| !bundle.left);
        let listed = kept.map(|(hash, bundle)| (hash.clone(), bundle.folders.clone())).collect();
        self.bring(listed, true);
    }

    /// Runs hooks of these bundles, by their hashes, and of no others; `anew`: all files are read anew,
    /// otherwise those of bundles that are new or have changed. The answer is why some bundles cannot be
    /// run; of one that could be before the old files stay.
    pub fn bring(&self, listed: Listed, anew: bool) -> BTreeMap<String, String> {
        let shared = &self.shared;
        let before = shared.generation.load_full();
        let own = match anew || before.own.number == 0 {
            true => {
                let (files, problems) = shared.own_files();
                for problem in problems {
                    tracing::error!(target: "gateway", "lua: {problem}");
                }
                Part { number: serial(), files }
            }
            false => before.own.clone(),
        };
        // Requests that began before end with the bundles that they began with.
        let left = before.bundles.iter().filter(|(_, bundle)| !bundle.left);
        let left =
            left.map(|(hash, bundle)| (hash.clone(), Bundle { left: true, ..bundle.clone() }));
        let mut bundles: BTreeMap<_, _> = left.collect();
        let mut refused = BTreeMap::new();
        for (hash, folders) in listed {
            let old = before.bundles.get(&hash);
            let same = old.filter(|old| !anew && old.folders == folders).cloned();
            let read = same.map_or_else(|| shared.bundle(folders, &own), Ok);
            match (read, old) {
                (Ok(bundle), _) => {
                    bundles.insert(hash, Bundle { left: false, ..bundle });
                }
                (Err(why), Some(old)) => {
                    tracing::error!(target: "gateway", "lua: {why}: the bundle stays as it was");
                    bundles.insert(hash, Bundle { left: false, ..old.clone() });
                }
                (Err(why), None) => {
                    refused.insert(hash, why);
                }
            }
        }
        shared.unknown.lock().unwrap_or_else(PoisonError::into_inner).clear();
        shared.generation.store(Arc::new(Generation { own, bundles }));
        refused
    }
}

impl Shared {
    /// The folder's files that can be run, and what is wrong with the others. They run once here, so that the
    /// log is told once and not by each thread.
    fn own_files(&self) -> (Arc<Files>, Vec<String>) {
        let (files, mut problems) =
            self.config.path.as_deref().map(Files::read).unwrap_or_default();
        let mut files = Arc::new(files);
        loop {
            let mut tried = self.tried(&files);
            // The state that they were tried in is gone.
            let (Some(name), Some(own)) = (tried.endless, Arc::get_mut(&mut files)) else {
                problems.append(&mut tried.problems);
                return (files, problems);
            };
            // What others get wrong is seen again when all of them run.
            problems.extend(tried.problems.pop());
            own.leave_out(&name);
        }
    }

    /// What comes of files, of which a state is made to see it.
    fn tried(&self, files: &Arc<Files>) -> Loaded {
        let failed = |why: String| Loaded { problems: vec![why], endless: None };
        let try_it = || {
            let tried = State::new(&self.config, files, &self.attendant);
            tried.map_or_else(|error| failed(error.to_string()), |(_, loaded)| loaded)
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(STACK);
            match thread.spawn_scoped(scope, try_it) {
                Ok(thread) => thread.join().unwrap_or_default(),
                Err(error) => {
                    failed(format!("there is no thread to try the hooks' files: {error}"))
                }
            }
        })
    }

    /// Reads the files of a bundle.
    fn bundle(&self, folders: Vec<Folder>, own: &Part) -> Result<Bundle, String> {
        let part = |folder: &Folder| {
            let (files, problems) = Files::of_bundle(folder, own.files.clone());
            let files = Arc::new(files);
            match problems.into_iter().chain(self.tried(&files).problems).next() {
                Some(problem) => Err(problem),
                None => Ok(Part { number: serial(), files }),
            }
        };
        let parts = folders.iter().map(part).collect::<Result<_, _>>()?;
        Ok(Bundle { folders, parts, left: false })
    }

    /// Does something with the state of this thread that is made of `part`.
    fn with<T>(
        &self,
        generation: &Generation,
        part: &Part,
        work: impl FnOnce(&State) -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let found = STATES.with_borrow_mut(|states| {
            let place = states.iter().position(|held| held.part == part.number)?;
            Some(states.swap_remove(place).state)
        });
        let state = match found {
            Some(state) => state,
            None => {
                // Those of older files go.
                let is_good = |held: &Held| {
                    held.driver != self.serial
                        || generation.parts().any(|part| part.number == held.part)
                };
                STATES.with_borrow_mut(|states| states.retain(is_good));
                let made = State::new(&self.config, &part.files, &self.attendant);
                made.map_err(|error| Failure::Unreachable(error.to_string()))?.0
            }
        };
        let (result, keeps) = match work(&state) {
            Ok(value) => (Ok(value), true),
            Err(trouble) => (Err(trouble.failure), trouble.keeps_state),
        };
        if keeps && !self.config.fresh_state {
            let held = Held { driver: self.serial, part: part.number, state };
            STATES.with_borrow_mut(|states| states.push(held));
        }
        result
    }

    fn call(&self, sent: &Sent<'_>, deadline: Instant) -> Result<Object, Failure> {
        let mut object = sent.object();
        let generation = self.generation.load();
        let parts = match sent.bundle {
            None => std::slice::from_ref(&generation.own),
            Some(hash) => match generation.bundles.get(hash) {
                Some(bundle) => &bundle.parts,
                None => return Err(Failure::Unreachable("its bundle is not there".to_owned())),
            },
        };
        let mut is_there = false;
        // Of two hooks of one name in an API's bundles the first counts.
        for part in parts {
            is_there = self
                .with(&generation, part, |state| state.call(&mut object, deadline))
                .map_err(|failure| match failure {
                    Failure::Refused(why) => {
                        let name = &object.hook_name;
                        Failure::Refused(format!("Hook '{name}' returned an error: {why}"))
                    }
                    other => other,
                })?;
            if is_there {
                break;
            }
        }
        if !is_there {
            self.tell_unknown(&object.hook_name);
        }
        // Where instructions are not counted, nothing looks at the time earlier.
        if Instant::now() > deadline {
            return Err(Failure::Late);
        }
        Ok(object)
    }

    /// Calls the handler of an event, the first of its name; whether there is one.
    fn handle(&self, event: &Event, deadline: Instant) -> Result<bool, Failure> {
        let generation = self.generation.load();
        for part in generation.parts() {
            if self.with(&generation, part, |state| state.handle(event, deadline))? {
                return Ok(true);
            }
        }
        Ok(false)
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
        Box::pin(async move { self.shared.call(&call.object, call.deadline) })
    }

    fn dispatch_event<'a>(
        &'a self,
        event: Event,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let shared = self.shared.clone();
        Box::pin(self.events.run(deadline, move || shared.handle(&event, deadline)))
    }

    /// Reads the files anew.
    fn reload<'a>(&'a self) -> BoxFuture<'a, Result<(), Failure>> {
        self.read();
        Box::pin(std::future::ready(Ok(())))
    }
}
