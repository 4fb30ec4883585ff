//! What goes wrong again and again, as the log tells of it: the first time at once, then at most one line in an
//! interval, which says for how many more it stands. Who wants each one has metrics and events.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long after a line no other one is written.
const EVERY: Duration = Duration::from_secs(10);

/// One thing that may go wrong.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When the last line was written.
    told: Option<Instant>,
    /// How often it happened since.
    untold: u64,
}

/// How often it happened since the last line, as the end of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untold(u64);

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (and once more since this was last told)"),
            times => write!(f, " (and {times} times more since this was last told)"),
        }
    }
}

impl Repeats {
    /// It has happened again: the end of the line that is to be written, if one is.
    pub(crate) fn happened(&self) -> Option<Untold> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, untold) = step(*state, Instant::now());
        *state = next;
        untold
    }
}

fn step(State { told, untold }: State, now: Instant) -> (State, Option<Untold>) {
    match told {
        Some(last) if now < last + EVERY => (State { told, untold: untold + 1 }, None),
        _ => (State { told: Some(now), untold: 0 }, Some(Untold(untold))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stands_for_all_that_came_before_it() {
        let begin = Instant::now();
        let mut state = State::default();
        let mut at = |seconds| {
            let (next, untold) = step(state, begin + Duration::from_secs(seconds));
            state = next;
            untold.map(|untold| untold.to_string())
        };
        assert_eq!(at(0).as_deref(), Some(""));
        assert_eq!((at(0), at(9)), (None, None));
        assert_eq!(at(10).as_deref(), Some(" (and 2 times more since this was last told)"));
        assert_eq!(at(19), None);
        assert_eq!(at(3600).as_deref(), Some(" (and once more since this was last told)"));
        assert_eq!(at(3610).as_deref(), Some(""));
    }
}
