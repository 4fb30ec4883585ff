//! Requests whose responses come back through the coordinator: by which id the provider knows each,
//! where its response goes, and until when it is waited for. Pure: the time is an argument.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use coproc_acomm::Url;

/// A request as its requester knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The requester's id.
    pub id: Arc<str>,
    /// Where the response goes.
    pub hook: Url,
    /// Our address at which it came in, if it came over HTTP.
    pub arrived: Option<SocketAddr>,
    /// Until when a response is waited for.
    pub deadline: Instant,
}

/// Why a request is not tracked, in the original's words where it had some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its id is that of another; the misspelling is what clients know.
    #[error("request id already traacked")]
    Known,
    /// The coordinator stops.
    #[error("failed to track request in unstarted tracker")]
    Stopped,
    /// There are as many as there may be.
    #[error("too many requests wait for a response")]
    Full,
}

/// The requests that wait for a response, and the number of responses on their way.
#[derive(Debug)]
pub struct Tracker {
    by_hop: HashMap<Arc<str>, Origin>,
    ids: HashSet<Arc<str>>,
    deadlines: BTreeSet<(Instant, Arc<str>)>,
    leaving: usize,
    max: usize,
    stopped: bool,
}

impl Tracker {
    /// A tracker of at most `max` requests.
    pub fn new(max: usize) -> Self {
        Self {
            by_hop: HashMap::new(),
            ids: HashSet::new(),
            deadlines: BTreeSet::new(),
            leaving: 0,
            max,
            stopped: false,
        }
    }

    /// Takes a request; `hop` is the id that the provider gets to know.
    ///
    /// # Errors
    /// As [`Refusal`] says.
    pub fn track(&mut self, hop: Arc<str>, origin: Origin) -> Result<(), Refusal> {
        if self.stopped {
            return Err(Refusal::Stopped);
        }
        if self.by_hop.contains_key(&hop) || self.ids.contains(&origin.id) {
            return Err(Refusal::Known);
        }
        if self.by_hop.len() + self.leaving >= self.max {
            return Err(Refusal::Full);
        }
        self.ids.insert(origin.id.clone());
        self.deadlines.insert((origin.deadline, hop.clone()));
        self.by_hop.insert(hop, origin);
        Ok(())
    }

    /// Forgets a request that no provider took.
    pub fn remove(&mut self, hop: &str) -> Option<Origin> {
        let (hop, origin) = self.by_hop.remove_entry(hop)?;
        self.ids.remove(&origin.id);
        self.deadlines.remove(&(origin.deadline, hop));
        Some(origin)
    }

    /// The request that a response answers; the response is now on its way, until [`Self::left`].
    pub fn answer(&mut self, hop: &str) -> Option<Origin> {
        let origin = self.remove(hop)?;
        self.leaving += 1;
        Some(origin)
    }

    /// A request that was waited for long enough, as if a response had come. The longest over due
    /// comes first.
    pub fn expire(&mut self, now: Instant) -> Option<Origin> {
        let (_, hop) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?.clone();
        self.answer(&hop)
    }

    /// A request that is given up before its time, as if a response had come.
    pub fn give_up(&mut self) -> Option<Origin> {
        let (_, hop) = self.deadlines.first()?.clone();
        self.answer(&hop)
    }

    /// A response was delivered or given up.
    pub fn left(&mut self) {
        self.leaving -= 1;
    }

    /// When the next request is over due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Takes no more requests.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// How many requests wait for a response.
    pub fn waiting(&self) -> usize {
        self.by_hop.len()
    }

    /// How many responses are on their way.
    pub fn leaving(&self) -> usize {
        self.leaving
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.by_hop.is_empty() && self.leaving == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn origin(id: &str, deadline: Instant) -> Origin {
        Origin { id: id.into(), hook: Url::default(), arrived: None, deadline }
    }

    #[test]
    fn k14_an_id_is_free_once_its_request_was_given_back() {
        let now = Instant::now();
        let mut tracker = Tracker::new(2);
        tracker.track("h1".into(), origin("a", now)).unwrap();
        assert_eq!(tracker.track("h2".into(), origin("a", now)), Err(Refusal::Known));
        assert_eq!(Refusal::Known.to_string(), "request id already traacked");
        tracker.remove("h1").unwrap();
        tracker.track("h2".into(), origin("a", now)).unwrap();
        assert_eq!(tracker.expire(now).unwrap().id.as_ref(), "a");
        assert!(tracker.expire(now).is_none() && !tracker.is_idle());
        tracker.track("h3".into(), origin("a", now)).unwrap();
        assert_eq!(tracker.track("h4".into(), origin("b", now)), Err(Refusal::Full));
        tracker.left();
        tracker.stop();
        assert_eq!(tracker.track("h4".into(), origin("b", now)), Err(Refusal::Stopped));
        tracker.answer("h3").unwrap();
        tracker.left();
        assert!(tracker.is_idle());
    }

    #[test]
    fn k04_the_requesters_id_answers_nothing() {
        let mut tracker = Tracker::new(9);
        tracker.track("hop".into(), origin("victim", Instant::now())).unwrap();
        assert!(tracker.answer("victim").is_none());
        assert!(tracker.answer("hop").is_some());
    }

    proptest! {
        /// Each request that is taken comes back exactly once, whatever happens in whatever order.
        #[test]
        fn every_request_comes_back_once(
            steps in prop::collection::vec((0u8..4, 0u8..12, 0u64..30), 0..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut tracker = Tracker::new(8);
            let mut open = HashMap::new();
            for (number, (kind, which, time)) in steps.into_iter().enumerate() {
                let id = format!("id{which}");
                match kind {
                    0 => {
                        let hop: Arc<str> = format!("hop{number}").into();
                        let deadline = now + Duration::from_secs(time);
                        let taken = tracker.track(hop.clone(), origin(&id, deadline));
                        let free = !open.contains_key(&id) && open.len() < 8;
                        prop_assert_eq!(taken.is_ok(), free);
                        if free {
                            open.insert(id, (hop, deadline));
                        }
                    }
                    1 | 2 => {
                        let hop = open.get(&id).map(|(hop, _)| hop.clone()).unwrap_or("?".into());
                        let back = match kind {
                            1 => tracker.answer(&hop).inspect(|_| ()),
                            _ => tracker.remove(&hop),
                        };
                        if kind == 1 && back.is_some() {
                            tracker.left();
                        }
                        prop_assert_eq!(back.map(|origin| origin.id.to_string()),
                            open.remove(&id).map(|_| id));
                    }
                    _ => {
                        now += Duration::from_secs(time);
                        while let Some(late) = tracker.expire(now) {
                            tracker.left();
                            let (_, deadline) = open.remove(late.id.as_ref()).unwrap();
                            prop_assert!(deadline <= now);
                        }
                        prop_assert!(open.values().all(|(_, deadline)| *deadline > now));
                    }
                }
                prop_assert_eq!(tracker.waiting(), open.len());
                prop_assert_eq!(tracker.next_deadline(), open.values().map(|(_, at)| *at).min());
            }
        }
    }
}
