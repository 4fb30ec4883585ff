//! What `coproc logs` shows: the last lines of every child and of coproc, and who follows them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::ring::Ring;
use super::{Line, LogLine};

/// Rings by name, and followers. The names are those of the configured children, so they are few.
#[derive(Debug)]
pub(super) struct Memory {
    rings: Vec<(Arc<str>, Ring)>,
    index: HashMap<Arc<str>, usize>,
    own: Ring,
    followers: Vec<Follower>,
    /// How many lines all followers together missed so far.
    missed: u64,
    /// How much each ring holds, in bytes.
    size: usize,
    /// The number of the next line, which gives lines of different rings one order.
    next: u64,
}

#[derive(Debug)]
struct Follower {
    /// The children whose lines it wants; none for all lines.
    names: Vec<Arc<str>>,
    lines: mpsc::Sender<LogLine>,
    missed: u64,
}

/// Which ring a stream's lines go to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl Place {
    /// Its number; places are numbered from zero on.
    pub(super) fn at(self) -> usize {
        self.0
    }
}

impl Memory {
    pub(super) fn new(size: usize) -> Self {
        Self {
            rings: Vec::new(),
            index: HashMap::new(),
            own: Ring::new(size),
            followers: Vec::new(),
            missed: 0,
            size,
            next: 0,
        }
    }

    /// The place of a child's lines, which outlives its streams.
    pub(super) fn place(&mut self, name: &Arc<str>) -> Place {
        let next = self.rings.len();
        let place = *self.index.entry(name.clone()).or_insert(next);
        if place == next {
            self.rings.push((name.clone(), Ring::new(self.size)));
        }
        Place(place)
    }

    /// Keeps a line, of a child or (without a place) of coproc, and gives it to the followers.
    pub(super) fn line(&mut self, place: Option<Place>, line: &Line<'_>) {
        let ring = place.and_then(|place| self.rings.get_mut(place.0));
        match ring {
            Some((_, ring)) => ring.push(self.next, line, false),
            None => self.own.push(self.next, line, true),
        }
        self.next += 1;
        if !self.followers.is_empty() {
            let missed = &mut self.missed;
            self.followers.retain_mut(|follower| match follower.line(line) {
                Offered::Taken => true,
                Offered::Missed => {
                    *missed += 1;
                    true
                }
                Offered::Gone => false,
            });
        }
    }

    /// The last `count` lines of these children together; where none is named, of all and coproc itself.
    pub(super) fn last(&mut self, names: &[Arc<str>], count: usize) -> Vec<LogLine> {
        let mut lines = Vec::new();
        if names.is_empty() {
            lines.extend(self.own.last(count, &"".into()));
        }
        for (name, ring) in &mut self.rings {
            if names.is_empty() || names.contains(name) {
                lines.extend(ring.last(count, name));
            }
        }
        lines.sort_unstable_by_key(|(number, _)| *number);
        let surplus = lines.len().saturating_sub(count);
        lines.drain(..surplus).for_each(drop);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// How many lines followers missed so far.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// From now on `lines` receives what comes.
    pub(super) fn follow(&mut self, names: Vec<Arc<str>>, lines: mpsc::Sender<LogLine>) {
        // A follower of a silent child notices its end only here.
        self.followers.retain(|follower| !follower.lines.is_closed());
        self.followers.push(Follower { names, lines, missed: 0 });
    }
}

/// What became of a line that a follower was offered.
enum Offered {
    /// It has it, or does not want it.
    Taken,
    /// It is too slow.
    Missed,
    /// Nobody listens any more.
    Gone,
}

impl Follower {
    fn line(&mut self, line: &Line<'_>) -> Offered {
        let name = self.names.iter().find(|name| ***name == *line.logger);
        // What coproc itself says of a child is not the child's.
        if !self.names.is_empty() && (line.stream.is_none() || name.is_none()) {
            return Offered::Taken;
        }
        let permit = match self.lines.try_reserve() {
            Ok(permit) => permit,
            Err(TrySendError::Full(())) => {
                self.missed += 1;
                return Offered::Missed;
            }
            Err(TrySendError::Closed(())) => return Offered::Gone,
        };
        let name = name.cloned().unwrap_or_else(|| line.logger.into());
        permit.send(line.kept(name, std::mem::take(&mut self.missed)));
        Offered::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Level, Part, Stream};
    use std::time::UNIX_EPOCH;

    fn line<'a>(logger: &'a str, text: &'a str, stream: Option<Stream>) -> Line<'a> {
        let (time, level, part) = (UNIX_EPOCH, Level::Info, Part::Whole);
        Line { time, logger, stream, level, text: text.as_bytes(), part, form: None }
    }

    fn texts(lines: &[LogLine]) -> Vec<String> {
        lines.iter().map(|l| format!("{} {}", l.logger, String::from_utf8_lossy(&l.text))).collect()
    }

    #[test]
    fn lines_of_all_come_in_their_order() {
        let mut memory = Memory::new(1000);
        let a = memory.place(&"a".into());
        let b = memory.place(&"b".into());
        memory.line(Some(b), &line("b", "1", Some(Stream::Stdout)));
        memory.line(None, &line("signals", "2", None));
        memory.line(Some(a), &line("a", "3", Some(Stream::Stderr)));
        let again = memory.place(&"b".into());
        memory.line(Some(again), &line("b", "4", Some(Stream::Stdout)));
        let mut last = |names: &[&str], count| {
            let names: Vec<_> = names.iter().map(|&name| name.into()).collect();
            texts(&memory.last(&names, count))
        };
        assert_eq!(last(&[], 9), ["b 1", "signals 2", "a 3", "b 4"]);
        assert_eq!(last(&[], 2), ["a 3", "b 4"]);
        assert_eq!(last(&["b"], 9), ["b 1", "b 4"]);
        assert_eq!(last(&["c"], 9), [""; 0]);
        assert_eq!(last(&["a", "b"], 2), ["a 3", "b 4"]);
    }

    #[test]
    fn a_slow_follower_misses_lines_and_is_told_how_many() {
        let mut memory = Memory::new(0);
        let place = memory.place(&"a".into());
        let (sender, mut receiver) = mpsc::channel(2);
        memory.follow(vec!["a".into(), "z".into()], sender);
        for text in ["1", "2", "3", "4"] {
            memory.line(Some(place), &line("a", text, Some(Stream::Stdout)));
        }
        memory.line(None, &line("a", "own", None));
        assert_eq!(receiver.try_recv().unwrap().missed, 0);
        assert_eq!(receiver.try_recv().unwrap().missed, 0);
        memory.line(Some(place), &line("a", "5", Some(Stream::Stdout)));
        let fifth = receiver.try_recv().unwrap();
        assert_eq!((&*fifth.text, fifth.missed), (&b"5"[..], 2));
        assert_eq!(memory.missed(), 2);
        drop(receiver);
        memory.line(Some(place), &line("a", "6", Some(Stream::Stdout)));
        assert!(memory.followers.is_empty());
    }
}
