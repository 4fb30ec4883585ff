//! Several events of which a subscriber waits for all: which of them hold just now. Pure.

use super::Subscription;
use crate::event::{Change, Event, EventName};

/// What one subscriber waits for, and what of it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Join(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    event: EventName,
    holds: bool,
}

impl Join {
    pub(super) fn new(subscription: &Subscription) -> Self {
        let Subscription { exec_event, after, .. } = subscription;
        let alone = (!after.contains(exec_event)).then_some(exec_event);
        let part = |event: &EventName| Part { event: event.clone(), holds: false };
        Self(alone.into_iter().chain(after).map(part).collect())
    }

    /// Takes an event in; whether it starts the subscriber: it is one of those that are waited for,
    /// and all others hold.
    pub(super) fn hears(&mut self, event: &Event) -> bool {
        let several = self.0.len() > 1;
        let mut heard = false;
        for part in &mut self.0 {
            if part.event == event.name && (!several || counts(event)) {
                part.holds = true;
                heard = true;
            } else if undoes(&event.name, &part.event) {
                part.holds = false;
            }
        }
        heard && self.0.iter().all(|part| part.holds)
    }

    /// What has not come, or holds no longer.
    pub(super) fn missing(&self) -> impl Iterator<Item = &EventName> {
        self.0.iter().filter(|part| !part.holds).map(|part| &part.event)
    }
}

/// One that was ended by a signal was stopped, and is not what others can go on from.
fn counts(event: &Event) -> bool {
    let stopped = matches!(event.name, EventName::Coprocess(_, Change::Stopped));
    !stopped || !event.fields.iter().any(|(key, _)| *key == "signal")
}

/// Whether `earlier` no longer holds once `event` has come.
fn undoes(event: &EventName, earlier: &EventName) -> bool {
    let (EventName::Coprocess(who, change), EventName::Coprocess(whom, before)) = (event, earlier)
    else {
        return false;
    };
    let up = |change: &Change| matches!(change, Change::Started | Change::Ready);
    who == whom && up(change) != up(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase;

    fn join(exec_event: &str, after: &[&str]) -> Join {
        Join::new(&Subscription {
            place: 0,
            rank: 0,
            exec_event: exec_event.parse().unwrap(),
            after: after.iter().map(|event| event.parse().unwrap()).collect(),
            stop_event: None,
        })
    }

    fn hears(join: &mut Join, event: &str) -> bool {
        join.hears(&Event::new(event.parse::<EventName>().unwrap()))
    }

    #[test]
    fn one_event_starts_whenever_it_comes() {
        let mut one = join("coprocess.a.stopped", &[]);
        let stopped = Event::new(EventName::Coprocess("a".parse().unwrap(), Change::Stopped));
        for _ in 0..2 {
            assert!(one.hears(&stopped.clone().with("signal", "TERM")));
            assert!(!hears(&mut one, "start"));
        }
    }

    #[test]
    fn the_last_of_several_starts_in_whatever_order_they_come() {
        let all = ["coprocess.a.ready", "custom.b", "start"];
        for turn in 0..3 {
            let mut join = join(all[0], &all);
            assert_eq!(join.missing().count(), 3);
            assert!(!hears(&mut join, all[turn]));
            assert!(!hears(&mut join, all[turn]), "twice is not two");
            assert!(!hears(&mut join, all[(turn + 1) % 3]));
            assert!(!hears(&mut join, "custom.other"));
            assert!(hears(&mut join, all[(turn + 2) % 3]));
            assert!(hears(&mut join, all[turn]), "again, with all others");
        }
    }

    #[test]
    fn what_went_down_has_to_come_up_again() {
        let mut both = join("start", &["coprocess.db.ready"]);
        assert!(!hears(&mut both, "coprocess.db.ready"));
        assert!(!hears(&mut both, "coprocess.db.exited"));
        assert!(!hears(&mut both, "start"));
        let missing: Vec<_> = both.missing().map(ToString::to_string).collect();
        assert_eq!(missing, ["coprocess.db.ready"]);
        assert!(!hears(&mut both, "coprocess.db.started"));
        assert!(hears(&mut both, "coprocess.db.ready"));
        let mut step = join("start", &["coprocess.step.stopped"]);
        assert!(!hears(&mut step, "coprocess.step.stopped"));
        assert!(!hears(&mut step, "coprocess.step.started"), "it runs anew");
        assert!(!hears(&mut step, "start"));
        assert!(hears(&mut step, "coprocess.step.stopped"));
    }

    #[test]
    fn a_step_that_was_stopped_by_a_signal_was_not_done() {
        let stopped = || Event::new(EventName::Coprocess("a".parse().unwrap(), Change::Stopped));
        let mut join = join("start", &["coprocess.a.stopped"]);
        assert!(!join.hears(&Event::new(Phase::Start)));
        assert!(!join.hears(&stopped().with("signal", "TERM")));
        assert!(join.hears(&stopped().with("code", 0)));
    }
}
