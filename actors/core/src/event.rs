//! The events that coprocesses subscribe to, and what is known when one happens.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::name::Name;
use crate::scalar::Scalar;

/// A step in the life of the main process. The names are nginx-wrapper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the main process is started.
    PreStart,
    /// The main process serves: nginx's first worker runs, any other is ready.
    Start,
    /// An nginx worker started.
    StartWorker,
    /// The main process is gone.
    Exit,
    /// An nginx worker is gone.
    ExitWorker,
    /// A reload was asked for, and nothing was signalled yet.
    PreReload,
    /// The main process took its new configuration.
    Reload,
}

impl Phase {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::PreStart,
        Self::Start,
        Self::StartWorker,
        Self::PreReload,
        Self::Reload,
        Self::ExitWorker,
        Self::Exit,
    ];

    /// The name in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreStart => "pre-start",
            Self::Start => "start",
            Self::StartWorker => "start-worker",
            Self::Exit => "exit",
            Self::ExitWorker => "exit-worker",
            Self::PreReload => "pre-reload",
            Self::Reload => "reload",
        }
    }
}

/// A step in the life of a coprocess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Its program runs.
    Started,
    /// It serves; without a readiness probe together with `started`.
    Ready,
    /// One run of its program ended.
    Exited,
    /// It gave up: no restart is left and the last run failed.
    Failed,
    /// It ended for good, asked to or by itself with success.
    Stopped,
}

impl Change {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 5] =
        [Self::Started, Self::Ready, Self::Exited, Self::Failed, Self::Stopped];

    /// The last part of `coprocess.NAME.CHANGE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A step in the life of a program that an exec socket runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecChange {
    /// It was started.
    Started,
    /// It ended.
    Exited,
}

impl ExecChange {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Started, Self::Exited];

    /// The last part of `exec.CHANGE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Exited => "exited",
        }
    }
}

/// What `exec_event` and `stop_event` name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EventName {
    /// One of the seven of the main process.
    Phase(Phase),
    /// `coprocess.NAME.CHANGE`.
    Coprocess(Name, Change),
    /// `exec.CHANGE`, of programs that exec sockets run; published only if somebody waits for it.
    Exec(ExecChange),
    /// `gateway.NAME`, published by a hook.
    Gateway(String),
    /// `custom.NAME`, published by `coproc emit`.
    Custom(String),
}

impl EventName {
    /// All classes, in the order in which they are shown.
    pub const CLASSES: [&str; 16] = [
        "pre-start",
        "start",
        "start-worker",
        "pre-reload",
        "reload",
        "exit-worker",
        "exit",
        "coprocess.started",
        "coprocess.ready",
        "coprocess.exited",
        "coprocess.failed",
        "coprocess.stopped",
        "exec.started",
        "exec.exited",
        "gateway",
        "custom",
    ];

    /// What it is counted under: the name without what a config or a client has chosen, so that
    /// there are few.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.as_str(),
            Self::Coprocess(_, Change::Started) => "coprocess.started",
            Self::Coprocess(_, Change::Ready) => "coprocess.ready",
            Self::Coprocess(_, Change::Exited) => "coprocess.exited",
            Self::Coprocess(_, Change::Failed) => "coprocess.failed",
            Self::Coprocess(_, Change::Stopped) => "coprocess.stopped",
            Self::Exec(ExecChange::Started) => "exec.started",
            Self::Exec(ExecChange::Exited) => "exec.exited",
            Self::Gateway(_) => "gateway",
            Self::Custom(_) => "custom",
        }
    }
}

/// The text names no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an event")]
pub struct EventNameError(pub String);

impl FromStr for EventName {
    type Err = EventNameError;

    fn from_str(text: &str) -> Result<Self, EventNameError> {
        let refused = || EventNameError(text.to_owned());
        if let Some(phase) = Phase::ALL.into_iter().find(|p| p.as_str() == text) {
            return Ok(Self::Phase(phase));
        }
        let (family, rest) = text.split_once('.').ok_or_else(refused)?;
        let free_name = || match rest.parse::<Name>() {
            // `main` is only reserved among processes.
            Ok(_) | Err(crate::name::NameError::Taken) => Ok(rest.to_owned()),
            Err(_) => Err(refused()),
        };
        match family {
            "coprocess" => {
                let (name, change) = rest.rsplit_once('.').ok_or_else(refused)?;
                let name = name.parse().map_err(|_| refused())?;
                let change = Change::ALL.into_iter().find(|c| c.as_str() == change);
                Ok(Self::Coprocess(name, change.ok_or_else(refused)?))
            }
            "exec" => {
                let change = ExecChange::ALL.into_iter().find(|c| c.as_str() == rest);
                Ok(Self::Exec(change.ok_or_else(refused)?))
            }
            "gateway" => Ok(Self::Gateway(free_name()?)),
            "custom" => Ok(Self::Custom(free_name()?)),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(phase) => f.write_str(phase.as_str()),
            Self::Coprocess(name, change) => write!(f, "coprocess.{name}.{}", change.as_str()),
            Self::Exec(change) => write!(f, "exec.{}", change.as_str()),
            Self::Gateway(name) => write!(f, "gateway.{name}"),
            Self::Custom(name) => write!(f, "custom.{name}"),
        }
    }
}

impl Scalar for EventName {
    const NOUN: &'static str = "the name of an event";
    const EXPECTED: &'static str = "`pre-start`, `start`, `start-worker`, `pre-reload`, `reload`, \
         `exit-worker`, `exit`, `coprocess.NAME.started` (or `ready`, `exited`, `failed`, `stopped`), \
         `exec.started`, `exec.exited`, `gateway.NAME` or `custom.NAME`";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

crate::impl_scalar!(EventName, "EventName", {
    "anyOf": [
        { "enum": Phase::ALL.map(Phase::as_str) },
        {
            "type": "string",
            "pattern": "^(coprocess\\.[^./]+\\.(started|ready|exited|failed|stopped)|exec\\.(started|exited)|(gateway|custom)\\.[^./]+)$"
        }
    ]
});

impl From<Phase> for EventName {
    fn from(phase: Phase) -> Self {
        Self::Phase(phase)
    }
}

/// One happening: its name and what is known of it, such as the worker's pid.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What subscribers wait for.
    pub name: EventName,
    /// Facts in the order in which they are shown.
    pub fields: Vec<(&'static str, Value)>,
}

impl Event {
    /// An event without further facts.
    pub fn new(name: impl Into<EventName>) -> Self {
        Self { name: name.into(), fields: Vec::new() }
    }

    /// Adds a fact.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((key, value.into()));
        self
    }

    /// The phase, if it is one of the main process's own events.
    pub fn phase(&self) -> Option<Phase> {
        match self.name {
            EventName::Phase(phase) => Some(phase),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for text in [
            "pre-start",
            "start",
            "start-worker",
            "exit",
            "exit-worker",
            "pre-reload",
            "reload",
            "coprocess.consul.ready",
            "coprocess.my agent.failed",
            "exec.started",
            "exec.exited",
            "gateway.flush",
            "custom.main",
        ] {
            assert_eq!(text.parse::<EventName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_event_is_of_a_class() {
        let change = |change| EventName::Coprocess("a".parse().unwrap(), change);
        let all = Phase::ALL
            .map(EventName::Phase)
            .into_iter()
            .chain(Change::ALL.map(change))
            .chain(ExecChange::ALL.map(EventName::Exec))
            .chain([EventName::Gateway("a".into()), EventName::Custom("a".into())]);
        assert_eq!(all.map(|name| name.class()).collect::<Vec<_>>(), EventName::CLASSES);
    }

    #[test]
    fn names_that_are_none() {
        for text in [
            "",
            "Start",
            "nginx.start",
            "coprocess.consul",
            "coprocess.consul.up",
            "coprocess.main.ready",
            "coprocess..ready",
            "custom.",
            "custom.a.b",
            "exec.ready",
            "start ",
        ] {
            assert!(text.parse::<EventName>().is_err(), "{text}");
        }
    }
}
