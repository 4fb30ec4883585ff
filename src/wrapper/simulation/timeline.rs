//! What happens in a simulation, in the order in which it happens: events as the broker publishes them,
//! what befalls programs, and what the wrapper has to say that is worth a warning.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coproc_coprocess::config::Coprocess;
use coproc_coprocess::standing::SharedStanding;
use coproc_core::broker::Stamped;
use coproc_core::event::{Change, EventName};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// After so many entries a simulation ends, since nobody reads more.
const ENTRIES: usize = 200_000;

/// Who the wrapper itself is.
const WRAPPER: &str = "coproc";

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Since the beginning.
    pub at: Duration,
    /// A program, `event`, or `coproc`.
    pub who: String,
    /// What, in a few words.
    pub what: String,
    /// Why, or what follows, where that is known.
    pub why: Option<String>,
}

impl Entry {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("at_ms".into(), json!(u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX)));
        map.insert("who".into(), self.who.clone().into());
        map.insert("what".into(), self.what.clone().into());
        if let Some(why) = &self.why {
            map.insert("why".into(), why.clone().into());
        }
        Value::Object(map)
    }

    /// The name of the event, if it is one.
    pub fn event(&self) -> Option<&str> {
        (self.who == "event").then_some(self.what.as_str())
    }
}

/// A coprocess as it is configured, and as it stands.
type Standing = (Rc<Coprocess>, SharedStanding);

/// The timeline while it is being written.
pub(super) struct Timeline {
    began: Instant,
    entries: RefCell<Vec<Entry>>,
    events: OnceCell<RefCell<broadcast::Receiver<Arc<Stamped>>>>,
    standings: OnceCell<Vec<Standing>>,
    /// What the log calls the main process.
    main: &'static str,
    /// Whether there is no room for more.
    pub(super) full: Cell<bool>,
    pub(super) filled: Notify,
}

impl Timeline {
    pub(super) fn new(main: &'static str) -> Rc<Self> {
        Rc::new(Self {
            began: Instant::now(),
            entries: RefCell::default(),
            events: OnceCell::new(),
            standings: OnceCell::new(),
            main,
            full: Cell::new(false),
            filled: Notify::new(),
        })
    }

    /// From now on events are part of it.
    pub(super) fn follow(
        &self,
        events: broadcast::Receiver<Arc<Stamped>>,
        standings: Vec<Standing>,
    ) {
        let _ = self.events.set(RefCell::new(events));
        let _ = self.standings.set(standings);
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Adds what happens to, or is done by, the program that the log calls `who`.
    pub(super) fn add(&self, who: &str, what: impl Into<String>, why: Option<String>) {
        self.catch_up();
        self.push(self.shown(who).to_owned(), what.into(), why);
    }

    /// Adds what the wrapper does, or what is done to it.
    pub(super) fn add_own(&self, what: impl Into<String>, why: Option<String>) {
        self.add(WRAPPER, what, why);
    }

    /// The name by which people know it.
    fn shown<'a>(&self, who: &'a str) -> &'a str {
        match who.strip_prefix("check-") {
            Some(rest) if rest == self.main => "check",
            _ if who == self.main => coproc_core::name::MAIN,
            _ => who,
        }
    }

    fn push(&self, who: String, what: String, why: Option<String>) {
        let mut entries = self.entries.borrow_mut();
        if entries.len() < ENTRIES {
            entries.push(Entry { at: self.now(), who, what, why });
        } else if !self.full.replace(true) {
            self.filled.notify_one();
        }
    }

    /// Takes in the events that were published since the last time, which was at this very moment.
    pub(super) fn catch_up(&self) {
        let Some(events) = self.events.get() else { return };
        // A standing that is being written is read later.
        let Ok(mut events) = events.try_borrow_mut() else { return };
        loop {
            match events.try_recv() {
                Ok(stamped) => self.event(&stamped),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn event(&self, stamped: &Stamped) {
        let name = &stamped.event.name;
        let mut facts = String::new();
        for (key, value) in &stamped.event.fields {
            let gap = if facts.is_empty() { "" } else { ", " };
            let _ = match value.as_str() {
                // The words of an imagined world are of no interest.
                _ if key.ends_with("pid") || key.ends_with("tid") => Ok(()),
                Some(text) => write!(facts, "{gap}{key} {text}"),
                None => write!(facts, "{gap}{key} {value}"),
            };
        }
        let why = self.reason(name).or((!facts.is_empty()).then_some(facts));
        self.push("event".to_owned(), name.to_string(), why);
    }

    /// What the coprocess itself says of what follows.
    fn reason(&self, event: &EventName) -> Option<String> {
        let EventName::Coprocess(name, change) = event else { return None };
        let (config, standing) =
            self.standings.get()?.iter().find(|(config, _)| config.name == *name)?;
        let reason = standing.try_borrow().ok()?.why(config, Instant::now());
        let fits = match change {
            Change::Exited => reason.as_str() == "pauses",
            Change::Failed => reason.as_str() == "given-up",
            Change::Stopped => matches!(reason.as_str(), "stopped" | "ended"),
            Change::Started | Change::Ready => false,
        };
        fits.then(|| reason.to_string())
    }

    /// All that happened.
    pub(super) fn take(&self) -> Vec<Entry> {
        self.catch_up();
        self.entries.take()
    }
}

thread_local! {
    /// The timeline of the simulation on this thread.
    static PRESENT: RefCell<Option<Rc<Timeline>>> = const { RefCell::new(None) };
}

/// Writes the wrapper's own warnings and errors to the timeline of this thread.
pub(super) struct Ear;

/// The ear is in place as long as this is kept.
pub(super) struct Listening {
    _default: tracing::subscriber::DefaultGuard,
}

impl Drop for Listening {
    fn drop(&mut self) {
        PRESENT.take();
    }
}

pub(super) fn listen(timeline: Rc<Timeline>) -> Listening {
    PRESENT.set(Some(timeline));
    Listening { _default: tracing::subscriber::set_default(Ear) }
}

#[derive(Default)]
struct Parts {
    message: String,
    logger: Option<String>,
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "logger" => self.logger = Some(format!("{value:?}")),
            _ => {}
        }
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.module_path().is_some_and(|path| path.starts_with("coproc"));
        // That a program ended the timeline knows already.
        let known =
            metadata.target() == "nginx-run" || metadata.target() == "coproc_coprocess::run";
        metadata.is_event() && ours && !known && *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let timeline = PRESENT.with_borrow(Clone::clone);
        if let Some(timeline) = timeline {
            let who = parts.logger.as_deref().unwrap_or(WRAPPER);
            timeline.add(who, format!("logs: {}", parts.message), None);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
