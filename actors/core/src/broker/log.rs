//! The events that happened, numbered, for those who look back and those who follow.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::event::{Event, EventName};

/// How many events can be looked back on, and how far a follower may lag behind.
const KEPT: usize = 1024;

/// An event with its number and time.
#[derive(Clone, Debug)]
pub struct Stamped {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was published to the first subscriber.
    pub time: SystemTime,
    /// What happened.
    pub event: Event,
}

impl Stamped {
    /// One JSON object: `seq`, `time`, `event`, then the event's own fields.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("seq".into(), self.seq.into());
        map.insert("time".into(), humantime::format_rfc3339_millis(self.time).to_string().into());
        map.insert("event".into(), self.event.name.to_string().into());
        for (key, value) in &self.event.fields {
            map.insert((*key).to_owned(), value.clone());
        }
        Value::Object(map)
    }
}

/// The last events, and the channel on which further ones come. It outlives a broker that dies.
#[derive(Debug)]
pub struct EventLog {
    last: u64,
    kept: VecDeque<Arc<Stamped>>,
    /// By class.
    counts: HashMap<&'static str, u64>,
    followers: broadcast::Sender<Arc<Stamped>>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            last: 0,
            kept: VecDeque::new(),
            counts: HashMap::new(),
            followers: broadcast::channel(KEPT).0,
        }
    }
}

impl EventLog {
    /// Numbers an event and shows it to the followers.
    pub fn record(&mut self, event: Event, time: SystemTime) {
        self.last += 1;
        *self.counts.entry(event.name.class()).or_default() += 1;
        let stamped = Arc::new(Stamped { seq: self.last, time, event });
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(stamped.clone());
        // An error says that nobody follows.
        let _ = self.followers.send(stamped);
    }

    /// The kept events after number `seq`.
    pub fn since(&self, seq: u64) -> Vec<Arc<Stamped>> {
        self.kept.iter().filter(|stamped| stamped.seq > seq).cloned().collect()
    }

    /// How many events there were of each class of [`EventName::CLASSES`].
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |class| (class, self.counts.get(class).copied().unwrap_or(0));
        EventName::CLASSES.into_iter().map(count)
    }

    /// All events from now on. One who falls behind by more than a thousand events is told how many
    /// it missed and may ask again with [`EventLog::since`].
    pub fn follow(&self) -> broadcast::Receiver<Arc<Stamped>> {
        self.followers.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Phase;

    #[test]
    fn numbers_go_on_and_old_events_go() {
        let mut log = EventLog::default();
        let mut follower = log.follow();
        for _ in 0..KEPT + 3 {
            log.record(Event::new(Phase::Start).with("pid", 7), SystemTime::UNIX_EPOCH);
        }
        assert_eq!(log.since(0).len(), KEPT);
        let counted: Vec<_> = log.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("start", KEPT as u64 + 3)]);
        assert_eq!(log.since(KEPT as u64 + 1).len(), 2);
        assert!(matches!(follower.try_recv(), Err(broadcast::error::TryRecvError::Lagged(3))));
        assert_eq!(
            log.since(KEPT as u64 + 2)[0].to_json().to_string(),
            r#"{"seq":1027,"time":"1970-01-01T00:00:00.000Z","event":"start","pid":7}"#
        );
    }
}
