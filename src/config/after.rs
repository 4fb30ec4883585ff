//! `after`: the coprocesses and events that another one waits for, in plain words. Pure.

use std::collections::BTreeMap;

use coproc_core::event::{Change, EventName};
use coproc_core::name::Name;

/// A coprocess as far as the words of others are about it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: Name,
    /// It runs once and is done: others wait for its end.
    pub(super) is_step: bool,
}

/// The event that a word stands for: a coprocess's name, `NAME.CHANGE`, or an event's own name.
/// `None` for a word that is none of them.
pub(super) fn event_of(word: &str, known: &[Known]) -> Option<EventName> {
    let find = |name: &str| known.iter().find(|one| one.name.as_str() == name);
    if let Some(one) = find(word) {
        let change = if one.is_step { Change::Stopped } else { Change::Ready };
        return Some(EventName::Coprocess(one.name.clone(), change));
    }
    if let Some((name, change)) = word.rsplit_once('.')
        && let Some(one) = find(name)
        && let Some(change) = Change::ALL.into_iter().find(|known| known.as_str() == change)
    {
        return Some(EventName::Coprocess(one.name.clone(), change));
    }
    match word.parse().ok()? {
        EventName::Coprocess(name, _) if find(name.as_str()).is_none() => None,
        event => Some(event),
    }
}

/// The words that could have been meant.
pub(super) fn words(known: &[Known]) -> Vec<String> {
    let changes = |one: &Known| {
        let name = one.name.clone();
        Change::ALL.map(|change| format!("{name}.{}", change.as_str()))
    };
    let names = known.iter().map(|one| one.name.to_string());
    names.chain(known.iter().flat_map(changes)).collect()
}

/// The way from `from` back to itself along what each waits for, `from` at both ends.
pub(super) fn circle(from: &str, waits_for: &BTreeMap<String, Vec<String>>) -> Option<Vec<String>> {
    let mut seen = Vec::new();
    let mut ways = vec![vec![from.to_owned()]];
    while let Some(way) = ways.pop() {
        let last = way.last()?;
        for next in waits_for.get(last).into_iter().flatten() {
            let longer = [&way[..], std::slice::from_ref(next)].concat();
            if next == from {
                return Some(longer);
            }
            if !seen.contains(next) {
                seen.push(next.clone());
                ways.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Known> {
        [("migrate", true), ("db", false), ("start", false)]
            .map(|(name, is_step)| Known { name: name.parse().unwrap(), is_step })
            .to_vec()
    }

    #[test]
    fn words_and_their_events() {
        for (word, event) in [
            ("migrate", Some("coprocess.migrate.stopped")),
            ("db", Some("coprocess.db.ready")),
            ("migrate.started", Some("coprocess.migrate.started")),
            ("db.failed", Some("coprocess.db.failed")),
            ("coprocess.db.exited", Some("coprocess.db.exited")),
            ("pre-start", Some("pre-start")),
            ("start", Some("coprocess.start.ready")),
            ("custom.go", Some("custom.go")),
            ("cache", None),
            ("db.up", None),
            ("coprocess.cache.ready", None),
            ("", None),
        ] {
            let found = event_of(word, &known()).map(|event| event.to_string());
            assert_eq!(found.as_deref(), event, "{word}");
        }
    }

    #[test]
    fn circles_of_any_length() {
        let waits_for: BTreeMap<_, _> = [
            ("a", &["b", "x"][..]),
            ("b", &["c"]),
            ("c", &["x", "a"]),
            ("x", &["y"]),
            ("y", &["z"]),
            ("z", &["y"]),
            ("self", &["self"]),
        ]
        .into_iter()
        .map(|(from, to)| (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
        .collect();
        let circle = |from: &str| circle(from, &waits_for).map(|way| way.join(" "));
        assert_eq!(circle("a").unwrap(), "a b c a");
        assert_eq!(circle("y").unwrap(), "y z y");
        assert_eq!(circle("self").unwrap(), "self self");
        assert_eq!(circle("x"), None, "it only leads to one");
        assert_eq!(circle("elsewhere"), None);
    }
}
