//! The lines that wait to be forwarded, and what is to be said of those that cannot.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coproc_core::output::LogLine;

/// How long after the first line that was dropped it is said how many were.
const SAID_AFTER: Duration = Duration::from_secs(10);

/// How much one place took.
#[derive(Debug)]
pub struct Figures {
    /// The name of its table.
    pub name: String,
    /// Lines that were sent.
    pub sent: AtomicU64,
    /// Lines that were dropped: too many waited, or the place refused them.
    pub dropped: AtomicU64,
}

impl Figures {
    /// Lines sent and lines dropped.
    pub fn sums(&self) -> [u64; 2] {
        [&self.sent, &self.dropped].map(|sum| sum.load(Ordering::Relaxed))
    }
}

/// Filled by the output thread, emptied by the place's own.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) figures: Arc<Figures>,
    state: Mutex<State>,
    woken: Condvar,
    /// Something is to be said; looked at without the lock.
    news: AtomicBool,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<LogLine>,
    /// Taken, and neither sent nor dropped yet.
    taken: usize,
    /// Dropped and not said yet, and since when.
    dropped: u64,
    since: Option<Instant>,
    /// Sentences about the place that were not said yet.
    said: Vec<String>,
    /// When to stop, once asked to.
    deadline: Option<Instant>,
    ended: bool,
}

impl Queue {
    pub(super) fn new(name: String, most: usize) -> Self {
        let figures = Figures { name, sent: AtomicU64::new(0), dropped: AtomicU64::new(0) };
        Self {
            figures: Arc::new(figures),
            state: Mutex::default(),
            woken: Condvar::new(),
            news: AtomicBool::new(false),
            most: most.max(1),
        }
    }

    /// Queues a line, or counts it as dropped. Never waits.
    pub(super) fn push(&self, line: LogLine) {
        let mut state = self.lock();
        if state.lines.len() >= self.most {
            self.count_dropped(&mut state, 1);
            return;
        }
        state.lines.push_back(line);
        let first = state.lines.len() == 1;
        drop(state);
        // Who gathers a batch has looked already, and looks again by itself.
        if first {
            self.woken.notify_all();
        }
    }

    /// Waits for lines, then up to `gather` for as many as `most`, and takes them. None at the end.
    pub(super) fn take(&self, most: usize, gather: Duration) -> Option<Vec<LogLine>> {
        let mut state = self.lock();
        while state.lines.is_empty() {
            if state.deadline.is_some() {
                return None;
            }
            state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + gather;
        while state.lines.len() < most.min(self.most) && state.deadline.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.woken.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.lines.len().min(most);
        state.taken = count;
        Some(state.lines.drain(..count).collect())
    }

    /// Waits between two tries; false if there is no time for another.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let until = state.deadline.map_or(until, |deadline| deadline.min(until));
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return true;
            }
            let waited = self.woken.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How long a call may take: less and less towards the end.
    pub(super) fn patience(&self, most: Duration) -> Duration {
        let left = self.lock().deadline.map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(most, |left| left.min(most)).max(Duration::from_millis(1))
    }

    /// Counts lines that were sent.
    pub(super) fn sent(&self, count: usize) {
        let mut state = self.lock();
        // Who was left behind at the end may be heard of late.
        state.taken = state.taken.saturating_sub(count);
        drop(state);
        self.figures.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts the lines that were taken and not sent: nobody tries any more.
    pub(super) fn give_up(&self) {
        let mut state = self.lock();
        let count = std::mem::take(&mut state.taken) as u64;
        self.count_dropped(&mut state, count);
    }

    /// Has a sentence said in the log.
    pub(super) fn say(&self, sentence: String) {
        self.lock().said.push(format!("forward {}: {sentence}", self.figures.name));
        self.news.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed)
    }

    /// What is to be said, which is then said: at the end all of it.
    pub(super) fn news(&self, now: Instant, end: bool) -> Vec<String> {
        let mut state = self.lock();
        let mut news = std::mem::take(&mut state.said);
        if let Some(since) = state.since
            && (end || now.saturating_duration_since(since) >= SAID_AFTER)
        {
            let count = std::mem::take(&mut state.dropped);
            state.since = None;
            let lines = if count == 1 { "line" } else { "lines" };
            let time = now.saturating_duration_since(since).as_millis().div_ceil(1000).max(1);
            news.push(format!(
                "forward {}: dropped {count} {lines} in {time} s",
                self.figures.name
            ));
        }
        self.news.store(state.since.is_some(), Ordering::Relaxed);
        news
    }

    /// Asks the thread to end, by a time.
    pub(super) fn end(&self, deadline: Instant) {
        self.lock().deadline = Some(deadline);
        self.woken.notify_all();
    }

    /// The thread is done.
    pub(super) fn ended(&self) {
        self.lock().ended = true;
        self.woken.notify_all();
    }

    /// Whether the thread was done by then. What has not been sent is dropped.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.woken.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let left = state.lines.len() + std::mem::take(&mut state.taken);
        state.lines.clear();
        if left > 0 {
            self.count_dropped(&mut state, left as u64);
        }
        state.ended
    }

    fn count_dropped(&self, state: &mut State, count: u64) {
        state.dropped += count;
        state.since.get_or_insert_with(Instant::now);
        self.figures.dropped.fetch_add(count, Ordering::Relaxed);
        self.news.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_core::output::{Level, Part};
    use std::time::SystemTime;

    fn push(queue: &Queue, text: &str) {
        let (time, level, part) = (SystemTime::now(), Level::Info, Part::Whole);
        let (logger, text) = ("a".into(), text.as_bytes().into());
        queue.push(LogLine { time, logger, stream: None, level, text, part, missed: 0 });
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said_in_its_time() {
        let queue = Queue::new("x".into(), 2);
        assert!(!queue.has_news());
        for text in ["1", "2", "3", "4"] {
            push(&queue, text);
        }
        assert!(queue.has_news());
        assert!(queue.news(Instant::now(), false).is_empty());
        let later = Instant::now() + SAID_AFTER;
        assert_eq!(queue.news(later, false), ["forward x: dropped 2 lines in 10 s"]);
        assert!(!queue.has_news());
        let lines = queue.take(9, Duration::from_secs(60)).unwrap();
        assert_eq!(lines.len(), 2, "a full queue is a batch");
        assert_eq!(queue.figures.dropped.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn the_end_wakes_and_what_is_left_is_dropped() {
        let queue = Queue::new("x".into(), 9);
        queue.end(Instant::now());
        assert!(!queue.pause(Duration::from_secs(60)));
        push(&queue, "1");
        assert_eq!(queue.take(9, Duration::from_secs(60)).unwrap().len(), 1);
        queue.sent(1);
        assert!(queue.take(9, Duration::from_secs(60)).is_none());
        push(&queue, "2");
        queue.ended();
        assert!(queue.wait_for_end(Instant::now()));
        assert_eq!(queue.news(Instant::now(), true), ["forward x: dropped 1 line in 1 s"]);
    }
}
