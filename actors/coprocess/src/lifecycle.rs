//! The life of one coprocess as a machine: a state, what is wanted, and one transition function.
//! Pure: time and chance come in as arguments, and what is to be done comes out as effects.
//!
//! ```text
//!            Start                Spawned, Ready
//!  Waiting ────────► Starting ───────────────────► Running
//!     │                 │ SpawnFailed, Exited        │ Exited
//!     │ Stop            ▼                            ▼
//!     │              policy: Backoff ─► Starting, or Stopped, or Failed
//!     ▼                                    ▲
//!  Stopped ◄──────────── Stopping ─────────┘ (wanted up: a restart)
//!                  TERM, INT, KILL
//! ```
//! A program that is not ready in time, or shows no life, is stopped in the same steps, and then
//! the policy decides as if it had failed by itself.

use std::collections::VecDeque;
use std::time::Duration;

use coproc_core::event::Change;
use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;
use tokio::time::Instant;

use crate::config::Policy;
use crate::policy::{self, Next, Past, SHORT_RUN, SHORT_RUN_PAUSE};
pub use crate::state::{Failure, Readiness, RunEnd, State, StopStep, Unfit, Wanted, Why};

/// What can happen to a coprocess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is wanted up.
    Start,
    /// It is wanted up by an event that coprocesses make themselves, so that two of them could start
    /// each other for ever.
    Triggered,
    /// Its stop command begins: it may run on, and is not started again.
    Retire,
    /// It is wanted down.
    Stop,
    /// It is wanted anew.
    Restart,
    /// It is wanted down at once.
    Kill,
    /// An actor took over and the process went with the one before: run on, as the same life.
    Resume,
    /// The program itself runs.
    Spawned,
    /// Its probe says that it serves.
    Ready,
    /// Its probe says that it shows no life.
    Unhealthy,
    /// Launching it came to an end, one way or another.
    Ended(RunEnd),
    /// A time may have come.
    Timer,
    /// The policy was changed.
    PolicyChanged,
}

impl Event {
    /// Whether the program runs because of it, or will.
    pub fn starts(self) -> bool {
        matches!(self, Self::Start | Self::Triggered | Self::Restart | Self::Resume)
    }
}

/// What is to be done. Doing it decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Launch the program.
    Spawn,
    /// Send this to the whole group.
    Signal(Signal),
    /// Tell the broker.
    Publish(Change),
    /// It has ended for good: whoever waits for that can go on.
    Release,
    /// It was stopped and is started anew: whoever waits for the stop can go on.
    ReleaseStops,
    /// It failed for good, with this end.
    GaveUp(RunEnd),
}

/// When an event happens, and a number from 0 to 1 that nobody can foresee.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The time.
    pub now: Instant,
    /// For jitter.
    pub chance: f64,
}

/// All that is remembered of a coprocess's life; a rebuilt actor goes on with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Where it is.
    pub state: State,
    /// Where it is to be.
    pub wanted: Wanted,
    /// How often it was started again since it was last started anew.
    pub restarts: u32,
    /// Pauses in a row without a healthy run between them; makes them grow.
    pub streak: u32,
    /// When it was started again, as far as the window of `restart_limit` reaches back.
    pub recent: VecDeque<Instant>,
    /// How the last run ended.
    pub last: Option<RunEnd>,
    /// Before it no [`Event::Triggered`] starts it: its last run was short.
    pub rested: Option<Instant>,
    /// Whether the pause that goes on is the one before a new life.
    pub anew: bool,
    /// How long each step of a stop may take.
    pub stop_timeout: Duration,
    /// When a program that runs counts as ready.
    pub readiness: Readiness,
}

impl Machine {
    /// A coprocess whose event has not come yet.
    pub fn new(stop_timeout: Duration) -> Self {
        Self {
            state: State::Waiting,
            wanted: Wanted::Down,
            restarts: 0,
            streak: 0,
            recent: VecDeque::new(),
            last: None,
            rested: None,
            anew: false,
            stop_timeout,
            readiness: Readiness::default(),
        }
    }

    /// The same, with a program that counts as ready then.
    pub fn with_readiness(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
    }

    /// When [`Event::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Stopping { until, .. } => until,
            State::Backoff { until } => Some(until),
            // One that is not wanted is stopped soon, and need not be ready for that.
            State::Starting { until, .. } if self.wanted == Wanted::Up => until,
            _ => None,
        }
    }

    /// Whether a process may exist.
    pub fn is_live(&self) -> bool {
        matches!(
            self.state,
            State::Starting { .. } | State::Running { .. } | State::Stopping { .. }
        )
    }

    /// Whether nothing more will happen unless somebody asks for it.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Waiting | State::Stopped | State::Failed(_))
    }

    /// Whether its event can start it: one that runs, or pauses between runs, is not started twice,
    /// and one that is being stopped is started anew after that.
    pub fn takes_events(&self) -> bool {
        let retired = self.wanted == Wanted::Down && self.is_live();
        self.is_ended() || retired || matches!(self.state, State::Stopping { .. })
    }

    /// What an actor that takes over from a dead one begins with: the process is gone, what was
    /// wanted is not.
    pub fn taken_over(mut self) -> (Self, Option<Event>) {
        if !self.is_live() {
            return (self, None);
        }
        self.state = State::Stopped;
        let resume = (self.wanted == Wanted::Up).then_some(Event::Resume);
        (self, resume)
    }
}

/// The transition function: total, and the only place where a state changes.
#[must_use]
pub fn step(mut machine: Machine, event: Event, at: At, policy: &Policy) -> (Machine, Vec<Effect>) {
    use State::{Backoff, Failed, Running, Starting, Stopped, Stopping, Waiting};
    let mut effects = Vec::new();
    if let (Starting { since, .. } | Running { since } | Stopping { since, .. }, Event::Ended(_)) =
        (&machine.state, event)
    {
        let short = at.now.duration_since(*since) < SHORT_RUN;
        machine.rested = short.then(|| at.now + SHORT_RUN_PAUSE);
    }
    match (&machine.state, event) {
        (Waiting | Stopped | Failed(_) | Backoff { .. }, Event::Start | Event::Restart) => {
            start_anew(&mut machine, at, &mut effects);
        }
        (Waiting | Stopped | Failed(_), Event::Triggered) => {
            match machine.rested.filter(|rested| *rested > at.now) {
                Some(until) => {
                    machine.wanted = Wanted::Up;
                    machine.anew = true;
                    machine.state = Backoff { until };
                }
                None => start_anew(&mut machine, at, &mut effects),
            }
        }
        (
            Starting { .. } | Running { .. } | Stopping { .. } | Backoff { .. },
            Event::Start | Event::Triggered,
        ) => machine.wanted = Wanted::Up,

        (Stopped, Event::Resume) => {
            machine.wanted = Wanted::Up;
            launch(&mut machine, at, &mut effects);
        }

        (Starting { .. } | Running { .. }, Event::Retire) => machine.wanted = Wanted::Down,
        (Stopping { .. }, Event::Retire) => requested(&mut machine, Wanted::Down),
        (Waiting, Event::Stop | Event::Kill) => machine.state = Stopped,
        (Backoff { .. }, Event::Stop | Event::Kill | Event::Retire) => {
            machine.wanted = Wanted::Down;
            end(&mut machine, Stopped, &mut effects);
        }
        (Starting { .. } | Running { .. }, Event::Stop | Event::Restart) => {
            machine.wanted = if event == Event::Restart { Wanted::Up } else { Wanted::Down };
            stop_with(&mut machine, StopStep::Term, Why::Requested, at, &mut effects);
        }
        (Stopping { .. }, Event::Stop) => requested(&mut machine, Wanted::Down),
        (Stopping { .. }, Event::Restart) => requested(&mut machine, Wanted::Up),
        (Starting { .. } | Running { .. } | Stopping { .. }, Event::Kill) => {
            machine.wanted = Wanted::Down;
            stop_with(&mut machine, StopStep::Kill, Why::Requested, at, &mut effects);
        }
        (Stopped | Failed(_), Event::Stop | Event::Kill) => machine.state = Stopped,

        (Starting { since, .. }, Event::Spawned) => {
            effects.push(Effect::Publish(Change::Started));
            if machine.readiness == Readiness::Spawned {
                machine.state = Running { since: *since };
                effects.push(Effect::Publish(Change::Ready));
            }
        }
        (Starting { since, .. }, Event::Ready) => {
            machine.state = Running { since: *since };
            effects.push(Effect::Publish(Change::Ready));
        }
        (Starting { until: Some(until), .. }, Event::Timer)
            if at.now >= *until && machine.wanted == Wanted::Up =>
        {
            let why = Why::Unfit(Unfit::NotReady);
            stop_with(&mut machine, StopStep::Term, why, at, &mut effects);
        }
        // One that is not wanted is stopped soon anyway, after its stop command.
        (Running { .. }, Event::Unhealthy) if machine.wanted == Wanted::Up => {
            let why = Why::Unfit(Unfit::Unhealthy);
            stop_with(&mut machine, StopStep::Term, why, at, &mut effects);
        }
        (Starting { since, .. } | Running { since }, Event::Ended(end_of_run)) => {
            let length = at.now.duration_since(*since);
            machine.last = Some(end_of_run);
            publish_exit(end_of_run, &mut effects);
            match machine.wanted {
                Wanted::Down => end(&mut machine, Stopped, &mut effects),
                Wanted::Up => go_on(&mut machine, end_of_run, length, at, policy, &mut effects),
            }
        }
        (Stopping { why, since, .. }, Event::Ended(end_of_run)) => {
            let length = at.now.duration_since(*since);
            let end_of_run = match (*why, end_of_run) {
                (Why::Unfit(unfit), RunEnd::Exited(status)) => RunEnd::Unfit(unfit, status),
                (_, end_of_run) => end_of_run,
            };
            machine.last = Some(end_of_run);
            publish_exit(end_of_run, &mut effects);
            if machine.wanted == Wanted::Up {
                effects.push(Effect::ReleaseStops);
            }
            match (machine.wanted, end_of_run) {
                (Wanted::Down, _) => end(&mut machine, Stopped, &mut effects),
                (Wanted::Up, RunEnd::Exited(_)) => start_anew(&mut machine, at, &mut effects),
                (Wanted::Up, RunEnd::Unfit(..)) => {
                    go_on(&mut machine, end_of_run, length, at, policy, &mut effects);
                }
                // Not at once: what cannot be started may fail for ever.
                (Wanted::Up, RunEnd::SpawnFailed(_)) => {
                    go_on(&mut machine, end_of_run, Duration::ZERO, at, policy, &mut effects);
                }
            }
        }

        (Stopping { step, until: Some(until), why, .. }, Event::Timer) if at.now >= *until => {
            let why = *why;
            let next = match step {
                StopStep::Term => StopStep::Int,
                StopStep::Int | StopStep::Kill => StopStep::Kill,
            };
            stop_with(&mut machine, next, why, at, &mut effects);
        }
        (Backoff { until }, Event::Timer) if at.now >= *until => match machine.anew {
            true => start_anew(&mut machine, at, &mut effects),
            false => start_again(&mut machine, at, &mut effects),
        },
        (Backoff { .. }, Event::PolicyChanged) if machine.anew => {}
        (Backoff { .. }, Event::PolicyChanged) if !policy.restarts.allows(machine.restarts) => {
            let last = machine.last.unwrap_or(RunEnd::Exited(ExitStatus::Code(0)));
            finish(&mut machine, last, Failure::Exhausted, policy, &mut effects);
        }
        // A pause that was made shorter is not sat out at its old length.
        (Backoff { until }, Event::PolicyChanged) => {
            let until = (*until).min(at.now + policy.time_between_restarts.max(SHORT_RUN_PAUSE));
            machine.state = Backoff { until };
        }

        // A stale report or timer, or nothing to do.
        (
            _,
            Event::Timer
            | Event::PolicyChanged
            | Event::Spawned
            | Event::Ready
            | Event::Unhealthy
            | Event::Ended(_)
            | Event::Resume
            | Event::Retire,
        ) => {}
    }
    (machine, effects)
}

/// A new life: what earlier ones used up is forgotten.
fn start_anew(machine: &mut Machine, at: At, effects: &mut Vec<Effect>) {
    machine.wanted = Wanted::Up;
    machine.restarts = 0;
    machine.streak = 0;
    machine.recent.clear();
    machine.anew = false;
    launch(machine, at, effects);
}

/// The next run of the same life.
fn start_again(machine: &mut Machine, at: At, effects: &mut Vec<Effect>) {
    machine.restarts = machine.restarts.saturating_add(1);
    machine.recent.push_back(at.now);
    launch(machine, at, effects);
}

fn launch(machine: &mut Machine, at: At, effects: &mut Vec<Effect>) {
    let until = match machine.readiness {
        Readiness::Spawned => None,
        // A limit beyond the end of the clock is none.
        Readiness::Probed { within } => within.and_then(|within| at.now.checked_add(within)),
    };
    machine.state = State::Starting { since: at.now, until };
    effects.push(Effect::Spawn);
}

fn stop_with(machine: &mut Machine, step: StopStep, why: Why, at: At, effects: &mut Vec<Effect>) {
    let since = match machine.state {
        State::Starting { since, .. } | State::Running { since } => since,
        State::Stopping { since, .. } => since,
        _ => at.now,
    };
    let until = (step != StopStep::Kill).then(|| at.now + machine.stop_timeout);
    machine.state = State::Stopping { step, until, why, since };
    effects.push(Effect::Signal(step.signal()));
}

/// What is asked for goes before what probes found.
fn requested(machine: &mut Machine, up_or_down: Wanted) {
    machine.wanted = up_or_down;
    if let State::Stopping { why, .. } = &mut machine.state {
        *why = Why::Requested;
    }
}

fn publish_exit(end_of_run: RunEnd, effects: &mut Vec<Effect>) {
    if end_of_run.status().is_some() {
        effects.push(Effect::Publish(Change::Exited));
    }
}

/// Asks the policy what follows a run that ended by itself.
fn go_on(
    machine: &mut Machine,
    end_of_run: RunEnd,
    length: Duration,
    at: At,
    policy: &Policy,
    effects: &mut Vec<Effect>,
) {
    if policy.backoff.is_some_and(|backoff| length >= backoff.reset_after) {
        machine.streak = 0;
        machine.recent.clear();
    }
    let past = Past {
        length,
        restarts: machine.restarts,
        streak: machine.streak,
        recent: &mut machine.recent,
        now: at.now,
        chance: at.chance,
    };
    match policy::next(past, policy) {
        Next::Again(pause) if pause.is_zero() => start_again(machine, at, effects),
        Next::Again(pause) => {
            machine.streak = machine.streak.saturating_add(1);
            machine.state = State::Backoff { until: at.now + pause };
        }
        Next::GiveUp(failure) => finish(machine, end_of_run, failure, policy, effects),
    }
}

/// The last run is over.
fn finish(
    machine: &mut Machine,
    end_of_run: RunEnd,
    failure: Failure,
    policy: &Policy,
    effects: &mut Vec<Effect>,
) {
    machine.wanted = Wanted::Down;
    if policy.is_success(end_of_run) && failure == Failure::Exhausted {
        end(machine, State::Stopped, effects);
    } else {
        end(machine, State::Failed(failure), effects);
        effects.push(Effect::GaveUp(end_of_run));
    }
}

fn end(machine: &mut Machine, state: State, effects: &mut Vec<Effect>) {
    let change = match state {
        State::Failed(_) => Change::Failed,
        _ => Change::Stopped,
    };
    machine.state = state;
    effects.extend([Effect::Publish(change), Effect::Release]);
}
