//! How a stop goes: when the main process is told what, how long all took and who was slowest. Pure.

use std::time::Duration;

use coproc_core::duration::rough;
use coproc_core::signal::Signal;
use tokio::time::Instant;

/// How the main process is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MainStop {
    /// What it was sent.
    pub(super) signal: Signal,
    /// When it was first told to end.
    pub(super) asked: Instant,
    /// When KILL follows.
    pub(super) kill_at: Instant,
}

/// A stop that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// From the first request, or the end of the main process, on.
    pub(super) took: Duration,
    /// `shutdown_timeout`.
    pub(super) limit: Duration,
    /// Whether what was left had to be killed.
    pub(super) killed: bool,
    /// Who took longest from its order to its end; none where nobody had to be stopped.
    pub(super) slowest: Option<(String, Duration)>,
}

/// When somebody was told to end, and when it was gone.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) name: String,
    pub(super) asked: Instant,
    /// None: it is not known to be gone.
    pub(super) gone: Option<Instant>,
}

impl Stop {
    /// A stop that began at `began` and is over `now`. Who was told before, or was gone before it was
    /// told, has no part in it.
    pub(super) fn of(
        began: Instant,
        now: Instant,
        limit: Duration,
        killed: bool,
        legs: Vec<Leg>,
    ) -> Self {
        let took = |leg: Leg| {
            let gone = leg.gone.unwrap_or(now);
            let concerned = leg.asked >= began && gone >= leg.asked;
            concerned.then(|| (leg.name, gone.duration_since(leg.asked)))
        };
        // The first of several that took as long.
        let slowest = legs.into_iter().filter_map(took).rev().max_by_key(|(_, took)| *took);
        Self { took: now.duration_since(began), limit, killed, slowest }
    }

    /// One sentence.
    pub(super) fn sentence(&self) -> String {
        let mut out = format!("stopped in {} of {}", rough(self.took), rough(self.limit));
        if let Some((name, took)) = &self.slowest {
            out.push_str(&format!("; slowest: {name}, {}", rough(*took)));
        }
        if self.killed {
            out.push_str("; what was left was killed");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_slowest_is_named() {
        let began = Instant::now();
        let leg = |name: &str, asked: u64, gone: Option<u64>| Leg {
            name: name.into(),
            asked: began + MS(asked),
            gone: gone.map(|gone| began + MS(gone)),
        };
        let legs =
            vec![leg("nginx", 0, Some(1700)), leg("a", 1700, Some(1800)), leg("b", 1700, Some(10))];
        let stop = Stop::of(began, began + MS(1800), MS(9000), false, legs);
        assert_eq!(stop.sentence(), "stopped in 1.8 s of 9.0 s; slowest: nginx, 1.7 s");
        let legs = vec![leg("a", 0, Some(100)), leg("deaf", 100, None)];
        let stop = Stop::of(began, began + MS(9000), MS(9000), true, legs);
        let says = "stopped in 9.0 s of 9.0 s; slowest: deaf, 8.9 s; what was left was killed";
        assert_eq!(stop.sentence(), says);
    }

    #[test]
    fn who_was_stopped_before_has_no_part() {
        let began = Instant::now();
        let asked = began - MS(5000);
        let legs = vec![Leg { name: "a".into(), asked, gone: Some(asked + MS(10)) }];
        let stop = Stop::of(began, began + MS(100), MS(9000), false, legs);
        assert_eq!((stop.sentence().as_str(), &stop.slowest), ("stopped in 0.1 s of 9.0 s", &None));
    }
}
