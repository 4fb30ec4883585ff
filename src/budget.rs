//! How the time of a stop is divided. Pure.
//!
//! The main process comes first, then those who answer requests finish, then `exit` starts whom it
//! starts, the stop commands run one after another, and in the end the signals are sent: to those that
//! stop at `exit`, then to all others. Each stage is given a share of what is left. What the config says
//! itself is given in full; what it does not say shrinks in proportion where not all fits. A moment at
//! the end is for those who had to be killed.

use std::time::Duration;

use coproc_coprocess::config::{Coprocess, Patience};
use coproc_core::event::{EventName, Phase};
use coproc_main::config::Kind;

use crate::config::Config;

/// What of the stop time is kept for the coprocesses once the main process is gone.
const COPROCESSES_SHARE: Duration = Duration::from_secs(5);
/// What of it is kept for the death of those who had to be killed, unless it is short.
const LAST: Duration = Duration::from_secs(1);
/// The part of a short time that is.
const LAST_OF_SHORT: u32 = 10;

/// What of the stop time there is before the coprocesses are told to stop, where the config does not say
/// it: what they do not need, and half of it at least.
pub(crate) fn share(limit: Duration, parts: &[Part]) -> Duration {
    let Want { said, more } = wanted(parts);
    let more = more.min(COPROCESSES_SHARE.saturating_sub(LAST));
    let kept = COPROCESSES_SHARE.max(said + more + last(limit));
    limit.saturating_sub(kept).max(limit / 2)
}

/// What the stop commands and the signals of all come to.
fn wanted(parts: &[Part]) -> Want {
    let commands = parts.iter().filter(|part| part.at_exit).filter_map(|part| part.stop_command);
    let signals = |at_exit| Want::of_signals(parts.iter().filter(|p| p.is_signalled(at_exit)));
    let all = commands.map(Want::of).chain([signals(true), signals(false)]);
    all.fold(Want::default(), |all, one| Want {
        said: all.said + one.said,
        more: all.more + one.more,
    })
}

/// What of the stop time is kept for the death of those who are killed last.
pub(crate) fn last(limit: Duration) -> Duration {
    LAST.min(limit / LAST_OF_SHORT)
}

/// What a stage asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Want {
    /// What the config says itself.
    said: Duration,
    /// What it takes beyond that, if there is time.
    more: Duration,
}

impl Want {
    fn of(patience: Patience) -> Self {
        match patience.said {
            true => Self { said: patience.time, more: Duration::ZERO },
            false => Self { said: Duration::ZERO, more: patience.time },
        }
    }

    /// That of all signals together, which go out side by side.
    fn of_signals<'a>(parts: impl Iterator<Item = &'a Part>) -> Self {
        let mut all = Self::default();
        for part in parts {
            // TERM and INT; nothing is waited for after KILL.
            let time = part.stop_timeout.time * 2;
            match part.stop_timeout.said {
                true => all.said = all.said.max(time),
                false => all.more = all.more.max(time),
            }
        }
        all.more = all.more.saturating_sub(all.said);
        all
    }
}

/// A coprocess's part in it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Whether it has a process now.
    pub(crate) runs: bool,
    /// Whether `exit` starts it, and waits for its end.
    pub(crate) starts: bool,
    /// Whether `exit` stops it; else it is stopped after all that is.
    pub(crate) at_exit: bool,
    /// How long its stop command may take.
    pub(crate) stop_command: Option<Patience>,
    /// How long each signal has.
    pub(crate) stop_timeout: Patience,
}

impl Part {
    /// That of a coprocess.
    pub(crate) fn of(config: &Coprocess, runs: bool, background: bool) -> Self {
        let exit = EventName::from(Phase::Exit);
        Self {
            name: config.name.to_string(),
            runs,
            starts: config.exec_event == exit && !background,
            at_exit: config.stop_event == exit,
            stop_command: config.stop_exec.as_ref().map(|_| config.stop_exec_timeout),
            stop_timeout: config.stop_timeout,
        }
    }

    fn is_signalled(&self, at_exit: bool) -> bool {
        (self.runs || self.starts) && self.at_exit == at_exit
    }
}

/// The shares of what follows the main process's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// For those who answer requests.
    pub(crate) drain: Duration,
    /// For those whom `exit` starts, all together.
    pub(crate) starts: Duration,
    /// For each stop command; none where there is none.
    pub(crate) stop_commands: Vec<Option<Duration>>,
    /// For the signals of those that stop at `exit`.
    pub(crate) at_exit: Duration,
    /// For the signals of all others.
    pub(crate) others: Duration,
}

impl Shares {
    /// Divides `left`, of which nothing is kept back here, among what is to come. `limit` is
    /// `shutdown_timeout`.
    pub(crate) fn of(left: Duration, limit: Duration, drains: bool, parts: &[Part]) -> Self {
        let flexible = |wanted: bool, more: Duration| Want {
            said: Duration::ZERO,
            more: if wanted { more } else { Duration::ZERO },
        };
        let drain = flexible(drains, share(limit, parts));
        let starts = flexible(parts.iter().any(|part| part.starts), limit);
        let command = |part: &Part| Some(Want::of(part.stop_command.filter(|_| part.at_exit)?));
        let commands: Vec<_> = parts.iter().map(command).collect();
        let signals = |at_exit| Want::of_signals(parts.iter().filter(|p| p.is_signalled(at_exit)));
        let (at_exit, others) = (signals(true), signals(false));
        let all = || {
            [drain, starts, at_exit, others].into_iter().chain(commands.iter().flatten().copied())
        };
        let said: Duration = all().map(|want| want.said).sum();
        let more: Duration = all().map(|want| want.more).sum();
        let rest = left.saturating_sub(said);
        let part = match rest >= more {
            true => 1.0,
            false => rest.as_secs_f64() / more.as_secs_f64(),
        };
        let give = |want: Want| want.said + want.more.mul_f64(part);
        Self {
            drain: give(drain),
            starts: give(starts),
            stop_commands: commands.iter().map(|want| want.map(give)).collect(),
            at_exit: give(at_exit),
            others: give(others),
        }
    }

    /// The time until the signals of the coprocesses are over.
    pub(crate) fn after_drain(&self) -> Duration {
        let commands: Duration = self.stop_commands.iter().flatten().sum();
        self.starts + commands + self.at_exit + self.others
    }
}

/// What is to be said of a config whose own times do not fit: those for whom there may be too little
/// left.
pub(crate) fn odd(config: &Config) -> Option<String> {
    let limit = config.shutdown_timeout;
    let parts = config.coprocesses.iter();
    let parts: Vec<_> = parts.map(|one| Part::of(one, true, one.policy.background)).collect();
    let main = match (config.main.kind, config.main.stop_timeout) {
        (Kind::None, _) => Duration::ZERO,
        (_, Some(time)) => time,
        (_, None) => share(limit, &parts),
    };
    let said = wanted(&parts).said;
    let last = last(limit);
    let left = limit.saturating_sub(main).saturating_sub(last);
    if parts.is_empty() || (said <= left && main + last < limit) {
        return None;
    }
    let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let shown = |time| humantime::format_duration(Duration::from_millis(whole(time))).to_string();
    let of_main = match (config.main.kind, config.main.stop_timeout) {
        (Kind::None, _) => String::new(),
        (_, Some(_)) => format!(", of which main.stop_timeout takes {}", shown(main)),
        (_, None) => format!(", of which the main process may take {}", shown(main)),
    };
    Some(format!(
        "shutdown_timeout: is {}{of_main}, which leaves {} to the coprocesses, whose own stop_timeout \
         and stop_exec_timeout come to {}: if all take their time, some are killed without having had \
         their signals",
        shown(limit),
        shown(left),
        shown(said)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn part(name: &str, stop_command: Option<u64>, stop_timeout: u64, said: bool) -> Part {
        let patience = |seconds| Patience { time: S(seconds), said };
        Part {
            name: name.into(),
            runs: true,
            starts: false,
            at_exit: true,
            stop_command: stop_command.map(patience),
            stop_timeout: patience(stop_timeout),
        }
    }

    #[test]
    fn where_all_fits_all_have_what_they_want() {
        let parts = [part("a", Some(10), 5, false), part("b", None, 2, true)];
        let shares = Shares::of(S(28), S(30), false, &parts);
        assert_eq!(shares.stop_commands, [Some(S(10)), None]);
        assert_eq!((shares.at_exit, shares.others, shares.drain), (S(10), S(0), S(0)));
        assert_eq!(shares.after_drain(), S(20));
    }

    #[test]
    fn what_nobody_said_shrinks_to_what_is_left() {
        let parts = [part("a", Some(10), 5, false)];
        let shares = Shares::of(S(4), S(30), false, &parts);
        assert_eq!((shares.stop_commands[0], shares.at_exit), (Some(S(2)), S(2)));
        let mut other = part("b", None, 5, false);
        other.at_exit = false;
        let shares = Shares::of(S(6), S(30), false, &[parts[0].clone(), other]);
        assert_eq!(shares.stop_commands, [Some(S(2)), None]);
        assert_eq!((shares.at_exit, shares.others), (S(2), S(2)));
    }

    #[test]
    fn what_was_said_is_given_in_full() {
        let parts = [part("a", Some(10), 5, false), part("b", Some(3), 4, true)];
        let shares = Shares::of(S(14), S(30), false, &parts);
        // 3 and 8 are said; 10 and 2 more share the 3 that are left.
        assert_eq!(shares.stop_commands, [Some(Duration::from_millis(2500)), Some(S(3))]);
        assert_eq!(shares.at_exit, Duration::from_millis(8500));
        assert_eq!(shares.after_drain(), S(14));
        let shares = Shares::of(S(4), S(30), false, &parts);
        assert_eq!(shares.stop_commands, [Some(S(0)), Some(S(3))]);
        assert_eq!(shares.at_exit, S(8));
    }

    #[test]
    fn no_division_gives_more_than_there_is_unless_it_was_said() {
        for left in 0..60 {
            for drains in [false, true] {
                let mut starts = part("s", None, 5, false);
                (starts.starts, starts.runs) = (true, false);
                let parts = [part("a", Some(10), 5, false), part("b", None, 7, false), starts];
                let shares = Shares::of(S(left), S(30), drains, &parts);
                let all = shares.drain + shares.after_drain();
                assert!(all <= S(left) + Duration::from_micros(1), "{left}: {shares:?}");
                assert!(left == 0 || shares.at_exit > S(0), "{shares:?}");
            }
        }
    }

    #[test]
    fn the_moment_for_the_last_is_part_of_the_whole() {
        assert_eq!((last(S(30)), last(S(2))), (S(1), Duration::from_millis(200)));
        assert_eq!((share(S(30), &[]), share(S(2), &[])), (S(25), S(1)));
    }

    #[test]
    fn the_main_process_has_what_the_others_do_not_need() {
        let parts = [part("a", Some(3), 4, true), part("b", None, 5, false)];
        assert_eq!(share(S(30), &parts), S(30 - 1 - 3 - 8 - 2));
        assert_eq!(share(S(20), &parts), S(10), "half of it at least");
        assert_eq!(share(S(30), &parts[1..]), S(25));
    }
}
