//! What each process may write, by its rules: whose lines pass, and how many were dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Form;
use super::bucket::Bucket;
use super::rules::{OnFull, Rules};

/// How long after the first line that was dropped it is said how many were.
const SAID_AFTER: Duration = Duration::from_secs(10);

/// The rules by name, as a config has them.
pub(super) type Book = HashMap<Arc<str>, Rules>;

/// All processes that wrote so far. Times are counted from the start of the thread.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    book: Book,
    /// When the first line was dropped that nothing was said about yet.
    unsaid_since: Option<Duration>,
    /// Something was dropped since the sums were last asked for.
    changed: bool,
}

#[derive(Debug)]
struct Lane {
    name: Arc<str>,
    bucket: Option<Bucket>,
    buffer: usize,
    on_full: OnFull,
    form: Option<Form>,
    /// Dropped and not said yet, and since when.
    unsaid: u64,
    since: Duration,
    /// All that were dropped.
    dropped: u64,
}

impl Lane {
    fn set(&mut self, rules: Rules) {
        self.bucket = rules.rate.map(|rate| Bucket::new(rate, rules.burst));
        self.buffer = rules.buffer;
        self.on_full = rules.on_full;
        self.form = rules.form;
    }
}

/// What is to be done with the lines of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// They are taken, as long as the sink takes them.
    Plain,
    /// As above, but no more than a rate.
    Paced,
    /// They are taken in any case, and dropped where they are too many.
    Dropping,
}

impl Lanes {
    /// New rules, which count from the next line on.
    pub(super) fn rule(&mut self, book: Book) {
        self.book = book;
        for lane in &mut self.lanes {
            lane.set(self.book.get(&lane.name).cloned().unwrap_or_default());
        }
    }

    /// Makes room for the process at this place, which is new or the next one.
    pub(super) fn open(&mut self, at: usize, name: &Arc<str>) {
        if at == self.lanes.len() {
            let mut lane = Lane {
                name: name.clone(),
                bucket: None,
                buffer: 0,
                on_full: OnFull::Block,
                form: None,
                unsaid: 0,
                since: Duration::ZERO,
                dropped: 0,
            };
            lane.set(self.book.get(&lane.name).cloned().unwrap_or_default());
            self.lanes.push(lane);
        }
    }

    pub(super) fn course(&self, at: usize) -> Course {
        match &self.lanes[at] {
            Lane { on_full: OnFull::Drop, .. } => Course::Dropping,
            Lane { bucket: Some(_), .. } => Course::Paced,
            Lane { .. } => Course::Plain,
        }
    }

    /// The form of a process's lines, if it has one of its own.
    pub(super) fn form(&self, at: usize) -> Option<Form> {
        self.lanes[at].form
    }

    /// Does any process not wait for the destination?
    pub(super) fn any_drops(&self) -> bool {
        self.lanes.iter().any(|lane| lane.on_full == OnFull::Drop)
    }

    /// How long a process that is paced has to rest.
    pub(super) fn rest(&self, at: usize, now: Duration) -> Duration {
        self.lanes[at].bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.wait(now))
    }

    /// Counts a line of a process that is paced.
    pub(super) fn charge(&mut self, at: usize, now: Duration) {
        if let Some(bucket) = &mut self.lanes[at].bucket {
            bucket.charge(now);
        }
    }

    /// May a line of a process that drops pass?
    pub(super) fn take(&mut self, at: usize, now: Duration) -> bool {
        self.lanes[at].bucket.as_mut().is_none_or(|bucket| bucket.take(now))
    }

    /// Do so many bytes fit into its buffer, in which others wait?
    pub(super) fn fits(&self, at: usize, waiting: usize, bytes: usize) -> bool {
        waiting.saturating_add(bytes) <= self.lanes[at].buffer
    }

    /// Counts a line that was dropped.
    pub(super) fn dropped(&mut self, at: usize, now: Duration) {
        let lane = &mut self.lanes[at];
        if lane.unsaid == 0 {
            lane.since = now;
        }
        lane.unsaid += 1;
        lane.dropped += 1;
        self.unsaid_since.get_or_insert(now);
        self.changed = true;
    }

    /// When something is to be said, if anything is.
    pub(super) fn due(&self) -> Option<Duration> {
        self.unsaid_since.map(|since| since + SAID_AFTER)
    }

    /// What is to be said of lines that were dropped, which is then said.
    pub(super) fn say(&mut self, now: Duration) -> Vec<String> {
        if self.unsaid_since.take().is_none() {
            return Vec::new();
        }
        let unsaid = self.lanes.iter_mut().filter(|lane| lane.unsaid > 0);
        unsaid
            .map(|lane| {
                let count = std::mem::take(&mut lane.unsaid);
                let lines = if count == 1 { "line" } else { "lines" };
                // A part of a second counts as one.
                let time = now.saturating_sub(lane.since).as_millis().div_ceil(1000).max(1);
                format!("dropped {} {lines} of {} in {time} s", grouped(count), lane.name)
            })
            .collect()
    }

    /// How many lines of each process were dropped, if that has changed.
    pub(super) fn sums(&mut self) -> Option<Vec<(Arc<str>, u64)>> {
        let changed = std::mem::take(&mut self.changed);
        let dropped = || self.lanes.iter().filter(|lane| lane.dropped > 0);
        changed.then(|| dropped().map(|lane| (lane.name.clone(), lane.dropped)).collect())
    }
}

/// `1,204`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::rules::Rate;
    use crate::scalar::Scalar;

    fn lanes(rules: Rules) -> Lanes {
        let mut lanes = Lanes::default();
        lanes.rule([("agent".into(), rules)].into());
        lanes.open(0, &"agent".into());
        lanes.open(1, &"main".into());
        lanes
    }

    fn dropping() -> Rules {
        let rate = Rate::read("1/s");
        Rules { rate, burst: 2, buffer: 100, on_full: OnFull::Drop, form: None }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_has_its_own_course() {
        let lanes = lanes(dropping());
        assert_eq!((lanes.course(0), lanes.course(1)), (Course::Dropping, Course::Plain));
        assert!(lanes.any_drops());
        let paced = self::lanes(Rules { on_full: OnFull::Block, ..dropping() });
        assert_eq!(paced.course(0), Course::Paced);
        assert!(!paced.any_drops());
    }

    #[test]
    fn a_timer_only_while_something_is_unsaid() {
        let mut lanes = lanes(dropping());
        assert_eq!(lanes.due(), None);
        for second in [20, 20, 20, 20, 24] {
            if !lanes.take(0, at(second)) {
                lanes.dropped(0, at(second));
            }
        }
        assert_eq!(lanes.due(), Some(at(30)));
        assert_eq!(lanes.sums(), Some(vec![("agent".into(), 2)]));
        assert_eq!(lanes.sums(), None);
        assert_eq!(lanes.say(at(30)), ["dropped 2 lines of agent in 10 s"]);
        assert_eq!((lanes.due(), lanes.say(at(31))), (None, vec![]));
        lanes.dropped(0, at(40));
        assert_eq!(lanes.say(at(40)), ["dropped 1 line of agent in 1 s"]);
        assert_eq!(lanes.sums(), Some(vec![("agent".into(), 3)]));
    }

    #[test]
    fn new_rules_keep_what_was_counted() {
        let mut lanes = lanes(dropping());
        lanes.dropped(0, at(1));
        lanes.rule(Book::new());
        assert_eq!(lanes.course(0), Course::Plain);
        assert_eq!(lanes.say(at(2)), ["dropped 1 line of agent in 1 s"]);
        assert_eq!(lanes.sums(), Some(vec![("agent".into(), 1)]));
    }

    #[test]
    fn the_buffer_counts_what_waits() {
        let lanes = lanes(dropping());
        assert!(lanes.fits(0, 60, 40) && !lanes.fits(0, 61, 40) && !lanes.fits(0, 1, usize::MAX));
    }

    #[test]
    fn numbers_are_grouped() {
        for (count, text) in [(0, "0"), (999, "999"), (1204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(count), text);
        }
    }
}
