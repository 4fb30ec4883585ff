//! The life of one coprocess as a machine: a state, what is wanted, and one transition function.
//! Pure: time and chance come in as arguments, and what is to be done comes out as effects.
//!
//! ```text
//!            Start                 Running(+Ready)
//!  Waiting ────────► Starting ───────────────────► Running
//!     │                 │ SpawnFailed, Exited        │ Exited
//!     │ Stop            ▼                            ▼
//!     │              policy: Backoff ─► Starting, or Stopped, or Failed
//!     ▼                                    ▲
//!  Stopped ◄──────────── Stopping ─────────┘ (wanted up: a restart)
//!                  TERM, INT, KILL
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use coproc_core::event::Change;
use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;
use tokio::time::Instant;

use crate::config::Policy;
use crate::policy::{self, Next};

/// Where a coprocess is in its life.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Its event has not come yet.
    Waiting,
    /// Its program was launched and is not known to run.
    Starting {
        /// When it was launched.
        since: Instant,
    },
    /// Its program runs.
    Running {
        /// When it was launched.
        since: Instant,
    },
    /// It was told to end.
    Stopping {
        /// The last signal of the three.
        step: StopStep,
        /// When the next one is due; nothing follows KILL.
        until: Option<Instant>,
    },
    /// It ended and will be started again.
    Backoff {
        /// When.
        until: Instant,
    },
    /// It ended for good, as it should.
    Stopped,
    /// It ended for good, and should not have.
    Failed(Failure),
}

/// The signals of a stop, each with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopStep {
    /// The first.
    Term,
    /// To those who ignore the first.
    Int,
    /// Cannot be ignored.
    Kill,
}

impl StopStep {
    /// The signal that is sent.
    pub fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
            Self::Kill => Signal::KILL,
        }
    }
}

/// Why a coprocess was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No restart was left and the last run failed.
    Exhausted,
    /// It was restarted too often in its window.
    TooOften,
}

/// What its coprocess is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Running.
    Up,
    /// Ended.
    Down,
}

/// How one run of the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It ran and ended so.
    Exited(ExitStatus),
    /// It could not be started; the exit code that says why.
    SpawnFailed(u8),
}

impl RunEnd {
    /// The code that the wrapper leaves with if this ends it.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status.shell_code(),
            Self::SpawnFailed(code) => code,
        }
    }
}

/// What can happen to a coprocess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is wanted up.
    Start,
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
    /// Launching it came to an end, one way or another.
    Ended(RunEnd),
    /// A time may have come.
    Timer,
    /// The policy was changed.
    PolicyChanged,
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
    /// How long each step of a stop may take.
    pub stop_timeout: Duration,
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
            stop_timeout,
        }
    }

    /// When [`Event::Timer`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Stopping { until, .. } => until,
            State::Backoff { until } => Some(until),
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
        self.is_ended() || matches!(self.state, State::Stopping { .. })
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

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Backoff { .. } => "backoff",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        })
    }
}

/// The transition function: total, and the only place where a state changes.
#[must_use]
pub fn step(mut machine: Machine, event: Event, at: At, policy: &Policy) -> (Machine, Vec<Effect>) {
    let mut effects = Vec::new();
    use State::{Backoff, Failed, Running, Starting, Stopped, Stopping, Waiting};
    match (&machine.state, event) {
        (Waiting | Stopped | Failed(_) | Backoff { .. }, Event::Start | Event::Restart) => {
            start_anew(&mut machine, at, &mut effects);
        }
        (Starting { .. } | Running { .. } | Stopping { .. }, Event::Start) => {
            machine.wanted = Wanted::Up;
        }

        (Stopped, Event::Resume) => {
            machine.wanted = Wanted::Up;
            machine.state = Starting { since: at.now };
            effects.push(Effect::Spawn);
        }

        (Starting { .. } | Running { .. } | Stopping { .. }, Event::Retire) => {
            machine.wanted = Wanted::Down;
        }
        (Waiting, Event::Stop | Event::Kill) => machine.state = Stopped,
        (Backoff { .. }, Event::Stop | Event::Kill | Event::Retire) => {
            machine.wanted = Wanted::Down;
            end(&mut machine, Stopped, &mut effects);
        }
        (Starting { .. } | Running { .. }, Event::Stop | Event::Restart) => {
            machine.wanted = if event == Event::Restart { Wanted::Up } else { Wanted::Down };
            stop_with(&mut machine, StopStep::Term, at, &mut effects);
        }
        (Stopping { .. }, Event::Stop) => machine.wanted = Wanted::Down,
        (Stopping { .. }, Event::Restart) => machine.wanted = Wanted::Up,
        (Starting { .. } | Running { .. } | Stopping { .. }, Event::Kill) => {
            machine.wanted = Wanted::Down;
            stop_with(&mut machine, StopStep::Kill, at, &mut effects);
        }
        (Stopped | Failed(_), Event::Stop | Event::Kill) => machine.state = Stopped,

        (Starting { since }, Event::Spawned) => {
            machine.state = Running { since: *since };
            effects.extend([Change::Started, Change::Ready].map(Effect::Publish));
        }
        (Starting { since } | Running { since }, Event::Ended(end_of_run)) => {
            let length = at.now.duration_since(*since);
            if machine.wanted == Wanted::Down {
                machine.last = Some(end_of_run);
                publish_exit(end_of_run, &mut effects);
                end(&mut machine, Stopped, &mut effects);
                return (machine, effects);
            }
            run_ended(&mut machine, end_of_run, length, at, policy, &mut effects);
        }
        (Stopping { .. }, Event::Ended(end_of_run)) => {
            machine.last = Some(end_of_run);
            publish_exit(end_of_run, &mut effects);
            if machine.wanted == Wanted::Up {
                effects.push(Effect::ReleaseStops);
            }
            match (machine.wanted, end_of_run) {
                (Wanted::Down, _) => end(&mut machine, Stopped, &mut effects),
                (Wanted::Up, RunEnd::Exited(_)) => start_anew(&mut machine, at, &mut effects),
                // Not at once: what cannot be started may fail for ever.
                (Wanted::Up, RunEnd::SpawnFailed(_)) => {
                    go_on(&mut machine, end_of_run, Duration::ZERO, at, policy, &mut effects);
                }
            }
        }

        (Stopping { step, until: Some(until) }, Event::Timer) if at.now >= *until => {
            let next = match step {
                StopStep::Term => StopStep::Int,
                StopStep::Int | StopStep::Kill => StopStep::Kill,
            };
            stop_with(&mut machine, next, at, &mut effects);
        }
        (Backoff { until }, Event::Timer) if at.now >= *until => {
            start_again(&mut machine, at, &mut effects);
        }
        (Backoff { .. }, Event::PolicyChanged) if !policy.restarts.allows(machine.restarts) => {
            let last = machine.last.unwrap_or(RunEnd::Exited(ExitStatus::Code(0)));
            finish(&mut machine, last, Failure::Exhausted, policy, &mut effects);
        }

        // A stale report or timer, or nothing to do.
        (
            _,
            Event::Timer
            | Event::PolicyChanged
            | Event::Spawned
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
    machine.state = State::Starting { since: at.now };
    effects.push(Effect::Spawn);
}

/// The next run of the same life.
fn start_again(machine: &mut Machine, at: At, effects: &mut Vec<Effect>) {
    machine.restarts = machine.restarts.saturating_add(1);
    machine.recent.push_back(at.now);
    machine.state = State::Starting { since: at.now };
    effects.push(Effect::Spawn);
}

fn stop_with(machine: &mut Machine, step: StopStep, at: At, effects: &mut Vec<Effect>) {
    let until = (step != StopStep::Kill).then(|| at.now + machine.stop_timeout);
    machine.state = State::Stopping { step, until };
    effects.push(Effect::Signal(step.signal()));
}

fn publish_exit(end_of_run: RunEnd, effects: &mut Vec<Effect>) {
    if let RunEnd::Exited(_) = end_of_run {
        effects.push(Effect::Publish(Change::Exited));
    }
}

fn run_ended(
    machine: &mut Machine,
    end_of_run: RunEnd,
    length: Duration,
    at: At,
    policy: &Policy,
    effects: &mut Vec<Effect>,
) {
    machine.last = Some(end_of_run);
    publish_exit(end_of_run, effects);
    go_on(machine, end_of_run, length, at, policy, effects);
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
    match policy::next(machine, length, at, policy) {
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
    let success = matches!(end_of_run, RunEnd::Exited(ExitStatus::Code(code))
        if policy.success_exit_codes.contains(&code));
    if success && failure == Failure::Exhausted {
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
