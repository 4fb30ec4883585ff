//! `GET /v1/plan`: who would get which signal, and by when at the latest, if the wrapper were told to
//! stop now. Pure but for the gathering at the end.

use std::time::Duration;

use coproc_control::request::Refused;
use coproc_coprocess::why::seconds;
use coproc_core::name::MAIN;
use coproc_core::signal::Signal;
use coproc_main::config::Kind;
use serde_json::{Value, json};

use super::lifecycle::Stage;
use super::root::{DEATH, Root};
use crate::budget::{Part, Shares, last, share};

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
    /// Whether there are any who answer requests.
    pub(super) drains: bool,
    /// In the order of the file.
    pub(super) coprocesses: Vec<Part>,
    /// How long what has left its group has between TERM and KILL, where it is looked after.
    pub(super) strays: Option<Duration>,
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
    /// It is started, and waited for so long, all who are together.
    Start(Duration),
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
        let Budget { limit, gateway, main, stop_timeout, drains, coprocesses, strays } = budget;
        let mut plan = Self { limit: *limit, steps: Vec::new(), cut: Vec::new(), strays: *strays };
        let mut at = Duration::ZERO;
        if let Some(signal) = main {
            if let Some(time) = gateway {
                plan.step(at, "gateway", What::Drain);
                at += *time;
            }
            plan.step(at, MAIN, What::Signal(*signal));
            at = stop_timeout.map_or(share(*limit, coprocesses), |time| at + time);
            plan.step(at, MAIN, What::Signal(Signal::KILL));
        }
        let left = limit.saturating_sub(last(*limit)).saturating_sub(at);
        let shares = Shares::of(left, *limit, *drains, coprocesses);
        if *drains {
            plan.step(at, "gateway and coordinator", What::Drain);
            at += shares.drain;
        }
        for part in coprocesses.iter().filter(|part| part.starts) {
            plan.step(at, &part.name, What::Start(shares.starts));
        }
        at += shares.starts;
        for (part, time) in coprocesses.iter().zip(&shares.stop_commands) {
            let Some(time) = time else { continue };
            plan.step(at, &part.name, What::StopCommand(*time));
            at += *time;
        }
        for (at_exit, time) in [(true, shares.at_exit), (false, shares.others)] {
            for part in coprocesses.iter().filter(|part| part.runs && part.at_exit == at_exit) {
                let signals = [Signal::TERM, Signal::INT, Signal::KILL];
                let pause = part.stop_timeout.within(Some(time / 2));
                for (count, signal) in (0..).zip(signals) {
                    plan.step(at + pause * count, &part.name, What::Signal(signal));
                }
            }
            at += time;
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
                What::Start(limit) => {
                    step["action"] = "start".into();
                    step["limit_s"] = seconds(*limit).into();
                }
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
        let runs = self.wrapper.stage() == Stage::Running && self.config.main.kind != Kind::None;
        let limit = self.config.shutdown_timeout;
        let budget = Budget {
            limit,
            gateway: self.gateway.as_ref().map(|_| share(limit, &self.parts()) / 2),
            main: runs.then_some(self.config.main.stop_signal),
            stop_timeout: self.config.main.stop_timeout,
            drains: self.gateway.is_some() || self.coordinator.is_some(),
            coprocesses: self.parts(),
            strays: self.config.subreaper.then_some(self.config.stray_timeout),
        };
        Ok(Plan::of(&budget).to_json())
    }

    /// The part of each coprocess in a stop, in their order.
    pub(super) fn parts(&self) -> Vec<Part> {
        let part = |child: &super::children::Supervised| {
            let standing = child.standing.borrow();
            Part::of(&child.config, standing.machine.is_live(), standing.policy.background)
        };
        self.coprocesses.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_coprocess::config::Patience;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn part(name: &str, runs: bool, at_exit: bool, stop_command: Option<u64>) -> Part {
        let patience = |seconds| Patience::default_of(S(seconds));
        Part {
            name: name.into(),
            runs,
            starts: false,
            at_exit,
            stop_command: stop_command.map(patience),
            stop_timeout: patience(5),
        }
    }

    fn budget(limit: u64, coprocesses: Vec<Part>) -> Budget {
        Budget {
            limit: S(limit),
            gateway: None,
            main: Some(Signal::QUIT),
            stop_timeout: None,
            drains: false,
            coprocesses,
            strays: Some(S(1)),
        }
    }

    /// A step in one word.
    fn told(plan: &Plan) -> Vec<String> {
        let what = |step: &Step| match step.what {
            What::Signal(signal) => signal.to_string(),
            What::StopCommand(time) => format!("command of {}", time.as_secs_f64()),
            What::Start(time) => format!("start of {}", time.as_secs_f64()),
            What::Drain => "drain".into(),
        };
        let tell = |step: &Step| format!("{} {} {}", step.by.as_secs_f64(), step.who, what(step));
        plan.steps.iter().map(tell).collect()
    }

    #[test]
    fn each_step_waits_for_the_longest_of_the_one_before() {
        let mut budget = budget(
            60,
            vec![
                part("late", true, false, None),
                part("agent", true, true, Some(10)),
                part("ended", false, true, Some(2)),
            ],
        );
        budget.stop_timeout = Some(S(25));
        let plan = Plan::of(&budget);
        assert_eq!(
            told(&plan),
            [
                "0 main QUIT",
                "25 main KILL",
                "25 agent command of 10",
                "35 ended command of 2",
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
    fn what_the_config_does_not_say_fits() {
        let plan = Plan::of(&budget(30, vec![part("agent", true, true, Some(10))]));
        assert_eq!(
            told(&plan),
            [
                "0 main QUIT",
                "25 main KILL",
                "25 agent command of 2",
                "27 agent TERM",
                "28 agent INT",
                "29 agent KILL",
            ]
        );
        assert!(plan.cut.is_empty());
        let json = plan.to_json();
        assert_eq!((&json["limit_s"], &json["gone_s"]), (&json!(30.0), &json!(31.0)));
        let step = json!({
            "by_s": 25.0, "who": "agent", "action": "stop-command", "limit_s": 2.0
        });
        assert_eq!(json["steps"][2], step);
        assert_eq!(json["steps"][0], json!({ "by_s": 0.0, "who": "main", "signal": "QUIT" }));
    }

    #[test]
    fn who_may_come_too_late_is_named() {
        let mut agent = part("agent", true, true, Some(10));
        agent.stop_command = Some(Patience { time: S(20), said: true });
        let plan = Plan::of(&budget(30, vec![agent.clone()]));
        assert_eq!(told(&plan), ["0 main QUIT", "15 main KILL", "15 agent command of 20"]);
        assert_eq!(plan.cut, ["agent"]);
        agent.stop_command = Some(Patience { time: S(10), said: true });
        let plan = Plan::of(&budget(30, vec![agent]));
        let steps = ["0 main QUIT", "15 main KILL", "15 agent command of 10", "25 agent TERM"];
        assert_eq!(told(&plan)[..4], steps, "main has what the others do not need");
        assert!(plan.cut.is_empty());
    }

    #[test]
    fn the_gateway_finishes_before_the_main_process_is_told() {
        let mut budget = budget(30, vec![]);
        (budget.gateway, budget.drains) = (Some(S(12)), true);
        let steps = ["0 gateway drain", "12 main QUIT", "25 main KILL"];
        assert_eq!(told(&Plan::of(&budget))[..3], steps);
        budget.stop_timeout = Some(S(3));
        let steps = ["12 main QUIT", "15 main KILL", "15 gateway and coordinator drain"];
        assert_eq!(told(&Plan::of(&budget))[1..], steps);
    }

    #[test]
    fn one_that_exit_starts_leaves_the_others_their_signals() {
        let mut last = part("last", false, true, None);
        last.starts = true;
        let mut budget = budget(20, vec![last, part("agent", true, true, None)]);
        budget.main = None;
        let steps = told(&Plan::of(&budget));
        assert_eq!(steps.len(), 4, "{steps:?}");
        assert!(steps[0].starts_with("0 last start of 12.6"), "{steps:?}");
        assert!(steps[1].starts_with("12.6") && steps[1].ends_with("agent TERM"), "{steps:?}");
        assert!(steps[3].starts_with("18.99") || steps[3].starts_with("19 "), "{steps:?}");
        assert!(steps[3].ends_with("agent KILL"), "{steps:?}");
    }
}
