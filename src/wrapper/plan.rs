//! `GET /v1/plan`: who would get which signal, and by when at the latest, if the wrapper were told to
//! stop now. Pure but for the gathering at the end.

use std::time::Duration;

use coproc_control::request::Refused;
use coproc_coprocess::why::seconds;
use coproc_core::event::{EventName, Phase};
use coproc_core::name::MAIN;
use coproc_core::signal::Signal;
use coproc_main::config::Kind;
use serde_json::{Value, json};

use super::lifecycle::Stage;
use super::root::{DEATH, Root};

/// What a plan is made of.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// `shutdown_timeout`.
    pub(super) limit: Duration,
    /// How long the gateway has to finish before the main process is told to end.
    pub(super) gateway: Option<Duration>,
    /// The main process, if it runs: its signal.
    pub(super) main: Option<Signal>,
    /// `main.stop_timeout`, which counts from that signal on.
    pub(super) stop_timeout: Option<Duration>,
    /// When KILL follows without it, and how long gateway and coordinator have after that.
    pub(super) share: Duration,
    /// Whether there are any.
    pub(super) drains: bool,
    /// In the order of the file.
    pub(super) coprocesses: Vec<Part>,
    /// How long what has left its group has between TERM and KILL, where it is looked after.
    pub(super) strays: Option<Duration>,
}

/// A coprocess's part in it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Whether it has a process now.
    pub(super) runs: bool,
    /// Whether `exit` starts it, and waits for its end.
    pub(super) starts: bool,
    /// Whether `exit` stops it; else it is stopped after all that is.
    pub(super) at_exit: bool,
    /// How long its stop command may take.
    pub(super) stop_command: Option<Duration>,
    /// How long each signal has.
    pub(super) stop_timeout: Duration,
}

/// A step: by when at the latest, to whom, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    by: Duration,
    who: String,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Signal(Signal),
    /// It is run, and killed after this time.
    StopCommand(Duration),
    /// It is started, and waited for.
    Start,
    /// It takes nothing new, and finishes what it has.
    Drain,
}

/// The whole plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    limit: Duration,
    steps: Vec<Step>,
    /// Those for whom there may be no time left but for KILL.
    cut: Vec<String>,
    strays: Option<Duration>,
}

impl Plan {
    /// Each step comes when the one before has taken all of its time.
    pub(super) fn of(budget: &Budget) -> Self {
        let Budget { limit, gateway, main, stop_timeout, share, drains, coprocesses, strays } =
            budget;
        let mut plan = Self { limit: *limit, steps: Vec::new(), cut: Vec::new(), strays: *strays };
        let mut at = Duration::ZERO;
        if let Some(signal) = main {
            if let Some(time) = gateway {
                plan.step(at, "gateway", What::Drain);
                at += *time;
            }
            plan.step(at, MAIN, What::Signal(*signal));
            at = stop_timeout.map_or(*share, |time| at + time);
            plan.step(at, MAIN, What::Signal(Signal::KILL));
        }
        if *drains {
            plan.step(at, "gateway and coordinator", What::Drain);
            at += *share;
        }
        for part in coprocesses.iter().filter(|part| part.starts) {
            plan.step(at, &part.name, What::Start);
            // Nothing but the end of all bounds its run.
            at = at.max(*limit);
        }
        for part in coprocesses.iter().filter(|part| part.at_exit) {
            let Some(time) = part.stop_command else { continue };
            plan.step(at, &part.name, What::StopCommand(time));
            at += time;
        }
        for at_exit in [true, false] {
            let mut end = at;
            for part in coprocesses.iter().filter(|part| part.runs && part.at_exit == at_exit) {
                let signals = [Signal::TERM, Signal::INT, Signal::KILL];
                for (count, signal) in (0..).zip(signals) {
                    let by = at + part.stop_timeout * count;
                    plan.step(by, &part.name, What::Signal(signal));
                    end = end.max(by);
                }
            }
            at = end;
        }
        plan.steps.sort_by_key(|step| step.by);
        plan
    }

    fn step(&mut self, by: Duration, who: &str, what: What) {
        if by < self.limit {
            self.steps.push(Step { by, who: who.to_owned(), what });
        } else if what != What::Signal(Signal::KILL) && self.cut.iter().all(|cut| cut != who) {
            self.cut.push(who.to_owned());
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let step = |Step { by, who, what }: &Step| {
            let mut step = json!({ "by_s": seconds(*by), "who": who });
            match what {
                What::Signal(signal) => step["signal"] = signal.to_string().into(),
                What::StopCommand(limit) => {
                    step["action"] = "stop-command".into();
                    step["limit_s"] = seconds(*limit).into();
                }
                What::Start => step["action"] = "start".into(),
                What::Drain => step["action"] = "drain".into(),
            }
            step
        };
        json!({
            "limit_s": seconds(self.limit),
            "gone_s": seconds(self.limit + DEATH),
            "strays_s": self.strays.map(seconds),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "cut": self.cut,
        })
    }
}

impl Root {
    /// What a stop would be like now.
    pub(super) fn plan(&self) -> Result<Value, Refused> {
        if !matches!(self.wrapper.stage(), Stage::Booting | Stage::Awaiting | Stage::Running) {
            return Err(Refused::new(409, "the wrapper is being stopped already"));
        }
        let exit = EventName::from(Phase::Exit);
        let runs = self.wrapper.stage() == Stage::Running && self.config.main.kind != Kind::None;
        let part = |child: &super::children::Supervised| {
            let standing = child.standing.borrow();
            Part {
                name: child.config.name.to_string(),
                runs: standing.machine.is_live(),
                starts: child.config.exec_event == exit && !standing.policy.background,
                at_exit: child.config.stop_event == exit,
                stop_command: child
                    .config
                    .stop_exec
                    .as_ref()
                    .map(|_| child.config.stop_exec_timeout),
                stop_timeout: child.config.stop_timeout,
            }
        };
        let budget = Budget {
            limit: self.config.shutdown_timeout,
            gateway: self.gateway.as_ref().map(|_| self.share() / 2),
            main: runs.then_some(self.config.main.stop_signal),
            stop_timeout: self.config.main.stop_timeout,
            share: self.share(),
            drains: self.gateway.is_some() || self.coordinator.is_some(),
            coprocesses: self.coprocesses.iter().map(part).collect(),
            strays: self.config.subreaper.then_some(self.config.stray_timeout),
        };
        Ok(Plan::of(&budget).to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn part(name: &str, runs: bool, at_exit: bool, stop_command: Option<u64>) -> Part {
        Part {
            name: name.into(),
            runs,
            starts: false,
            at_exit,
            stop_command: stop_command.map(S),
            stop_timeout: S(5),
        }
    }

    fn budget(coprocesses: Vec<Part>) -> Budget {
        Budget {
            limit: S(60),
            gateway: None,
            main: Some(Signal::QUIT),
            stop_timeout: None,
            share: S(25),
            drains: false,
            coprocesses,
            strays: Some(S(1)),
        }
    }

    /// A step in one word.
    fn told(plan: &Plan) -> Vec<String> {
        let what = |step: &Step| match step.what {
            What::Signal(signal) => signal.to_string(),
            What::StopCommand(_) => "command".into(),
            What::Start => "start".into(),
            What::Drain => "drain".into(),
        };
        let tell = |step: &Step| format!("{} {} {}", step.by.as_secs(), step.who, what(step));
        plan.steps.iter().map(tell).collect()
    }

    #[test]
    fn each_step_waits_for_the_longest_of_the_one_before() {
        let plan = Plan::of(&budget(vec![
            part("late", true, false, None),
            part("agent", true, true, Some(10)),
            part("ended", false, true, Some(2)),
        ]));
        assert_eq!(
            told(&plan),
            [
                "0 main QUIT",
                "25 main KILL",
                "25 agent command",
                "35 ended command",
                "37 agent TERM",
                "42 agent INT",
                "47 agent KILL",
                "47 late TERM",
                "52 late INT",
                "57 late KILL",
            ]
        );
        assert!(plan.cut.is_empty());
    }

    #[test]
    fn who_may_come_too_late_is_named() {
        let mut budget = budget(vec![part("agent", true, true, Some(10))]);
        budget.limit = S(30);
        let plan = Plan::of(&budget);
        assert_eq!(told(&plan), ["0 main QUIT", "25 main KILL", "25 agent command"]);
        assert_eq!(plan.cut, ["agent"]);
        let json = plan.to_json();
        assert_eq!((&json["limit_s"], &json["gone_s"]), (&json!(30.0), &json!(31.0)));
        let step = json!({
            "by_s": 25.0, "who": "agent", "action": "stop-command", "limit_s": 10.0
        });
        assert_eq!(json["steps"][2], step);
        assert_eq!(json["steps"][0], json!({ "by_s": 0.0, "who": "main", "signal": "QUIT" }));
    }

    #[test]
    fn the_gateway_finishes_before_the_main_process_is_told() {
        let mut budget = budget(vec![]);
        (budget.gateway, budget.drains) = (Some(S(12)), true);
        let steps = ["0 gateway drain", "12 main QUIT", "25 main KILL"];
        assert_eq!(told(&Plan::of(&budget))[..3], steps);
        budget.stop_timeout = Some(S(3));
        let steps = ["12 main QUIT", "15 main KILL", "15 gateway and coordinator drain"];
        assert_eq!(told(&Plan::of(&budget))[1..], steps);
    }

    #[test]
    fn one_that_exit_starts_may_take_all_that_is_left() {
        let mut last = part("last", false, true, None);
        last.starts = true;
        let mut budget = budget(vec![last, part("agent", true, true, None)]);
        budget.main = None;
        (budget.drains, budget.share) = (true, S(20));
        let plan = Plan::of(&budget);
        assert_eq!(told(&plan), ["0 gateway and coordinator drain", "20 last start"]);
        assert_eq!(plan.cut, ["agent"]);
    }
}
