//! What a coprocess's runs add up to over all its lives; unlike the machine's own counts, nothing
//! here is ever forgotten. Pure.

use coproc_core::exit::ExitStatus;

use crate::lifecycle::{Effect, Machine, RunEnd, Unfit};

/// Sums since the wrapper began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often its program was launched, whatever for.
    pub starts: u64,
    /// How often the policy started it again.
    pub restarts: u64,
    exits: [u64; EndClass::ALL.len()],
}

/// The ways in which a run can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndClass {
    /// With code 0.
    Zero,
    /// With another code.
    NonZero,
    /// By a signal.
    Signal,
    /// It was stopped for not being ready in time.
    NotReady,
    /// It was stopped for showing no life.
    Unhealthy,
    /// It could not be started.
    NotStarted,
}

impl EndClass {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Zero,
        Self::NonZero,
        Self::Signal,
        Self::NotReady,
        Self::Unhealthy,
        Self::NotStarted,
    ];

    /// The class of an end.
    pub fn of(end: RunEnd) -> Self {
        match end {
            RunEnd::Exited(ExitStatus::Code(0)) => Self::Zero,
            RunEnd::Exited(ExitStatus::Code(_)) => Self::NonZero,
            RunEnd::Exited(ExitStatus::Signal(_)) => Self::Signal,
            RunEnd::Unfit(Unfit::NotReady, _) => Self::NotReady,
            RunEnd::Unfit(Unfit::Unhealthy, _) => Self::Unhealthy,
            RunEnd::SpawnFailed(_) => Self::NotStarted,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::NonZero => "nonzero",
            Self::Signal => "signal",
            Self::NotReady => "not-ready",
            Self::Unhealthy => "unhealthy",
            Self::NotStarted => "not-started",
        }
    }
}

impl Tally {
    /// Takes in one step of the machine.
    pub(crate) fn take(&mut self, before: &Machine, after: &Machine, effects: &[Effect]) {
        self.starts += effects.iter().filter(|effect| **effect == Effect::Spawn).count() as u64;
        // A new life begins at zero, and a step restarts once at most.
        self.restarts += u64::from(after.restarts > before.restarts);
    }

    /// Takes in the end of a run.
    pub(crate) fn ended(&mut self, end: RunEnd) {
        self.exits[EndClass::of(end) as usize] += 1;
    }

    /// How many runs ended in each way.
    pub fn exits(&self) -> impl Iterator<Item = (EndClass, u64)> {
        EndClass::ALL.into_iter().zip(self.exits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OnGiveUp, Policy, Restarts};
    use crate::lifecycle::{At, Event, step};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn lives_add_up() {
        let policy = Policy {
            restarts: Restarts::Times(2),
            time_between_restarts: Duration::ZERO,
            background: true,
            backoff: None,
            restart_limit: None,
            success_exit_codes: vec![0],
            on_give_up: OnGiveUp::Ignore,
        };
        let mut now = Instant::now();
        let mut machine = Machine::new(Duration::from_secs(5));
        let mut tally = Tally::default();
        let failed = RunEnd::Exited(ExitStatus::Code(3));
        for _ in 0..2 {
            let ended = Event::Ended(failed);
            for event in [Event::Start, ended, ended, ended] {
                now += Duration::from_secs(60);
                let at = At { now, chance: 0.5 };
                let (after, effects) = step(machine.clone(), event, at, &policy);
                tally.take(&machine, &after, &effects);
                if event == ended {
                    tally.ended(failed);
                }
                machine = after;
            }
        }
        assert_eq!((tally.starts, tally.restarts), (6, 4));
        let exits: Vec<_> = tally.exits().filter(|(_, count)| *count > 0).collect();
        assert_eq!(exits, [(EndClass::NonZero, 6)]);
    }
}
