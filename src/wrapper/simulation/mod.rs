//! The tree on a clock of its own, with programs that are only imagined: the same root, broker and
//! actors as in `coproc run`, and nothing is started. The clock stands still while anything can go on,
//! so that a month takes no longer than what happens in it.

mod nginx;
mod programs;
pub(crate) mod scenario;
mod timeline;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use coproc_control::request::{Ask, Request};
use coproc_control::server::Entrances;
use coproc_core::event::{EventName, Phase};
use coproc_core::exit::{ExitStatus, FAILURE};
use coproc_core::name::MAIN;
use coproc_core::output::Output;
use coproc_main::config::Kind;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::time::sleep_until;

use self::programs::Programs;
use self::scenario::{Habit, Happening, Length, Scenario};
use self::timeline::Timeline;
use super::record::Record;
use super::root::{Parts, Root};
use crate::config::{Config, Loaded};
use crate::event_loop;
use crate::signals::OsSignal;

pub use self::programs::Run;
pub use self::timeline::Entry;

/// How long a coprocess in the foreground runs, where nobody says.
pub const FOREGROUND: Duration = Duration::from_millis(100);
/// How long stop commands and checks run, where nobody says.
pub const COMMAND: Duration = Duration::from_millis(10);

/// What came of a simulation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All that happened.
    pub entries: Vec<Entry>,
    /// The runs of all programs.
    pub runs: Vec<Run>,
    /// How the wrapper left; none: it still runs.
    pub end: Option<End>,
    /// When it was over.
    pub took: Duration,
    /// Whether it was broken off since too much happened.
    pub broken_off: bool,
    /// What a stop would have been like when it was last asked: before something happened, or at the end.
    pub plan: Option<Value>,
    /// The status at the times of the scenario.
    pub looks: Vec<(Duration, Value)>,
    /// The status at the end, where the wrapper still runs.
    pub status: Option<Value>,
}

/// How a wrapper left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its exit status.
    pub status: u8,
    /// The cause in one word, and in a sentence.
    pub cause: Option<(&'static str, String)>,
    /// How the stop went.
    pub stop: Option<String>,
    /// How long the stop took.
    pub took: Option<Duration>,
}

/// Simulates the life of a wrapper with this config.
///
/// # Errors
/// When there is no event loop; a sentence.
pub fn simulate(loaded: Loaded, scenario: &Scenario) -> Result<Outcome, String> {
    let system = event_loop::start_on_own_clock()?;
    let output = Output::nowhere().map_err(|error| format!("there is no output: {error}"))?;
    let outcome = system.block_on(play(loaded, scenario, output));
    // What still runs goes with the loop.
    drop(system);
    Ok(outcome)
}

async fn play(loaded: Loaded, scenario: &Scenario, output: Output) -> Outcome {
    let config = loaded.config.clone();
    let main = config.main.kind.logger();
    let timeline = Timeline::new(main);
    let _listening = timeline::listen(timeline.clone());
    let habits = habits(&config, scenario);
    let programs = Programs::new(timeline.clone(), habits, config.main.clone(), scenario.seed);
    let code = Rc::new(Cell::new(FAILURE));
    let record: Rc<RefCell<Option<Record>>> = Rc::default();
    let parts = Parts {
        config: Rc::new(config),
        loaded: Rc::new(loaded),
        output,
        forwarded: Vec::new(),
        inherited: Arc::default(),
        control: Entrances::default(),
        templates: None,
        exec_sockets: Rc::default(),
        coordinator: None,
        gateway: None,
        code: code.clone(),
        record: Some(record.clone()),
        kills: None,
        world: Some(programs.clone()),
    };
    let root = Root::new(parts);
    let standings = root.coprocesses.iter();
    let standings = standings.map(|one| (one.config.clone(), one.standing.clone())).collect();
    timeline.follow(root.events.borrow().follow(), standings);
    let mut events = root.events.borrow().follow();
    let player = Rc::new(Player {
        root: root.start(),
        timeline: timeline.clone(),
        programs: programs.clone(),
        main,
        plan: RefCell::default(),
        looks: RefCell::default(),
    });
    let follower = player.clone();
    actix_rt::spawn(async move {
        loop {
            let settled = match events.recv().await {
                Ok(stamped) => stamped.event.name == EventName::Phase(Phase::Start),
                Err(RecvError::Lagged(_)) => false,
                Err(RecvError::Closed) => return,
            };
            // While anybody can go on the clock stands still.
            follower.timeline.catch_up();
            if settled {
                follower.note_plan().await;
            }
        }
    });
    let left = tokio::select! {
        biased;
        () = programs.left.notified() => true,
        () = timeline.filled.notified() => false,
        () = player.play(scenario) => false,
    };
    let took = timeline.now();
    let status = match left {
        true => None,
        false if timeline.full.get() => None,
        false => player.ask(Request::Status(None)).await,
    };
    let end = left.then(|| {
        let record = record.take();
        let stop = record.as_ref().and_then(|record| record.stop.clone());
        End {
            status: code.get(),
            cause: record
                .and_then(|record| record.cause)
                .map(|one| (one.as_str(), one.to_string())),
            stop: stop.as_ref().map(super::stop::Stop::sentence),
            took: stop.map(|stop| stop.took),
        }
    });
    Outcome {
        entries: timeline.take(),
        runs: programs.runs.borrow().clone(),
        end,
        took,
        broken_off: timeline.full.get(),
        plan: player.plan.take(),
        looks: player.looks.take(),
        status,
    }
}

/// How everybody behaves, by the names that the log has for them: as the scenario says, and where it
/// does not, as is to be expected.
fn habits(config: &Config, scenario: &Scenario) -> HashMap<String, Habit> {
    let mut habits: HashMap<String, Habit> = HashMap::new();
    let main = config.main.kind.logger();
    for (name, habit) in &scenario.habits {
        habits.insert(logged(name, main), habit.clone());
    }
    let mut ends = |name: String, time: Duration| {
        let runs = Length::Time(time, ExitStatus::Code(0));
        habits.entry(name).or_default().runs.get_or_insert(runs);
    };
    for coprocess in &config.coprocesses {
        if !coprocess.policy.background {
            ends(coprocess.name.to_string(), FOREGROUND);
        }
        if coprocess.stop_exec.is_some() {
            ends(format!("stop-{}", coprocess.name), COMMAND);
        }
    }
    if config.main.kind != Kind::None {
        ends(format!("check-{main}"), COMMAND);
    }
    habits
}

/// What the log calls whom people call so.
fn logged(name: &str, main: &str) -> String {
    match name {
        MAIN => main.to_owned(),
        "check" => format!("check-{main}"),
        name => name.to_owned(),
    }
}

/// Has happen what is to happen.
struct Player {
    root: Addr<Root>,
    timeline: Rc<Timeline>,
    programs: Rc<Programs>,
    main: &'static str,
    plan: RefCell<Option<Value>>,
    looks: RefCell<Vec<(Duration, Value)>>,
}

impl Player {
    async fn play(&self, scenario: &Scenario) {
        /// At the end of which millisecond the state is noted, or what happens at which time.
        enum Turn<'a> {
            Happens(&'a Happening),
            Looks,
        }
        let happenings =
            scenario.happenings.iter().map(|(at, happening)| (*at, *at, Turn::Happens(happening)));
        let end_of = |at: &Duration| at.saturating_add(Duration::from_millis(1));
        let looks = scenario.looks.iter().map(|at| (end_of(at), *at, Turn::Looks));
        let mut turns: Vec<_> = happenings.chain(looks).collect();
        turns.sort_by_key(|(due, ..)| *due);
        for (due, at, turn) in turns {
            if due > end_of(&scenario.limit) {
                break;
            }
            self.sleep(due).await;
            match turn {
                Turn::Happens(happening) => {
                    self.note_plan().await;
                    self.happen(happening).await;
                }
                Turn::Looks => {
                    if let Some(status) = self.ask(Request::Status(None)).await {
                        self.looks.borrow_mut().push((at, status));
                    }
                }
            }
        }
        self.sleep(scenario.limit).await;
        self.note_plan().await;
    }

    async fn sleep(&self, until: Duration) {
        match self.timeline.began().checked_add(until) {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    async fn ask(&self, request: Request) -> Option<Value> {
        let (reply, answer) = oneshot::channel();
        self.root.do_send(Ask { request, reply });
        answer.await.ok()?.ok()
    }

    async fn note_plan(&self) {
        if let Some(plan) = self.ask(Request::Plan).await {
            *self.plan.borrow_mut() = Some(plan);
        }
    }

    async fn happen(&self, happening: &Happening) {
        let shown = happening.shown();
        let at = humantime::format_duration(self.timeline.now());
        let done = match happening {
            Happening::Ends(name, status) => {
                let why = format!("{shown}, at {at}");
                self.programs.end(&logged(name, self.main), *status, why)
            }
            Happening::Sickens(name) => self.programs.sicken(&logged(name, self.main)),
            Happening::Signal(signal) => {
                self.timeline.add_own(format!("is sent {signal}"), None);
                self.root.do_send(OsSignal(*signal));
                true
            }
            Happening::Emit(name) => {
                let _ = self.ask(Request::Emit(name.clone())).await;
                true
            }
            Happening::Reload => {
                self.timeline.add_own("is asked for a reload", None);
                let (reply, answer) = oneshot::channel();
                self.root.do_send(Ask { request: Request::Reload, reply });
                let timeline = self.timeline.clone();
                actix_rt::spawn(async move {
                    match answer.await {
                        Ok(Ok(_)) => timeline.add_own("has reloaded", None),
                        Ok(Err(refused)) => {
                            timeline.add_own("has not reloaded", Some(refused.why));
                        }
                        // It leaves.
                        Err(_) => {}
                    }
                });
                true
            }
        };
        if !done {
            self.timeline.add_own("nothing happens", Some(format!("{shown}: it does not run")));
        }
    }
}

#[cfg(test)]
mod tests;
