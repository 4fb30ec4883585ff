//! Replicas of one coprocess as a group: which of their events are the group's own. Pure.

use crate::event::{Change, Event, EventName};
use crate::name::Name;

/// The replicas of one coprocess, and how far each of them is.
#[derive(Clone, Debug)]
pub struct Group {
    name: Name,
    replicas: Vec<(Name, Stand)>,
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Its program does not run, and did not.
    New,
    /// Its program runs.
    Started,
    /// It serves.
    Ready,
    /// Its program ended and may come back.
    Exited,
    /// It failed for good.
    Failed,
    /// It has ended for good otherwise.
    Stopped,
}

impl Group {
    /// Of replicas none of which was started.
    pub fn new(name: Name, replicas: impl IntoIterator<Item = Name>) -> Self {
        Self { name, replicas: replicas.into_iter().map(|name| (name, Stand::New)).collect() }
    }

    /// Takes an event in, and says which event of the group comes of it: of what all have to be, when
    /// the last is; of what goes wrong, each time.
    pub fn hears(&mut self, event: &Event) -> Option<Event> {
        let EventName::Coprocess(who, change) = &event.name else { return None };
        let number = self.replicas.iter().position(|(name, _)| name == who)?;
        let holds = |group: &Self| match change {
            Change::Started => group.all(|stand| matches!(stand, Stand::Started | Stand::Ready)),
            Change::Ready => group.all(|stand| stand == Stand::Ready),
            Change::Stopped => group.all(|stand| stand == Stand::Stopped),
            Change::Exited | Change::Failed => false,
        };
        let held = holds(self);
        self.replicas[number].1 = match change {
            Change::Started => Stand::Started,
            Change::Ready => Stand::Ready,
            Change::Exited => Stand::Exited,
            Change::Failed => Stand::Failed,
            Change::Stopped => Stand::Stopped,
        };
        let all = !held && holds(self);
        let own = |change| Event::new(EventName::Coprocess(self.name.clone(), change));
        match change {
            Change::Exited | Change::Failed => {
                let told = Event { fields: event.fields.clone(), ..own(*change) };
                Some(told.with("replica", number + 1))
            }
            Change::Started | Change::Ready | Change::Stopped if all => {
                Some(own(*change).with("replicas", self.replicas.len()))
            }
            Change::Started | Change::Ready | Change::Stopped => None,
        }
    }

    fn all(&self, are: impl Fn(Stand) -> bool) -> bool {
        self.replicas.iter().all(|(_, stand)| are(*stand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a group of three makes of events such as `2 ready`.
    fn of(events: &[&str]) -> Vec<String> {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut group = Group::new(name("web"), (1..=3).map(|n| name(&format!("web-{n}"))));
        let told = events.iter().filter_map(|text| {
            let (number, change) = text.split_once(' ').unwrap();
            let event: EventName = format!("coprocess.web-{number}.{change}").parse().unwrap();
            group.hears(&Event::new(event))
        });
        told.map(|event| {
            let (key, value) = event.fields.last().unwrap();
            format!("{} {key}={value}", event.name)
        })
        .collect()
    }

    #[test]
    fn it_is_ready_when_the_last_is_and_again_after_one_was_not() {
        let up = ["1 started", "1 ready", "2 started", "3 started", "3 ready", "2 ready"];
        let told = ["coprocess.web.started replicas=3", "coprocess.web.ready replicas=3"];
        assert_eq!(of(&up), told);
        let again = [&up[..], &["2 exited", "2 started", "2 ready"]].concat();
        let more = ["coprocess.web.exited replica=2", told[0], told[1]];
        assert_eq!(of(&again), [&told[..], &more].concat());
    }

    #[test]
    fn it_has_stopped_when_the_last_has_and_fails_with_each() {
        let one_by_one = ["1 started", "1 stopped", "2 started", "2 stopped", "3 stopped"];
        assert_eq!(of(&one_by_one), ["coprocess.web.stopped replicas=3"]);
        let told = of(&["1 stopped", "2 failed", "1 exited", "1 stopped", "3 stopped"]);
        assert_eq!(told, ["coprocess.web.failed replica=2", "coprocess.web.exited replica=1"]);
    }

    #[test]
    fn others_are_none_of_its_business() {
        assert_eq!(of(&["4 started", "11 ready"]), [""; 0]);
        let mut group = Group::new("web".parse().unwrap(), ["web-1".parse().unwrap()]);
        assert_eq!(group.hears(&Event::new(crate::event::Phase::Start)), None);
    }
}
