//! `GET /v1/why`: for the main process and each coprocess the reason of its state now. Pure but for
//! the gathering at the end.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use coproc_control::request::Refused;
use coproc_coprocess::config::Coprocess;
use coproc_coprocess::standing::SharedStanding;
use coproc_coprocess::why::{Heard, Reason, seconds};
use coproc_core::broker::{Ongoing, OngoingWalk, Order, WhatGoesOn};
use coproc_core::duration::rough;
use coproc_core::event::{Change, EventName, Phase};
use coproc_core::name::MAIN;
use coproc_core::signal::Signal;
use coproc_main::config::Kind;
use coproc_main::messages::MainStatus;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cause::Cause;
use super::control::Reply;
use super::lifecycle::Stage;
use super::root::Root;
use super::stop::MainStop;

/// A coprocess with its reason.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) reason: Reason,
    /// The events that it holds.
    pub(super) holds: Vec<EventName>,
}

/// The main process, as far as reasons go.
#[derive(Clone, Debug)]
pub(super) struct Main {
    pub(super) status: MainStatus,
    /// What starts it, if that is not the end of `pre-start`.
    pub(super) exec_event: Option<EventName>,
    /// How long it may take to become ready.
    pub(super) within: Option<Duration>,
    pub(super) is_nginx: bool,
    pub(super) stop: Option<MainStop>,
}

/// What reasons are read from.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) stage: Stage,
    /// Why the wrapper leaves, if it does.
    pub(super) cause: Option<Cause>,
    pub(super) main: Option<Main>,
    /// In the order of the file.
    pub(super) members: Vec<Member>,
    pub(super) ongoing: Ongoing,
    pub(super) now: Instant,
}

/// The reason of the main process's state.
#[derive(Clone, Debug, PartialEq)]
enum MainReason {
    /// `pre-start` is being worked off.
    Boots,
    /// Its own event has not come.
    Waits(EventName),
    /// It was not started, since the wrapper leaves.
    NotStarted,
    /// It runs and does not serve.
    NotReady { running: Duration, heard: Option<Heard>, left: Option<Duration>, nginx: bool },
    /// It serves.
    Runs(Duration),
    /// It is told to end once the gateway has finished.
    Finishing,
    /// It was told to end.
    Stopping(Option<(Signal, Duration)>),
    /// It is gone.
    Ended,
}

impl World {
    /// The answer, for all or for one.
    pub(super) fn answer(&self, name: Option<&str>) -> Result<Value, Refused> {
        let main = self.main.as_ref().map(|main| self.main_json(main));
        let members = self.members.iter().map(|member| self.member_json(member));
        let processes: Vec<_> = main
            .into_iter()
            .chain(members)
            .filter(|one| name.is_none_or(|name| one["name"] == name))
            .collect();
        if let (Some(name), true) = (name, processes.is_empty()) {
            return Err(Refused::new(404, format!("there is no process `{name}`")));
        }
        let events: Vec<_> = self.ongoing.walks.iter().map(|walk| self.walk_json(walk)).collect();
        let behind: Vec<_> = self.ongoing.behind.iter().map(ToString::to_string).collect();
        Ok(json!({
            "leaving": self.cause.as_ref().map(Cause::to_json),
            "processes": processes,
            "events": events,
            "behind": behind,
        }))
    }

    fn member_json(&self, member: &Member) -> Value {
        let Member { name, state, reason, holds, place } = member;
        let behind = match reason {
            Reason::Waits(event) => self.behind(event, *place),
            _ => None,
        };
        let mut sentence = reason.to_string();
        if let Some(behind) = &behind {
            sentence = format!("{sentence}: {behind}");
        }
        if !holds.is_empty() {
            sentence = format!("{sentence}; {} it to end", await_it(holds));
        }
        let as_wanted = reason.is_as_wanted() && behind.is_none();
        let holds: Vec<_> = holds.iter().map(ToString::to_string).collect();
        let mut value = json!({
            "name": name,
            "state": state,
            "as_wanted": as_wanted,
            "reason": reason.as_str(),
            "sentence": sentence,
            "holds": holds,
            "behind": behind,
        });
        for (key, fact) in reason.facts() {
            value[key] = fact;
        }
        value
    }

    fn main_json(&self, main: &Main) -> Value {
        let reason = self.main_reason(main);
        let behind = match &reason {
            MainReason::Boots => Some(self.boot()),
            MainReason::Waits(event) => self.behind(event, usize::MAX),
            MainReason::Finishing | MainReason::Stopping(_) => {
                self.cause.as_ref().map(ToString::to_string)
            }
            MainReason::Ended | MainReason::NotStarted => {
                self.cause.as_ref().map(ToString::to_string)
            }
            _ => None,
        };
        let sentence = match &behind {
            Some(behind) => format!("{reason}: {behind}"),
            None => reason.to_string(),
        };
        let mut value = json!({
            "name": MAIN,
            "state": main.status.state,
            "as_wanted": matches!(reason, MainReason::Runs(_)),
            "reason": reason.as_str(),
            "sentence": sentence,
            "behind": behind,
        });
        match &reason {
            MainReason::Waits(event) => value["event"] = event.to_string().into(),
            MainReason::NotReady { running, heard, left, .. } => {
                value["running_s"] = seconds(*running).into();
                value["heard"] = heard.as_ref().map_or(Value::Null, Heard::to_json);
                value["left_s"] = left.map(seconds).into();
            }
            MainReason::Runs(running) => value["running_s"] = seconds(*running).into(),
            MainReason::Stopping(Some((signal, left))) => {
                value["signal"] = signal.to_string().into();
                value["left_s"] = seconds(*left).into();
            }
            _ => {}
        }
        value
    }

    fn main_reason(&self, main: &Main) -> MainReason {
        let status = &main.status;
        let running = status.uptime.unwrap_or_default();
        match (status.state, self.stage) {
            ("waiting", Stage::Booting) => MainReason::Boots,
            ("waiting", Stage::Awaiting | Stage::Running) => match &main.exec_event {
                Some(event) => MainReason::Waits(event.clone()),
                None => MainReason::Boots,
            },
            ("waiting", _) => MainReason::NotStarted,
            ("starting" | "running", Stage::StoppingMain) if main.stop.is_none() => {
                MainReason::Finishing
            }
            ("stopping", _) => MainReason::Stopping(
                main.stop
                    .map(|stop| (stop.signal, stop.kill_at.saturating_duration_since(self.now))),
            ),
            ("stopped", _) => MainReason::Ended,
            ("running", _) if status.ready => MainReason::Runs(running),
            (state, _) => MainReason::NotReady {
                running,
                heard: status.heard.clone().map(|note| Heard::new(note, self.now)),
                left: main
                    .within
                    .filter(|_| state == "starting")
                    .map(|within| within.saturating_sub(running)),
                nginx: main.is_nginx && status.heard.is_none(),
            },
        }
    }

    /// What holds the boot up.
    fn boot(&self) -> String {
        let walk = self.ongoing.walks.iter().find(|walk| walk.event == Phase::PreStart.into());
        walk.map_or_else(|| "the templates are rendered".to_owned(), |walk| self.held(walk))
    }

    /// What stands before an event that something waits for; none where nothing does that should not.
    fn behind(&self, event: &EventName, place: usize) -> Option<String> {
        let its_turn = |walk: &&OngoingWalk| walk.event == *event && walk.to_start.contains(&place);
        if let Some(walk) = self.ongoing.walks.iter().find(its_turn) {
            return Some(self.held(walk));
        }
        match event {
            EventName::Coprocess(name, change) => {
                let other = self.members.iter().find(|one| one.name == name.as_str())?;
                let comes = matches!(change, Change::Started | Change::Ready);
                let waits = comes && matches!(other.reason, Reason::Waits(_));
                let amiss = !other.reason.is_as_wanted();
                (waits || amiss).then(|| format!("{} {}", other.name, clause(&other.reason)))
            }
            EventName::Phase(Phase::Start) if self.stage == Stage::Booting => Some(self.boot()),
            EventName::Phase(Phase::Start) => {
                let main = self.main.as_ref()?;
                match self.main_reason(main) {
                    MainReason::Runs(_) => None,
                    reason => Some(format!("the main process {reason}")),
                }
            }
            _ => None,
        }
    }

    /// Who makes an event wait.
    fn held(&self, walk: &OngoingWalk) -> String {
        let names = self.names(&walk.places).join(", ");
        let time = rough(self.now.saturating_duration_since(walk.since));
        let event = &walk.event;
        match walk.order {
            Order::Start => format!("{event} is held by {names}, for {time} now"),
            Order::RunStopCommand => {
                format!("{event} waits for the stop command of {names}, for {time} now")
            }
            Order::Stop => format!("{event} waits for the end of {names}, for {time} now"),
        }
    }

    fn names(&self, places: &[usize]) -> Vec<String> {
        let name = |place: &usize| {
            let member = self.members.iter().find(|member| member.place == *place);
            member.map_or_else(|| MAIN.to_owned(), |member| member.name.clone())
        };
        places.iter().map(name).collect()
    }

    fn walk_json(&self, walk: &OngoingWalk) -> Value {
        json!({
            "event": walk.event.to_string(),
            "step": match walk.order {
                Order::Start => "start",
                Order::RunStopCommand => "stop-command",
                Order::Stop => "stop",
            },
            "by": self.names(&walk.places),
            "held_s": seconds(self.now.saturating_duration_since(walk.since)),
            "sentence": self.held(walk),
        })
    }
}

/// A reason as the second half of a sentence whose first is a name.
fn clause(reason: &Reason) -> String {
    match reason {
        Reason::NotReady { .. } => format!("is {reason}"),
        Reason::GivenUp { .. } => format!("was {reason}"),
        Reason::StopCommand(_) => "is to be stopped".to_owned(),
        _ => reason.to_string(),
    }
}

fn await_it(events: &[EventName]) -> String {
    let names: Vec<_> = events.iter().map(ToString::to_string).collect();
    let verb = if names.len() == 1 { "waits for" } else { "wait for" };
    format!("{} {verb}", names.join(", "))
}

impl MainReason {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Boots => "boots",
            Self::Waits(_) => "waits-for-event",
            Self::NotStarted => "not-started",
            Self::NotReady { .. } => "not-ready",
            Self::Runs(_) => "runs",
            Self::Finishing => "gateway-finishes",
            Self::Stopping(_) => "stopping",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for MainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boots => f.write_str("waits for the end of pre-start"),
            Self::Waits(event) => write!(f, "waits for {event}"),
            Self::NotStarted => f.write_str("is not started any more"),
            Self::NotReady { running, heard, left, nginx } => {
                write!(f, "is not ready after {}", rough(*running))?;
                match heard {
                    Some(heard) => write!(f, " ({heard})")?,
                    None if *nginx => f.write_str(" (its log has told of no worker yet)")?,
                    None => {}
                }
                match left {
                    Some(left) => {
                        write!(f, "; all is stopped unless it is within {}", rough(*left))
                    }
                    None => Ok(()),
                }
            }
            Self::Runs(running) => write!(f, "runs for {}", rough(*running)),
            Self::Finishing => f.write_str("is stopped once the gateway has finished"),
            Self::Stopping(Some((Signal::KILL, _)) | None) => f.write_str("is being killed"),
            Self::Stopping(Some((signal, left))) => {
                write!(f, "was sent {signal}, KILL follows in {}", rough(*left))
            }
            Self::Ended => f.write_str("is gone"),
        }
    }
}

/// The answer without the processes of other names.
fn of_these(mut answer: Value, names: &[String]) -> Value {
    if let Some(processes) = answer["processes"].as_array_mut() {
        processes.retain(|one| names.iter().any(|name| one["name"] == name.as_str()));
    }
    answer
}

impl Root {
    /// Answers with the reasons of all, or of one.
    pub(super) fn why(&self, name: Option<String>, reply: Reply) {
        let status = self.main_status();
        let replicas = name.as_deref().map(|name| self.replicas(name)).unwrap_or_default();
        let replicas: Vec<_> = replicas.iter().map(|one| one.config.name.to_string()).collect();
        let ongoing = self.broker.as_ref().map(|broker| broker.send(WhatGoesOn));
        let main = (self.config.main.kind != Kind::None).then(|| Main {
            status: MainStatus::default(),
            exec_event: self.config.main.exec_event.clone(),
            within: self.config.main.ready.as_ref().and_then(|probe| probe.within),
            is_nginx: self.config.main.kind == Kind::Nginx,
            stop: self.main_stop,
        });
        let coprocesses: Vec<_> = self
            .coprocesses
            .iter()
            .map(|child| (child.place, child.config.clone(), child.standing.clone()))
            .collect();
        let (stage, cause) = (self.wrapper.stage(), self.cause.clone());
        actix_rt::spawn(async move {
            let status = status.await;
            // A broker that is being built anew works nothing off.
            let ongoing = match ongoing {
                Some(asked) => asked.await.unwrap_or_default(),
                None => Ongoing::default(),
            };
            let now = Instant::now();
            let member = |(place, config, standing): &(usize, Rc<Coprocess>, SharedStanding)| {
                let standing = standing.borrow();
                Member {
                    place: *place,
                    name: config.name.to_string(),
                    state: standing.machine.state.as_str(),
                    reason: standing.why(config, now),
                    holds: standing.holds().cloned().collect(),
                }
            };
            let mut members: Vec<_> = coprocesses.iter().map(member).collect();
            for (place, missing) in &ongoing.missing {
                // Of several events the first that has not come is told.
                if let (Some(Member { reason: Reason::Waits(event), .. }), Some(first)) =
                    (members.get_mut(*place), missing.first())
                {
                    *event = first.clone();
                }
            }
            let main = main.map(|main| Main { status, ..main });
            let world = World { stage, cause, main, members, ongoing, now };
            let answer = match replicas.is_empty() {
                true => world.answer(name.as_deref()),
                false => world.answer(None).map(|answer| of_these(answer, &replicas)),
            };
            // A client that hung up does not want to know.
            let _ = reply.send(answer);
        });
    }
}

#[cfg(test)]
mod tests;
