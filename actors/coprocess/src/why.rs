//! Why a coprocess is in the state that it is in, for people and for programs. Pure.

use std::fmt;
use std::time::Duration;

use coproc_core::duration::rough;
use coproc_core::event::EventName;
use coproc_core::exit::{ExitStatus, NOT_EXECUTABLE, NOT_FOUND};
use coproc_core::probe::Note;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::config::{Policy, RestartLimit, Restarts};
use crate::lifecycle::{Failure, Machine, Readiness, RunEnd, State, StopStep, Unfit, Wanted, Why};
use crate::orders::{Asked, By, Orders};

/// What the reason is read from.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its life.
    pub machine: &'a Machine,
    /// Its policy as it is now.
    pub policy: &'a Policy,
    /// Who asked for what.
    pub orders: &'a Orders,
    /// What starts it.
    pub exec_event: &'a EventName,
    /// What its readiness probe heard last.
    pub ready: Option<Note>,
    /// It was ready, and its probe says that it no longer is.
    pub unready: bool,
    /// How soon its schedule starts it.
    pub next: Option<Duration>,
    /// The time.
    pub now: Instant,
}

/// The reason of a state.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Its event has not come.
    Waits(EventName),
    /// Its program was launched so long ago and is not known to run.
    Launched(Duration),
    /// Its program runs and is not ready.
    NotReady {
        /// Since its launch.
        running: Duration,
        /// What its probe heard.
        heard: Option<Heard>,
        /// How long it still has to become ready.
        left: Option<Duration>,
    },
    /// It runs and is ready.
    Runs {
        /// Since its launch.
        running: Duration,
        /// Who wanted that.
        by: Option<By>,
    },
    /// It runs and no longer is ready, as its probe heard.
    NoLongerReady(Option<Heard>),
    /// It is to be stopped once its stop command is over.
    StopCommand(Option<By>),
    /// It was told to end.
    Stopping {
        /// What it was sent last.
        step: StopStep,
        /// When the next signal follows.
        left: Option<Duration>,
        /// What its probes found wrong, if that is why.
        unfit: Option<Unfit>,
        /// Who stopped it, or wanted it anew.
        by: Option<By>,
        /// Whether it is started again after that.
        again: bool,
    },
    /// It is started again after a pause.
    Pauses {
        /// What is left of it.
        left: Duration,
        /// How its last run ended.
        end: Option<RunEnd>,
        /// Whether that is a success.
        success: bool,
        /// How often it was started again in this life.
        done: u32,
        /// How often it may be.
        allowed: Restarts,
    },
    /// It does not run, and its schedule starts it.
    Scheduled {
        /// How soon.
        left: Duration,
        /// How its last run ended.
        end: Option<RunEnd>,
        /// Whether that is a success; so it is if there was none.
        success: bool,
    },
    /// Somebody stopped it so long ago.
    Stopped(By, Duration),
    /// It ended by itself, as it should, and is not started again.
    Ended(Option<RunEnd>),
    /// It failed for good.
    GivenUp {
        /// In which way.
        failure: Failure,
        /// How its last run ended.
        end: Option<RunEnd>,
        /// How often it was started again.
        done: u32,
        /// How often it may be.
        allowed: Restarts,
        /// And within which time.
        limit: Option<RestartLimit>,
    },
}

/// What a probe heard last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The probe with its answer.
    pub note: Note,
    /// How soon it is asked again; none while it is asked, and where it only listens.
    pub next: Option<Duration>,
}

impl Heard {
    /// What the note says at this time.
    pub fn new(note: Note, now: Instant) -> Self {
        let next = note.next.map(|at| at.saturating_duration_since(now));
        Self { note, next }
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "probe": self.note.what,
            "answer": self.note.wrong,
            "tries": self.note.tries,
            "next_s": self.next.map(seconds),
        })
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.note.complaint() {
            Some(complaint) => f.write_str(&complaint)?,
            None => write!(f, "{}: good", self.note.what)?,
        }
        match self.next {
            Some(next) => write!(f, ", next in {}", rough(next)),
            None => Ok(()),
        }
    }
}

impl Reason {
    /// The reason of the state that it is in.
    pub fn of(view: View<'_>) -> Self {
        let View { machine, policy, orders, exec_event, ready, unready, next, now } = view;
        let since = |then: Instant| now.saturating_duration_since(then);
        let left = |then: Instant| then.saturating_duration_since(now);
        let by = |asked: &Option<Asked>| asked.as_ref().map(|asked| asked.by.clone());
        let heard = ready.map(|note| Heard::new(note, now));
        let retired = machine.wanted == Wanted::Down && orders.down.is_some();
        if let (State::Waiting | State::Stopped | State::Failed(_), Some(left)) =
            (&machine.state, next)
        {
            let end = machine.last;
            return Self::Scheduled {
                left,
                end,
                success: end.is_none_or(|end| policy.is_success(end)),
            };
        }
        match machine.state {
            State::Waiting => Self::Waits(exec_event.clone()),
            State::Starting { .. } | State::Running { .. } if retired => {
                Self::StopCommand(by(&orders.down))
            }
            State::Starting { since: launched, until } => match (machine.readiness, heard) {
                (Readiness::Spawned, _) | (_, None) => Self::Launched(since(launched)),
                (_, heard) => {
                    Self::NotReady { running: since(launched), heard, left: until.map(left) }
                }
            },
            State::Running { .. } if unready => Self::NoLongerReady(heard),
            State::Running { since: launched } => {
                Self::Runs { running: since(launched), by: by(&orders.up) }
            }
            State::Stopping { step, until, why, .. } => Self::Stopping {
                step,
                left: until.map(left),
                unfit: match why {
                    Why::Unfit(unfit) => Some(unfit),
                    Why::Requested => None,
                },
                by: by(if machine.wanted == Wanted::Up { &orders.up } else { &orders.down }),
                again: machine.wanted == Wanted::Up,
            },
            State::Backoff { until } => Self::Pauses {
                left: left(until),
                end: machine.last,
                success: machine.last.is_some_and(|end| policy.is_success(end)),
                done: machine.restarts,
                allowed: policy.restarts,
            },
            State::Stopped => match &orders.down {
                Some(Asked { by, at }) => Self::Stopped(by.clone(), since(*at)),
                None => Self::Ended(machine.last),
            },
            State::Failed(failure) => Self::GivenUp {
                failure,
                end: machine.last,
                done: machine.restarts,
                allowed: policy.restarts,
                limit: policy.restart_limit,
            },
        }
    }

    /// Whether it is as it is meant to be. One that waits is, as far as it can know itself.
    pub fn is_as_wanted(&self) -> bool {
        match self {
            Self::Waits(_) | Self::Runs { .. } | Self::Stopped(..) | Self::Ended(_) => true,
            Self::Pauses { success, .. } | Self::Scheduled { success, .. } => *success,
            Self::Launched(_) | Self::NotReady { .. } | Self::NoLongerReady(_) => false,
            Self::StopCommand(_) | Self::Stopping { .. } | Self::GivenUp { .. } => false,
        }
    }

    /// Its name for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waits(_) => "waits-for-event",
            Self::Launched(_) => "launched",
            Self::NotReady { .. } => "not-ready",
            Self::Runs { .. } => "runs",
            Self::NoLongerReady(_) => "no-longer-ready",
            Self::StopCommand(_) => "stop-command",
            Self::Stopping { .. } => "stopping",
            Self::Pauses { .. } => "pauses",
            Self::Scheduled { .. } => "scheduled",
            Self::Stopped(..) => "stopped",
            Self::Ended(_) => "ended",
            Self::GivenUp { .. } => "given-up",
        }
    }

    /// What it consists of, by name. Times are in seconds.
    pub fn facts(&self) -> Map<String, Value> {
        let by = |by: &Option<By>| by.as_ref().map_or(Value::Null, By::to_json);
        let heard = |heard: &Option<Heard>| heard.as_ref().map_or(Value::Null, Heard::to_json);
        let facts = match self {
            Self::Waits(event) => json!({ "event": event.to_string() }),
            Self::Launched(running) => json!({ "running_s": seconds(*running) }),
            Self::NotReady { running, heard: last, left } => json!({
                "running_s": seconds(*running),
                "heard": heard(last),
                "left_s": left.map(seconds),
            }),
            Self::Runs { running, by: who } => {
                json!({ "running_s": seconds(*running), "by": by(who) })
            }
            Self::NoLongerReady(last) => json!({ "heard": heard(last) }),
            Self::StopCommand(who) => json!({ "by": by(who) }),
            Self::Stopping { step, left, unfit, by: who, again } => json!({
                "signal": step.signal().to_string(),
                "left_s": left.map(seconds),
                "unfit": unfit.map(Unfit::as_str),
                "by": by(who),
                "again": again,
            }),
            Self::Pauses { left, end, done, allowed, .. } => json!({
                "left_s": seconds(*left),
                "end": end.map(end_json),
                "restarts": done,
                "policy": allowed.to_string(),
            }),
            Self::Scheduled { left, end, .. } => {
                json!({ "left_s": seconds(*left), "end": end.map(end_json) })
            }
            Self::Stopped(by, ago) => json!({ "by": by.to_json(), "ago_s": seconds(*ago) }),
            Self::Ended(end) => json!({ "end": end.map(end_json) }),
            Self::GivenUp { failure, end, done, allowed, .. } => json!({
                "failure": match failure {
                    Failure::Exhausted => "no-restart-left",
                    Failure::TooOften => "too-often",
                },
                "end": end.map(end_json),
                "restarts": done,
                "policy": allowed.to_string(),
            }),
        };
        match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits(event) => write!(f, "waits for {event}"),
            Self::Launched(running) => {
                write!(f, "was launched {} ago and is not known to run yet", rough(*running))
            }
            Self::NotReady { running, heard, left } => {
                write!(f, "not ready after {}", rough(*running))?;
                if let Some(heard) = heard {
                    write!(f, " ({heard})")?;
                }
                match left {
                    Some(left) => write!(f, "; stopped unless it is within {}", rough(*left)),
                    None => Ok(()),
                }
            }
            Self::Runs { running, by } => {
                write!(f, "runs for {}", rough(*running))?;
                by.as_ref().map_or(Ok(()), |by| write!(f, ", started by {by}"))
            }
            Self::NoLongerReady(heard) => {
                f.write_str("runs and is no longer ready")?;
                heard.as_ref().map_or(Ok(()), |heard| write!(f, " ({heard})"))
            }
            Self::StopCommand(by) => {
                f.write_str("its stop command runs, then it is stopped")?;
                by.as_ref().map_or(Ok(()), |by| write!(f, "; asked for by {by}"))
            }
            Self::Stopping { step, left, unfit, by, again } => {
                write!(f, "was sent {}", step.signal())?;
                match unfit {
                    Some(Unfit::NotReady) => f.write_str(", since it was not ready in time")?,
                    Some(Unfit::Unhealthy) => f.write_str(", since it showed no life")?,
                    None => {}
                }
                if let (Some(by), None) = (by, unfit) {
                    write!(f, ", stopped by {by}")?;
                }
                if let Some(left) = left {
                    let next = if *step == StopStep::Term { StopStep::Int } else { StopStep::Kill };
                    write!(f, "; {} follows in {}", next.signal(), rough(*left))?;
                }
                f.write_str(match (again, unfit) {
                    (true, None) => "; then it is started anew",
                    (true, Some(_)) => "; then its restart policy decides",
                    (false, _) => "",
                })
            }
            Self::Pauses { left, end, done, allowed, .. } => {
                write!(f, "starts again in {}", rough(*left))?;
                if let Some(end) = end {
                    write!(f, ", after its last run {}", Told(*end))?;
                }
                match allowed {
                    Restarts::Times(times) => write!(f, "; {done} of {times} restarts are used"),
                    _ => write!(f, "; {done} restarts so far"),
                }
            }
            Self::Scheduled { left, end, .. } => {
                write!(f, "runs in {}, by its schedule", rough(*left))?;
                end.map_or(Ok(()), |end| write!(f, "; its last run {}", Told(end)))
            }
            Self::Stopped(by, ago) => write!(f, "stopped by {by}, {} ago", rough(*ago)),
            Self::Ended(Some(end)) => write!(f, "its last run {}; none is to follow", Told(*end)),
            Self::Ended(None) => f.write_str("never ran"),
            Self::GivenUp { failure, end, done, allowed, limit } => {
                f.write_str("given up: ")?;
                if let Some(end) = end {
                    write!(f, "its last run {}, and ", Told(*end))?;
                }
                match (failure, limit, allowed) {
                    (Failure::TooOften, Some(limit), _) => {
                        let window = humantime::format_duration(limit.window);
                        write!(f, "it was started again {} times within {window}", limit.count)
                    }
                    (Failure::TooOften, None, _) => f.write_str("it was started again too often"),
                    (Failure::Exhausted, _, Restarts::Never) => {
                        f.write_str("its policy is to start it once")
                    }
                    (Failure::Exhausted, ..) => write!(f, "all its restarts ({done}) are used"),
                }
            }
        }
    }
}

/// The end of a run as the second half of a sentence.
struct Told(RunEnd);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RunEnd::Exited(status @ ExitStatus::Code(_)) => write!(f, "ended with {status}"),
            RunEnd::Exited(status) => write!(f, "was ended by {status}"),
            RunEnd::Unfit(Unfit::NotReady, _) => f.write_str("was not ready in time"),
            RunEnd::Unfit(Unfit::Unhealthy, _) => f.write_str("showed no life"),
            RunEnd::SpawnFailed(NOT_FOUND) => f.write_str("failed: the program was not found"),
            RunEnd::SpawnFailed(NOT_EXECUTABLE) => {
                f.write_str("failed: the program cannot be executed")
            }
            RunEnd::SpawnFailed(_) => f.write_str("failed: the program could not be started"),
        }
    }
}

/// The end of a run for programs.
pub fn end_json(end: RunEnd) -> Value {
    let mut value = match end {
        RunEnd::Exited(status) | RunEnd::Unfit(_, status) => match status {
            ExitStatus::Code(code) => json!({ "code": code }),
            ExitStatus::Signal(signal) => json!({ "signal": signal.to_string() }),
        },
        RunEnd::SpawnFailed(code) => json!({ "code": code, "why": "not-started" }),
    };
    if let RunEnd::Unfit(unfit, _) = end {
        value["why"] = unfit.as_str().into();
    }
    value
}

/// A time in seconds, to the millisecond.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
