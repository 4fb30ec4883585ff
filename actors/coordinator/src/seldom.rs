//! Warnings of what may happen a thousand times a second: one line now and then, with how many there
//! were. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How long nothing is said after a line.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of warning.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Counts one; if it is time for a line, how many came since the last one, this one included.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < PAUSE) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_the_rest_in_the_next() {
        let (mut seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.count(now), Some(1));
        assert_eq!((seldom.count(now), seldom.count(now + PAUSE / 2)), (None, None));
        assert_eq!(seldom.count(now + PAUSE), Some(3));
        assert_eq!(seldom.count(now + PAUSE), None);
    }
}
