//! A reload of the main process as a machine. Pure.
//!
//! ```text
//!  Idle ─Asked─► Preparing ─Prepared─► Checking ─Approved─► Signalled ─Announced─► Announced
//!                (pre-reload,             │ Disapproved        │ Refused, Timer        │ WorkerStarted
//!                 preparation)            ▼                    ▼                       ▼ (reload)
//!                                        Idle                 Idle                    Idle
//! ```
//! New workers that are seen elsewhere than in the log end it as the first one in the log does.
//! Without a check `Prepared` leads to `Signalled`, and there a main process that confirms nothing
//! is done at once.
//!
//! A reload that is asked for while one is under way follows it, once, however often it was asked.

use std::time::Duration;

use tokio::time::Instant;

/// Where a reload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// None is under way.
    Idle,
    /// `pre-reload` is being worked off, and the preparation that follows it.
    Preparing,
    /// What was prepared is being checked, before anybody is told of it.
    Checking,
    /// The signal was sent.
    Signalled {
        /// When it counts as refused.
        until: Instant,
    },
    /// The main process said that new workers follow.
    Announced {
        /// When it counts as refused all the same.
        until: Instant,
    },
}

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    state: State,
    again: bool,
    /// Whether the preparation reads the configuration already.
    reading: bool,
    timeout: Duration,
    /// Whether the main process says when it has taken its configuration.
    confirms: bool,
    /// Whether there is a check.
    checks: bool,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants a reload.
    Asked,
    /// `pre-reload` was worked off, and what precedes the signal is done.
    Prepared,
    /// The preparation begins to read the configuration: a later request may have missed it.
    Reading,
    /// What precedes the signal failed, for this reason.
    PrepareFailed(String),
    /// The check finds nothing wrong.
    Approved,
    /// The check finds something wrong, or could not be made; a sentence.
    Disapproved(String),
    /// The main process starts workers.
    Announced,
    /// One of them runs.
    WorkerStarted,
    /// All workers are new ones, as far as the table of processes tells.
    Confirmed,
    /// The main process keeps its old configuration, and says why.
    Refused(String),
    /// A time may have come.
    Timer,
    /// The main process is told to end.
    MainStops,
    /// The main process ended.
    MainGone,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Publish `pre-reload`, prepare the signal, and say when that is done.
    Prepare,
    /// Check what was prepared, and say what came of it.
    Check,
    /// The check is of no use any more: end it.
    EndCheck,
    /// Send the reload signal.
    Signal,
    /// It is done; the event `reload` is due.
    Done,
    /// The check or the main process refused the new configuration for this reason; the old one stays.
    Refused(String),
    /// It was given up for this reason before anybody was told of what was prepared.
    GivenUp(String),
    /// It failed for this reason; as far as can be told, the old configuration stays.
    Failed(String),
}

/// How reloads ended, over the whole life of the wrapper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The main process took its new configuration.
    pub done: u64,
    /// The check or the main process refused it.
    pub refused: u64,
    /// All other ends.
    pub failed: u64,
    /// The number of the reload whose configuration is in force; 1 is the start, 0 before it.
    pub generation: u64,
}

impl Tally {
    /// The number of the reload that is under way or comes next. The start was number 1.
    pub fn number(&self) -> u64 {
        self.done + self.refused + self.failed + 2
    }

    /// Takes in an effect of the machine.
    pub fn take(&mut self, effect: &Effect) {
        match effect {
            Effect::Done => {
                self.generation = self.number();
                self.done += 1;
            }
            Effect::Refused(_) => self.refused += 1,
            Effect::GivenUp(_) | Effect::Failed(_) => self.failed += 1,
            Effect::Prepare | Effect::Check | Effect::EndCheck | Effect::Signal => {}
        }
    }
}

impl Reload {
    /// A machine for a main process that confirms its reloads, as nginx does, or that does not, with
    /// a check before the signal or without.
    pub fn new(timeout: Duration, confirms: bool, checks: bool) -> Self {
        Self { state: State::Idle, again: false, reading: false, timeout, confirms, checks }
    }

    /// The same with another time and with a check or without, from the next step on.
    #[must_use]
    pub fn changed(self, timeout: Duration, checks: bool) -> Self {
        Self { timeout, checks, ..self }
    }

    /// When [`Input::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Signalled { until } | State::Announced { until } => Some(until),
            State::Idle | State::Preparing | State::Checking => None,
        }
    }

    /// Whether what precedes the signal is under way.
    pub fn is_preparing(&self) -> bool {
        self.state == State::Preparing
    }

    /// Whether no reload is under way.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether a request of now is answered by the reload that is under way or begins with it: what
    /// comes after the signal may have missed it.
    pub fn takes_requests(&self) -> bool {
        matches!(self.state, State::Idle | State::Preparing) && !self.reading
    }

    /// Whether the signal was sent and its outcome is waited for.
    pub fn is_signalled(&self) -> bool {
        matches!(self.state, State::Signalled { .. } | State::Announced { .. })
    }

    /// Whether the next worker belongs to a new configuration.
    pub fn expects_workers(&self) -> bool {
        matches!(self.state, State::Announced { .. })
    }

    /// The transition function.
    #[must_use]
    pub fn step(mut self, input: Input, now: Instant) -> (Self, Vec<Effect>) {
        use State::{Announced, Checking, Idle, Preparing, Signalled};
        let effects = match (self.state, input) {
            (Idle, Input::Asked) => {
                self.state = Preparing;
                vec![Effect::Prepare]
            }
            // The configuration has not been read yet.
            (Preparing, Input::Asked) if !self.reading => vec![],
            (_, Input::Asked) => {
                self.again = true;
                vec![]
            }
            (Preparing, Input::Prepared) if self.checks => {
                self.state = Checking;
                vec![Effect::Check]
            }
            (Preparing, Input::Prepared) | (Checking, Input::Approved) => self.signalled(now),
            (Checking, Input::Disapproved(why)) => {
                self.ended(Effect::Refused(format!("rejected by check: {why}")))
            }
            (Preparing, Input::Reading) => {
                self.reading = true;
                vec![]
            }
            (Preparing, Input::PrepareFailed(why)) => self.ended(Effect::Failed(why)),
            (Signalled { until }, Input::Announced) => {
                self.state = Announced { until };
                vec![]
            }
            (Announced { .. }, Input::WorkerStarted) => self.ended(Effect::Done),
            (Signalled { .. } | Announced { .. }, Input::Confirmed) => self.ended(Effect::Done),
            (Signalled { .. } | Announced { .. }, Input::Refused(why)) => {
                self.ended(Effect::Refused(format!("rejected by nginx: {why}")))
            }
            (Signalled { until } | Announced { until }, Input::Timer) if now >= until => {
                let timeout = self.timeout.as_secs_f64();
                self.ended(Effect::Refused(format!("there were no new workers within {timeout} s")))
            }
            (Idle, _) => vec![],
            (_, Input::MainStops) => self.given_up("the main process is stopping"),
            (_, Input::MainGone) => self.given_up("the main process ended"),
            _ => vec![],
        };
        (self, effects)
    }

    fn signalled(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = vec![Effect::Signal];
        match self.confirms {
            true => self.state = State::Signalled { until: now + self.timeout },
            false => effects.extend(self.ended(Effect::Done)),
        }
        effects
    }

    fn given_up(&mut self, why: &str) -> Vec<Effect> {
        self.again = false;
        let why = why.to_owned();
        match self.state {
            State::Checking => {
                let mut effects = vec![Effect::EndCheck];
                effects.extend(self.ended(Effect::GivenUp(why)));
                effects
            }
            _ => self.ended(Effect::Failed(why)),
        }
    }

    fn ended(&mut self, effect: Effect) -> Vec<Effect> {
        self.reading = false;
        if std::mem::take(&mut self.again) {
            self.state = State::Preparing;
            vec![effect, Effect::Prepare]
        } else {
            self.state = State::Idle;
            vec![effect]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(confirms: bool, inputs: &[Input]) -> (State, Vec<Effect>) {
        play_with(Reload::new(Duration::from_secs(30), confirms, false), inputs)
    }

    /// The same with a check.
    fn play_checked(confirms: bool, inputs: &[Input]) -> (State, Vec<Effect>) {
        play_with(Reload::new(Duration::from_secs(30), confirms, true), inputs)
    }

    fn play_with(mut reload: Reload, inputs: &[Input]) -> (State, Vec<Effect>) {
        let now = Instant::now();
        let mut all = Vec::new();
        for input in inputs {
            // Each input comes a minute after the one before, so that timers are due.
            let at = if *input == Input::Timer { now + Duration::from_secs(60) } else { now };
            let (next, effects) = reload.step(input.clone(), at);
            reload = next;
            all.extend(effects);
        }
        (reload.state, all)
    }

    use Effect::{Check, Done, EndCheck, Failed, GivenUp, Prepare, Signal};
    use Input::{
        Announced, Approved, Asked, Confirmed, Disapproved, MainGone, MainStops, PrepareFailed,
        Prepared, Reading, Refused, Timer, WorkerStarted,
    };

    #[test]
    fn a_reload_is_done_with_the_first_worker_after_the_announcement() {
        let (state, effects) =
            play(true, &[Asked, Prepared, WorkerStarted, Announced, WorkerStarted]);
        assert_eq!((state, effects), (State::Idle, vec![Prepare, Signal, Done]));
    }

    #[test]
    fn workers_that_the_log_does_not_tell_of_are_workers() {
        for inputs in [&[Asked, Prepared, Confirmed][..], &[Asked, Prepared, Announced, Confirmed]]
        {
            assert_eq!(play(true, inputs), (State::Idle, vec![Prepare, Signal, Done]));
        }
        let (state, effects) = play_checked(true, &[Asked, Confirmed, Prepared, Confirmed]);
        assert_eq!((state, effects), (State::Checking, vec![Prepare, Check]), "before the signal");
    }

    #[test]
    fn a_program_that_confirms_nothing_is_done_with_the_signal() {
        let (state, effects) = play(false, &[Asked, Prepared]);
        assert_eq!((state, effects), (State::Idle, vec![Prepare, Signal, Done]));
    }

    #[test]
    fn requests_before_the_signal_are_one_reload_and_after_it_another() {
        let mut inputs = vec![Asked; 10];
        inputs.push(Prepared);
        inputs.extend(vec![Asked; 10]);
        inputs.extend([Announced, WorkerStarted, Prepared, Announced, WorkerStarted]);
        let (state, effects) = play(true, &inputs);
        assert_eq!(state, State::Idle);
        assert_eq!(effects, [Prepare, Signal, Done, Prepare, Signal, Done]);
    }

    #[test]
    fn a_refusal_and_a_silence_leave_it_ready_for_the_next() {
        for end in [Refused("bad".into()), Timer] {
            let inputs = [Asked, Prepared, end, Asked];
            let (state, effects) = play(true, &inputs);
            assert_eq!(state, State::Preparing);
            assert!(matches!(effects[2], Effect::Refused(_)), "{effects:?}");
            assert_eq!(effects[3], Prepare);
        }
    }

    #[test]
    fn a_request_while_the_configuration_is_read_is_another_reload() {
        let (state, effects) = play(false, &[Asked, Asked, Reading, Asked, Prepared]);
        assert_eq!((state, effects), (State::Preparing, vec![Prepare, Signal, Done, Prepare]));
    }

    #[test]
    fn a_preparation_that_fails_sends_no_signal() {
        let (state, effects) = play(true, &[Asked, PrepareFailed("bad".into()), Asked]);
        assert_eq!(
            (state, effects),
            (State::Preparing, vec![Prepare, Failed("bad".into()), Prepare])
        );
    }

    #[test]
    fn the_end_of_main_ends_it_for_good() {
        let (state, effects) = play(true, &[Asked, Prepared, Asked, MainGone]);
        assert_eq!(state, State::Idle);
        assert_eq!(effects[..2], [Prepare, Signal]);
        assert!(matches!(effects[2..], [Failed(_)]), "{effects:?}");
    }

    #[test]
    fn a_main_process_that_stops_is_sent_no_reload_any_more() {
        let (state, effects) = play(true, &[Asked, Asked, MainStops, Prepared]);
        assert_eq!(state, State::Idle);
        assert_eq!(effects, [Prepare, Failed("the main process is stopping".into())]);
    }

    #[test]
    fn nothing_is_signalled_before_the_check_approves() {
        let (state, effects) = play_checked(true, &[Asked, Prepared, Timer, WorkerStarted]);
        assert_eq!((state, effects), (State::Checking, vec![Prepare, Check]));
        let inputs = [Asked, Prepared, Approved, Announced, WorkerStarted];
        let (state, effects) = play_checked(true, &inputs);
        assert_eq!((state, effects), (State::Idle, vec![Prepare, Check, Signal, Done]));
        let (state, effects) = play_checked(false, &inputs);
        assert_eq!((state, effects), (State::Idle, vec![Prepare, Check, Signal, Done]));
    }

    #[test]
    fn what_the_check_refuses_is_not_signalled() {
        let bad = || Disapproved("bad".into());
        let (state, effects) = play_checked(true, &[Asked, Prepared, bad(), Approved]);
        let refused = Effect::Refused("rejected by check: bad".into());
        assert_eq!((state, effects), (State::Idle, vec![Prepare, Check, refused.clone()]));
        // What was asked for meanwhile may be about a better configuration.
        let (state, effects) = play_checked(true, &[Asked, Prepared, Asked, Asked, bad()]);
        assert_eq!((state, effects), (State::Preparing, vec![Prepare, Check, refused, Prepare]));
    }

    #[test]
    fn the_end_of_main_ends_the_check() {
        for (end, why) in
            [(MainStops, "the main process is stopping"), (MainGone, "the main process ended")]
        {
            let (state, effects) = play_checked(true, &[Asked, Prepared, Asked, end, Approved]);
            assert_eq!(state, State::Idle);
            assert_eq!(effects, [Prepare, Check, EndCheck, GivenUp(why.into())]);
        }
    }

    #[test]
    fn ends_are_counted() {
        let mut tally = Tally::default();
        for inputs in [
            &[Asked, Prepared, Approved, Announced, WorkerStarted][..],
            &[Asked, Prepared, Disapproved("bad".into())],
            &[Asked, Prepared, Approved, Refused("bad".into())],
            &[Asked, Prepared, Approved, Timer],
            &[Asked, Prepared, MainStops],
            &[Asked, PrepareFailed("bad".into())],
        ] {
            play_checked(true, inputs).1.iter().for_each(|effect| tally.take(effect));
        }
        assert_eq!(tally, Tally { done: 1, refused: 3, failed: 2, generation: 2 });
        assert_eq!(tally.number(), 8);
    }

    #[test]
    fn an_emergency_outside_a_reload_is_no_refusal() {
        assert_eq!(play(true, &[Refused("x".into())]), (State::Idle, vec![]));
        assert_eq!(play(true, &[Asked, Refused("x".into())]).0, State::Preparing);
    }
}
