//! How many lines of a rate may pass by now. The clock is the caller's.

use std::time::Duration;

use super::rules::Rate;

/// Tokens for lines. It knows only when all lines that were taken would have come at exactly the
/// rate; a burst is how far that may lie ahead. Times are counted from any one moment.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Nanoseconds from one line to the next.
    interval: u64,
    /// How many nanoseconds `due` may lie ahead of now.
    ahead: u64,
    due: u64,
}

impl Bucket {
    /// A full one: so many lines may come at once.
    pub(super) fn new(rate: Rate, burst: u32) -> Self {
        let interval = rate.interval();
        Self { interval, ahead: interval.saturating_mul(u64::from(burst.max(1)) - 1), due: 0 }
    }

    /// Takes a line if it may pass now.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let free = self.wait(now).is_zero();
        if free {
            self.charge(now);
        }
        free
    }

    /// Takes a line that is there already; those after it wait the longer.
    pub(super) fn charge(&mut self, now: Duration) {
        self.due = self.due.max(nanos(now)).saturating_add(self.interval);
    }

    /// How long until the next line may pass; zero if it may now.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        Duration::from_nanos(self.due.saturating_sub(nanos(now)).saturating_sub(self.ahead))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Scalar;
    use proptest::prelude::*;

    fn bucket(rate: &str, burst: u32) -> Bucket {
        Bucket::new(Rate::read(rate).unwrap(), burst)
    }

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = bucket("10/s", 3);
        let passed = |bucket: &mut Bucket, at| (0..9).filter(|_| bucket.take(ms(at))).count();
        assert_eq!(passed(&mut bucket, 5000), 3);
        assert_eq!(bucket.wait(ms(5000)), ms(100));
        assert_eq!(passed(&mut bucket, 5099), 0);
        assert_eq!(passed(&mut bucket, 5100), 1);
        assert_eq!(passed(&mut bucket, 5350), 2);
        // What was spared by silence is never more than the burst.
        assert_eq!(passed(&mut bucket, 99_000), 3);
    }

    #[test]
    fn lines_that_are_there_already_are_a_debt() {
        let mut bucket = bucket("10/s", 1);
        for _ in 0..20 {
            bucket.charge(ms(1000));
        }
        assert_eq!(bucket.wait(ms(1000)), ms(2000));
        assert!(!bucket.take(ms(2999)));
        assert!(bucket.take(ms(3000)));
    }

    #[test]
    fn a_clock_that_goes_back_and_the_greatest_numbers() {
        let mut bucket = bucket("1/1h", u32::MAX);
        assert!(bucket.take(ms(5000)));
        assert!(bucket.take(ms(0)));
        let mut bucket = self::bucket("1/2000000h", u32::MAX);
        assert!(bucket.take(Duration::MAX));
        assert!(bucket.take(Duration::MAX));
    }

    proptest! {
        /// In no window of time pass more than the burst and what the rate brings in it.
        #[test]
        fn never_too_many(
            pauses in proptest::collection::vec(0u64..300, 1..200),
            lines in 1u32..50,
            burst in 1u32..20,
        ) {
            let mut bucket = bucket(&format!("{lines}/s"), burst);
            let mut now = 0;
            let mut passed = Vec::new();
            for pause in pauses {
                now += pause;
                if bucket.take(ms(now)) {
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    // Rounded up, since an interval is rounded down to a nanosecond.
                    let allowed = u64::from(burst) + (to - from) * u64::from(lines) / 1000 + 1;
                    prop_assert!((last - first + 1) as u64 <= allowed);
                }
            }
        }
    }
}
