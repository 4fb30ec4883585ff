//! Leaves a server alone that fails again and again. Pure: a state, an input, one transition function.

use std::time::{Duration, Instant};

/// When a server is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that open the breaker; at least 1.
    pub failures: u32,
    /// The first rest.
    pub rest: Duration,
    /// The longest rest; each one is twice as long as the one before.
    pub longest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { failures: 5, rest: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is asked.
    Closed {
        /// How often in a row it failed.
        failures: u32,
    },
    /// It is not asked.
    Open {
        /// How long.
        until: Instant,
        /// How long that was from the beginning.
        rest: Duration,
    },
    /// One call is on its way that will tell.
    Probing {
        /// How long the rest before it was.
        rest: Duration,
    },
}

/// What happens to a server's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants to call.
    Call,
    /// A call was answered, be it with a refusal.
    Answered,
    /// A call failed on the way.
    Broken,
    /// A call had no answer in time, which a slow hook explains as well as a broken server.
    Late,
    /// A call was given up by who made it.
    Dropped,
    /// The server is known to have been started anew.
    Renewed,
}

/// The next state, and whether a call may be made: `false` for all inputs but [`Input::Call`].
pub fn step(state: State, input: Input, now: Instant, limits: &Limits) -> (State, bool) {
    let calm = State::Closed { failures: 0 };
    let next = match (state, input) {
        (_, Input::Answered | Input::Renewed) => calm,
        (State::Closed { .. }, Input::Call) => return (state, true),
        (State::Closed { failures }, Input::Broken) => {
            let failures = failures.saturating_add(1);
            if failures >= limits.failures {
                State::Open { until: now + limits.rest, rest: limits.rest }
            } else {
                State::Closed { failures }
            }
        }
        (State::Open { until, rest }, Input::Call) if now >= until => {
            return (State::Probing { rest }, true);
        }
        (State::Probing { rest }, Input::Broken | Input::Late) => {
            let rest = (rest * 2).min(limits.longest);
            State::Open { until: now + rest, rest }
        }
        (State::Probing { rest }, Input::Dropped) => State::Open { until: now, rest },
        (State::Closed { .. } | State::Open { .. } | State::Probing { .. }, _) => state,
    };
    (next, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Server(State, Instant);

    impl Server {
        fn new() -> Self {
            Self(State::Closed { failures: 0 }, Instant::now())
        }

        fn see(&mut self, input: Input) -> bool {
            let (state, may) = step(self.0, input, self.1, &Limits::default());
            self.0 = state;
            may
        }

        fn wait(&mut self, milliseconds: u64) {
            self.1 += Duration::from_millis(milliseconds);
        }

        fn fail(&mut self, times: usize) {
            for _ in 0..times {
                assert!(self.see(Input::Call));
                self.see(Input::Broken);
            }
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut server = Server::new();
        server.fail(4);
        server.see(Input::Answered);
        server.fail(5);
        assert!(!server.see(Input::Call));
        server.wait(999);
        assert!(!server.see(Input::Call));
        server.wait(1);
        assert!(server.see(Input::Call));
    }

    #[test]
    fn one_probe_decides() {
        let mut server = Server::new();
        server.fail(5);
        for rest in [1, 2, 4, 8, 16, 30, 30] {
            server.wait(rest * 1000 - 1);
            assert!(!server.see(Input::Call), "{rest}");
            server.wait(1);
            assert!(server.see(Input::Call), "{rest}");
            assert!(!server.see(Input::Call), "a second probe");
            server.see(if rest == 2 { Input::Late } else { Input::Broken });
        }
        server.wait(30_000);
        assert!(server.see(Input::Call));
        server.see(Input::Answered);
        assert!(server.see(Input::Call) && server.see(Input::Call));
    }

    #[test]
    fn a_probe_that_is_given_up_lets_the_next_one_through() {
        let mut server = Server::new();
        server.fail(5);
        server.wait(1000);
        assert!(server.see(Input::Call));
        server.see(Input::Dropped);
        assert!(server.see(Input::Call));
    }

    #[test]
    fn slow_hooks_do_not_open_it() {
        let mut server = Server::new();
        for _ in 0..20 {
            assert!(server.see(Input::Call));
            server.see(Input::Late);
            server.see(Input::Dropped);
        }
        server.fail(5);
        server.see(Input::Renewed);
        assert!(server.see(Input::Call));
    }
}
