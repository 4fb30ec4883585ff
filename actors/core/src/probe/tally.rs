//! Answers in a row, and when they turn into a verdict. Pure.

/// Counts answers; good ones in a row make it up, bad ones in a row make it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    successes: u32,
    failures: u32,
    verdict: Option<Verdict>,
    last_was_good: bool,
    in_a_row: u32,
}

/// What the answers amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes.
    Up,
    /// No.
    Down,
}

impl Tally {
    /// A tally that has heard nothing yet.
    pub(super) fn new(successes: u32, failures: u32) -> Self {
        Self { successes, failures, verdict: None, last_was_good: false, in_a_row: 0 }
    }

    /// Whether more answers like the last one change nothing.
    pub(super) fn is_settled(&self) -> bool {
        let verdict = if self.last_was_good { Verdict::Up } else { Verdict::Down };
        self.verdict == Some(verdict)
    }

    /// Takes an answer in; the verdict comes out when it changes.
    #[must_use]
    pub(super) fn take(mut self, good: bool) -> (Self, Option<Verdict>) {
        self.in_a_row = match self.last_was_good == good {
            true => self.in_a_row.saturating_add(1),
            false => 1,
        };
        self.last_was_good = good;
        let (needed, verdict) = match good {
            true => (self.successes, Verdict::Up),
            false => (self.failures, Verdict::Down),
        };
        let changed = self.in_a_row >= needed && self.verdict != Some(verdict);
        if changed {
            self.verdict = Some(verdict);
        }
        (self, changed.then_some(verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn play(successes: u32, failures: u32, answers: &str) -> String {
        let mut tally = Tally::new(successes, failures);
        let verdicts = answers.chars().map(|answer| {
            let (next, verdict) = tally.take(answer == '+');
            tally = next;
            match verdict {
                Some(Verdict::Up) => 'U',
                Some(Verdict::Down) => 'D',
                None => '.',
            }
        });
        verdicts.collect()
    }

    #[test]
    fn verdicts_come_when_they_change() {
        assert_eq!(play(1, 3, "---+--+---+"), "..DU.....DU");
        assert_eq!(play(2, 1, "+-++-+"), ".D.UD.");
        assert_eq!(play(1, 1, "++--"), "U.D.");
    }

    proptest! {
        #[test]
        fn a_verdict_needs_its_answers_in_a_row(
            successes in 1u32..5,
            failures in 1u32..5,
            answers in proptest::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut tally = Tally::new(successes, failures);
            let mut last = None;
            for (at, good) in answers.iter().enumerate() {
                let (next, verdict) = tally.take(*good);
                tally = next;
                let Some(verdict) = verdict else { continue };
                prop_assert_ne!(Some(verdict), last);
                last = Some(verdict);
                let needed = if verdict == Verdict::Up { successes } else { failures };
                let row = answers[..=at].iter().rev().take_while(|a| *a == good).count();
                prop_assert!(row >= needed as usize);
            }
        }
    }
}
