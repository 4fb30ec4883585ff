//! Runs at given times: which time is next, and what becomes of one that is due. Pure.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::cron::Cron;

/// A time that is noticed so late, or later, is missed: the clock was set forward, or the machine
/// slept.
const MISSED: SignedDuration = SignedDuration::from_secs(60);
/// A clock that is set back by less than this shows times that have been: they do not come again.
const REPEATED: SignedDuration = SignedDuration::from_hours(3);

/// When a coprocess runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// At which times.
    pub when: When,
    /// What becomes of a run that is due while the one before has not ended.
    pub overlap: Overlap,
    /// Each run is later than its time by less than this, by chance.
    pub jitter: Duration,
    /// Whether the event that begins the schedule starts a run at once.
    pub at_once: bool,
}

/// The times of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// One after another, from the beginning on, by a clock that nobody can set.
    Every(Duration),
    /// Times of the calendar.
    Cron(Cron, Zone),
}

/// Whose clocks show the times of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The machine's, or those of the variable `TZ`.
    Local,
    /// UTC.
    Utc,
}

/// What becomes of a run that is due while the one before has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// It begins when that one has ended; of several that are due meanwhile, one.
    Queue,
    /// That one is stopped for it.
    Restart,
}

/// What is to be done when a run is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Start it.
    Start,
    /// Stop the one before, then start it.
    Restart,
    /// Start it once the one before has ended.
    Wait,
    /// Nothing.
    Skip,
}

/// Where a schedule stands; a rebuilt actor goes on with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agenda {
    /// Since when it is in force; none while it is not.
    pub begun: Option<Instant>,
    /// When the next run is to begin.
    pub next: Option<SystemTime>,
    /// A run waits for the end of the one before.
    pub queued: bool,
    /// Runs that were left out, since the one before had not ended.
    pub skipped: u32,
    /// The last time of the calendar that was worked off.
    last: Option<Timestamp>,
}

/// What becomes of a time of the calendar, seen from a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has not come: the clock was set.
    NotYet,
    /// It is now.
    Now,
    /// It was so long ago that its run is left out.
    Missed,
}

impl Agenda {
    /// A run is due. `ended` says whether the one before has ended.
    pub fn due(&mut self, ended: bool, overlap: Overlap) -> Call {
        match overlap {
            _ if ended => Call::Start,
            Overlap::Restart => Call::Restart,
            Overlap::Queue if !self.queued => {
                self.queued = true;
                Call::Wait
            }
            Overlap::Queue | Overlap::Skip => {
                self.skipped = self.skipped.saturating_add(1);
                Call::Skip
            }
        }
    }

    /// Takes the run that waited, if there is one.
    pub fn take_queued(&mut self) -> bool {
        std::mem::take(&mut self.queued)
    }

    /// The next time of the calendar, by a clock that shows `now`.
    pub fn next_of(&self, cron: &Cron, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let from = match self.last {
            Some(last) if last > now && last.duration_since(now) < REPEATED => last,
            _ => now,
        };
        cron.after(from, zone)
    }

    /// What becomes of `due`, for which `wake` was waited, when the clock shows `now`.
    pub fn judge(&mut self, due: Timestamp, wake: Timestamp, now: Timestamp) -> Verdict {
        if now < wake {
            return Verdict::NotYet;
        }
        self.last = Some(due);
        match now.duration_since(wake) < MISSED {
            true => Verdict::Now,
            false => Verdict::Missed,
        }
    }
}

/// The first of the times `every` after one another from `begun` on that is still to come.
pub fn next_of_grid(begun: Instant, every: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(begun).as_nanos() / every.as_nanos().max(1);
    let number = u32::try_from(passed + 1).unwrap_or(u32::MAX);
    begun + every.saturating_mul(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        format!("2026-06-01T{text}Z").parse().unwrap()
    }

    #[test]
    fn a_run_that_is_due_while_another_goes_on() {
        let mut agenda = Agenda::default();
        for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Restart] {
            assert_eq!(agenda.due(true, overlap), Call::Start);
        }
        assert_eq!(agenda.due(false, Overlap::Restart), Call::Restart);
        assert_eq!((agenda.due(false, Overlap::Skip), agenda.skipped), (Call::Skip, 1));
        assert_eq!(agenda.due(false, Overlap::Queue), Call::Wait);
        assert_eq!((agenda.due(false, Overlap::Queue), agenda.skipped), (Call::Skip, 2));
        assert!(agenda.take_queued() && !agenda.take_queued());
    }

    #[test]
    fn intervals_keep_their_grid_however_late_they_are_looked_at() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let every = Duration::from_secs(10);
        for (now, next) in [(0, 10), (9, 10), (10, 20), (11, 20), (95, 100)] {
            assert_eq!(next_of_grid(begun, every, at(now)), at(next), "at {now}");
        }
    }

    #[test]
    fn a_clock_that_is_set_forward_makes_runs_missed_and_one_that_is_late_does_not() {
        let mut agenda = Agenda::default();
        let (due, wake) = (time("12:00:00"), time("12:00:05"));
        assert_eq!(agenda.judge(due, wake, time("12:00:04")), Verdict::NotYet);
        assert_eq!(agenda, Agenda::default());
        assert_eq!(agenda.judge(due, wake, time("12:00:05")), Verdict::Now);
        assert_eq!(agenda.judge(due, wake, time("12:01:04")), Verdict::Now);
        assert_eq!(agenda.judge(due, wake, time("12:01:05")), Verdict::Missed);
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_repeats_nothing() {
        let cron = Cron::parse("0 * * * *").unwrap();
        let mut agenda = Agenda::default();
        let next = |agenda: &Agenda, now| agenda.next_of(&cron, &TimeZone::UTC, now).unwrap();
        assert_eq!(next(&agenda, time("11:30:00")), time("12:00:00"));
        agenda.judge(time("12:00:00"), time("12:00:00"), time("12:00:00"));
        assert_eq!(next(&agenda, time("12:00:00")), time("13:00:00"));
        assert_eq!(next(&agenda, time("10:30:00")), time("13:00:00"));
        assert_eq!(next(&agenda, time("08:30:00")), time("09:00:00"), "it was wrong before");
    }
}
