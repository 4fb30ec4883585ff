//! What a changed config asks of a running wrapper: who starts, stops, restarts or changes while it
//! runs, and what only a new start of the whole can change. Pure.

mod keys;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use coproc_coprocess::config::Coprocess;
use coproc_core::event::{Change, EventName, Phase};

use crate::config::{Config, Loaded};

/// How a coprocess is at the time of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its event has not come yet.
    Waiting,
    /// It runs, or comes back by itself.
    Up {
        /// Whether it serves.
        ready: bool,
    },
    /// It was given up.
    Failed,
    /// It ended or was stopped.
    Ended,
}

/// How all is at the time of the change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// Whether the main process serves, so that `start` has happened.
    pub(crate) started: bool,
    /// By the names of the coprocesses.
    pub(crate) lives: BTreeMap<String, Life>,
}

/// What happens to a coprocess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is gone from the config.
    Stop,
    /// It ends, and starts with its new config.
    Restart,
    /// It runs on.
    Live,
    /// It does not run now; when it starts it has its new config.
    Next,
    /// Its event has happened.
    Start,
    /// It is new and starts with this event.
    Wait(EventName),
}

/// A coprocess that is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) what: What,
    /// The keys that changed.
    pub(crate) keys: Vec<&'static str>,
}

/// What happens to an exec socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// It is gone from the config.
    Close,
    /// It is new.
    Open,
}

/// All that follows from a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The keys whose change takes a new start of the wrapper.
    pub(crate) whole: Vec<String>,
    /// The keys outside of coprocesses that change at once.
    pub(crate) live: Vec<String>,
    /// The values of templates that changed: they are rendered anew, and the main process reads its
    /// configuration again.
    pub(crate) rendered: Vec<String>,
    /// The exec sockets that are closed and opened, by name.
    pub(crate) sockets: Vec<(String, Socket)>,
    /// Whether the gateway's APIs are others.
    pub(crate) apis: bool,
    /// Those that go first, then the others in the order of the new config.
    pub(crate) members: Vec<Member>,
    /// Whether coprocesses that stay change their order.
    pub(crate) reordered: bool,
    /// How many coprocesses nothing happens to.
    pub(crate) untouched: usize,
}

impl Plan {
    /// What it takes to come from one config to the other.
    pub(crate) fn of(old: &Loaded, new: &Loaded, now: &Now) -> Self {
        let mut plan = Self { whole: keys::of_whole(old, new), ..Self::default() };
        plan.live = keys::live(&old.config, &new.config);
        let apis = keys::of_apis(old, new);
        plan.apis = !apis.is_empty();
        plan.live.extend(apis);
        plan.sockets(old, new);
        if new.config.template.is_some() {
            plan.rendered = keys::of_templates(old, new);
        }
        plan.coprocesses(&old.config, &new.config, now);
        plan
    }

    /// Whether nothing follows.
    pub(crate) fn is_empty(&self) -> bool {
        // Other APIs are among what changes at once.
        let Self { whole, live, rendered, sockets, apis: _, members, reordered, untouched: _ } =
            self;
        let none = [whole, live, rendered].into_iter().all(Vec::is_empty);
        none && sockets.is_empty() && members.is_empty() && !reordered
    }

    /// Exec sockets are opened and closed by name; what one that stays has otherwise takes a new start.
    fn sockets(&mut self, old: &Loaded, new: &Loaded) {
        let [before, after] = [old, new].map(|one| {
            one.config.exec_sockets.iter().map(|one| one.name.to_string()).collect::<BTreeSet<_>>()
        });
        let closed = before.difference(&after).map(|name| (name.clone(), Socket::Close));
        let opened = after.difference(&before).map(|name| (name.clone(), Socket::Open));
        self.sockets = closed.chain(opened).collect();
        // Whose a key is; the only socket has its keys in the table itself.
        let owner = |key: &str| {
            let rest = key.strip_prefix("exec_socket.")?;
            let is_of = |name: &&String| {
                rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
            };
            Some(before.union(&after).find(is_of).map_or("exec", String::as_str))
        };
        let stays = |key: &String| {
            owner(key).is_some_and(|name| before.contains(name) && after.contains(name))
        };
        let differing = old.differing(new, "exec_socket");
        self.whole.extend(differing.into_iter().filter(stays));
    }

    fn coprocesses(&mut self, old: &Config, new: &Config, now: &Now) {
        let find = |all: &[Coprocess], name: &str| {
            all.iter().find(|one| one.name.as_str() == name).cloned()
        };
        let gone = |one: &&Coprocess| find(&new.coprocesses, one.name.as_str()).is_none();
        for one in old.coprocesses.iter().filter(gone) {
            let name = one.name.to_string();
            self.members.push(Member { name, what: What::Stop, keys: Vec::new() });
        }
        let mut stayed = Vec::new();
        let mut settled = BTreeMap::new();
        for one in &new.coprocesses {
            let Some(before) = find(&old.coprocesses, one.name.as_str()) else { continue };
            stayed.push(one.name.as_str());
            let what = self.changed(&before, one, now);
            settled.insert(one.name.as_str(), what);
        }
        let order = old.coprocesses.iter().map(|one| one.name.as_str());
        let order: Vec<_> = order.filter(|name| stayed.contains(name)).collect();
        self.reordered = order != stayed;
        self.awaits_exec(old, new);
        // In the order of the new config, whether they are new or not.
        for one in &new.coprocesses {
            let name = one.name.to_string();
            match settled.get(name.as_str()) {
                Some(Some((what, keys))) => {
                    let (what, keys) = (what.clone(), keys.clone());
                    self.members.push(Member { name, what, keys });
                }
                Some(None) => self.untouched += 1,
                None => {
                    // What is to run anew makes its events then.
                    let stays = |other: &str| {
                        let restarts =
                            |found: &(What, _)| matches!(found.0, What::Restart | What::Start);
                        settled.get(other).is_some_and(|one| !one.as_ref().is_some_and(restarts))
                    };
                    let what = match is_due(one, now, stays) {
                        true => What::Start,
                        false => What::Wait(one.exec_event.clone()),
                    };
                    self.members.push(Member { name, what, keys: Vec::new() });
                }
            }
        }
    }

    /// What follows for one that stays; none where it is as it was.
    fn changed(
        &self,
        old: &Coprocess,
        new: &Coprocess,
        now: &Now,
    ) -> Option<(What, Vec<&'static str>)> {
        let keys::Changed { anew, live } = keys::of_coprocess(old, new);
        let life = now.lives.get(new.name.as_str()).copied().unwrap_or(Life::Waiting);
        let due = life == Life::Waiting
            && (&old.exec_event, &old.after) != (&new.exec_event, &new.after)
            && is_due(new, now, |_| true);
        let what = match (anew.is_empty(), life) {
            (true, _) if live.is_empty() => return None,
            _ if due => What::Start,
            (true, _) => What::Live,
            (false, Life::Up { .. } | Life::Failed) => What::Restart,
            (false, Life::Waiting | Life::Ended) => What::Next,
        };
        Some((what, [anew, live].concat()))
    }

    /// Exec sockets tell of their programs only if somebody waited for that when they began.
    fn awaits_exec(&mut self, old: &Config, new: &Config) {
        let awaited = |one: &Coprocess| {
            let after = one.after.iter().map(|event| ("after", event));
            [("exec_event", &one.exec_event), ("stop_event", &one.stop_event)]
                .into_iter()
                .chain(after)
                .find(|(_, event)| matches!(event, EventName::Exec(_)))
                .map(|(key, _)| key)
        };
        let main = matches!(old.main.exec_event, Some(EventName::Exec(_)));
        let before: BTreeSet<_> = old.exec_sockets.iter().map(|one| &one.name).collect();
        // One that is opened now knows it from its beginning.
        if !new.exec_sockets.iter().any(|one| before.contains(&one.name))
            || main
            || old.coprocesses.iter().any(|c| awaited(c).is_some())
        {
            return;
        }
        let named = |one: &Coprocess| Some(format!("coprocess.{}.{}", one.key, awaited(one)?));
        self.whole.extend(new.coprocesses.iter().filter_map(named));
    }
}

/// Whether all that starts a coprocess has come.
fn is_due(one: &Coprocess, now: &Now, stays: impl Fn(&str) -> bool) -> bool {
    // What follows a step starts when that has ended, which it has.
    let has_ended = |event: &EventName| match event {
        EventName::Coprocess(name, Change::Stopped) => {
            now.lives.get(name.as_str()) == Some(&Life::Ended) && stays(name.as_str())
        }
        _ => false,
    };
    let alone = !one.after.contains(&one.exec_event);
    (!alone || holds(&one.exec_event, now, &stays))
        && one.after.iter().all(|event| holds(event, now, &stays) || has_ended(event))
}

/// Whether what an event tells of is so already. `stays` says of a coprocess that the change leaves it
/// running.
fn holds(event: &EventName, now: &Now, stays: &impl Fn(&str) -> bool) -> bool {
    match event {
        EventName::Phase(Phase::PreStart) => true,
        EventName::Phase(Phase::Start) => now.started,
        EventName::Coprocess(name, change @ (Change::Started | Change::Ready)) => {
            let runs = match now.lives.get(name.as_str()) {
                Some(Life::Up { ready }) => *ready || *change == Change::Started,
                _ => false,
            };
            runs && stays(name.as_str())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
