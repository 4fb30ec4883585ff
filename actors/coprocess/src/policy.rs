//! Whether a coprocess is started again after a run, and how soon. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use coproc_core::exit::ExitStatus;
use tokio::time::Instant;

use crate::config::{Policy, Restarts};
use crate::state::{Failure, RunEnd};

/// A run shorter than this is followed by a pause of at least [`SHORT_RUN_PAUSE`], so that a
/// program that cannot live never makes the wrapper spin.
pub(crate) const SHORT_RUN: Duration = Duration::from_secs(1);
pub(crate) const SHORT_RUN_PAUSE: Duration = Duration::from_millis(100);

/// A run that ended, and what was before.
pub(crate) struct Past<'a> {
    /// How long it was.
    pub(crate) length: Duration,
    /// How often it was started again since it was last started anew.
    pub(crate) restarts: u32,
    /// Pauses in a row without a healthy run between them.
    pub(crate) streak: u32,
    /// When it was started again; what no limit counts any more is taken out.
    pub(crate) recent: &'a mut VecDeque<Instant>,
    /// The time.
    pub(crate) now: Instant,
    /// A number from 0 to 1, for jitter.
    pub(crate) chance: f64,
}

/// What follows a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one, after this pause counted from the exit.
    Again(Duration),
    /// None.
    GiveUp(Failure),
}

impl Restarts {
    /// Whether one more restart is allowed after `done` of them.
    pub fn allows(self, done: u32) -> bool {
        match self {
            Self::Never => false,
            Self::Times(times) => done < times,
            Self::Unlimited => true,
        }
    }
}

impl Policy {
    /// Whether a run that ended so is no failure.
    pub fn is_success(&self, end: RunEnd) -> bool {
        matches!(end, RunEnd::Exited(ExitStatus::Code(code))
            if self.success_exit_codes.contains(&code))
    }
}

/// What `policy` says after a run.
pub(crate) fn next(past: Past<'_>, policy: &Policy) -> Next {
    let Past { length, restarts, streak, recent, now, chance } = past;
    if !policy.restarts.allows(restarts) {
        return Next::GiveUp(Failure::Exhausted);
    }
    match policy.restart_limit {
        Some(limit) => {
            recent.retain(|again| now.duration_since(*again) < limit.window);
            if recent.len() >= limit.count as usize {
                return Next::GiveUp(Failure::TooOften);
            }
        }
        None => recent.clear(),
    }
    Next::Again(pause(streak, length, chance, policy))
}

fn pause(streak: u32, length: Duration, chance: f64, policy: &Policy) -> Duration {
    let mut pause = policy.time_between_restarts;
    if length < SHORT_RUN {
        pause = pause.max(SHORT_RUN_PAUSE);
    }
    if let Some(backoff) = policy.backoff {
        let growth = backoff.factor.max(1.0).powi(i32::try_from(streak).unwrap_or(i32::MAX));
        let grown = backoff.initial.as_secs_f64() * growth;
        // The comparison also takes an infinite growth to the bound.
        let bounded = grown.min(backoff.max.as_secs_f64());
        let jittered = bounded * (1.0 + 0.25 * chance.clamp(0.0, 1.0));
        pause = pause.max(Duration::try_from_secs_f64(jittered).unwrap_or(backoff.max));
    }
    pause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Backoff, OnGiveUp};

    fn policy() -> Policy {
        Policy {
            restarts: Restarts::Unlimited,
            time_between_restarts: Duration::ZERO,
            background: true,
            backoff: None,
            restart_limit: None,
            success_exit_codes: vec![0],
            on_give_up: OnGiveUp::Ignore,
        }
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(3);
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_pause_is_exact_and_a_short_run_has_a_floor() {
        let mut policy = policy();
        assert_eq!(pause(0, LONG, 0.9, &policy), Duration::ZERO);
        assert_eq!(pause(9, SHORT, 0.9, &policy), MS(100));
        policy.time_between_restarts = MS(1500);
        assert_eq!(pause(9, SHORT, 0.9, &policy), MS(1500));
    }

    #[test]
    fn backoff_grows_to_its_bound_with_a_quarter_of_jitter_at_most() {
        let backoff = Backoff { initial: MS(200), max: MS(1000), factor: 2.0, reset_after: LONG };
        let policy = Policy { backoff: Some(backoff), ..policy() };
        let at = |streak, chance| pause(streak, LONG, chance, &policy);
        assert_eq!([at(0, 0.0), at(1, 0.0), at(2, 0.0)], [MS(200), MS(400), MS(800)]);
        assert_eq!([at(3, 0.0), at(4000, 0.0)], [MS(1000), MS(1000)]);
        assert_eq!(at(0, 1.0), MS(250));
        assert_eq!(at(4000, 1.0), MS(1250));
    }
}
