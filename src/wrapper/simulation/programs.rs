//! The programs of a simulation: each is a task that ends, becomes ready and heeds signals as its
//! scenario says, and tells the tree so just as a real one would.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coproc_core::exit::{ExitStatus, NOT_FOUND};
use coproc_core::probe::Role;
use coproc_core::process::{Report, SpawnError, Step, Taps};
use coproc_core::signal::Signal;
use coproc_core::world::{Answer, Imagined, World};
use coproc_main::config::{Kind, Main};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::nginx::Nginx;
use super::scenario::{Delay, Habit, Length};
use super::timeline::Timeline;

/// What a probe hears of one that is not ready or shows no life.
const SILENCE: &str = "no answer";

/// What stands in for the system.
pub(super) struct Programs {
    timeline: Rc<Timeline>,
    /// By the names that the log has for them.
    habits: HashMap<String, Habit>,
    main: Main,
    present: RefCell<HashMap<Arc<str>, Present>>,
    /// How many were started, which numbers them.
    started: Cell<i32>,
    /// What the wall clock said at the beginning.
    dawn: SystemTime,
    random: Cell<u64>,
    pub(super) left: Notify,
    /// Runs by name, in the order of their launch: when each began and ended.
    pub(super) runs: Rc<RefCell<Vec<Run>>>,
}

/// A run of a program, for those who look at a simulation afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program.
    pub name: Arc<str>,
    /// When it was launched.
    pub from: Duration,
    /// When it had ended.
    pub to: Option<Duration>,
}

/// The run of a program that was launched last.
struct Present {
    runs: u32,
    ready: watch::Sender<Answer>,
    live: watch::Sender<Answer>,
    strokes: mpsc::UnboundedSender<Stroke>,
}

/// What befalls a program.
#[derive(Debug)]
enum Stroke {
    Signal(Signal),
    End(ExitStatus, String),
}

/// The handle of a program.
struct Handle {
    name: Arc<str>,
    pid: i32,
    strokes: mpsc::UnboundedSender<Stroke>,
    gone: watch::Receiver<bool>,
    timeline: Rc<Timeline>,
}

impl Imagined for Handle {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn signal(&self, signal: Signal) {
        // It follows others, for those who are stopped.
        if *self.gone.borrow() || signal == Signal::CONT {
            return;
        }
        self.timeline.add(&self.name, format!("is sent {signal}"), None);
        // One that has just ended takes nothing in.
        let _ = self.strokes.send(Stroke::Signal(signal));
    }

    fn gone(&self) -> watch::Receiver<bool> {
        self.gone.clone()
    }
}

impl Programs {
    pub(super) fn new(
        timeline: Rc<Timeline>,
        habits: HashMap<String, Habit>,
        main: Main,
        seed: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            timeline,
            habits,
            main,
            present: RefCell::default(),
            started: Cell::new(0),
            dawn: SystemTime::now(),
            random: Cell::new(seed),
            left: Notify::new(),
            runs: Rc::default(),
        })
    }

    /// Ends a program; false if it does not run.
    pub(super) fn end(&self, name: &str, status: ExitStatus, why: String) -> bool {
        let present = self.present.borrow();
        present.get(name).is_some_and(|one| one.strokes.send(Stroke::End(status, why)).is_ok())
    }

    /// Has a program show no life any more; false if it does not run.
    pub(super) fn sicken(&self, name: &str) -> bool {
        let present = self.present.borrow();
        let Some(one) = present.get(name).filter(|one| !one.strokes.is_closed()) else {
            return false;
        };
        let _ = one.live.send_replace(Err(SILENCE.to_owned()));
        true
    }
}

impl World for Programs {
    fn launch(
        &self,
        name: &Arc<str>,
        taps: Taps,
        report: Box<dyn Fn(Report)>,
    ) -> Result<Rc<dyn Imagined>, SpawnError> {
        let habit = self.habits.get(&**name).cloned().unwrap_or_default();
        if habit.missing {
            self.timeline.add(name, "cannot be started", Some("--missing".to_owned()));
            return Err(SpawnError {
                program: name.to_string(),
                step: Step::Lookup,
                reason: "the simulation has it missing".to_owned(),
                code: NOT_FOUND,
            });
        }
        let pid = self.started.get() + 1;
        self.started.set(pid);
        let (strokes, struck) = mpsc::unbounded_channel();
        let (done, gone) = watch::channel(false);
        let ready = watch::Sender::new(Err(SILENCE.to_owned()));
        let mut present = self.present.borrow_mut();
        let runs = present.get(name).map_or(0, |one| one.runs) + 1;
        let live = watch::Sender::new(Ok(()));
        let one = Present { runs, ready: ready.clone(), live, strokes: strokes.clone() };
        present.insert(name.clone(), one);
        drop(present);
        let again = (runs > 1).then(|| format!("run {runs}"));
        self.timeline.add(name, "is launched", again);
        let place = self.runs.borrow().len();
        let from = self.timeline.now();
        self.runs.borrow_mut().push(Run { name: name.clone(), from, to: None });
        let is_main = &**name == self.main.kind.logger();
        let nginx = is_main && self.main.kind == Kind::Nginx;
        let program = Program {
            ends_by: vec![Signal::TERM, Signal::INT, Signal::QUIT, Signal::KILL]
                .into_iter()
                .chain(is_main.then_some(self.main.stop_signal))
                .collect(),
            reloads_by: is_main.then_some(self.main.reload_signal),
            nginx: nginx.then(|| Nginx::new(pid)),
            habit,
            taps,
            struck,
            ready,
        };
        let (timeline, name) = (self.timeline.clone(), name.clone());
        let handle = Handle { name: name.clone(), pid, strokes, gone, timeline: timeline.clone() };
        // The tree outlives no task of its thread.
        let ended = {
            let runs = self.runs.clone();
            move |at: Duration| {
                if let Some(run) = runs.borrow_mut().get_mut(place) {
                    run.to = Some(at);
                }
            }
        };
        actix_rt::spawn(async move {
            report(Report::Running);
            let (status, why) = program.live().await;
            timeline.add(&name, format!("ends with {status}"), Some(why));
            ended(timeline.now());
            done.send_replace(true);
            report(Report::Exited(status));
        });
        Ok(Rc::new(handle))
    }

    fn answers(&self, name: &str, role: Role) -> watch::Receiver<Answer> {
        let present = self.present.borrow();
        match (present.get(name), role) {
            (Some(one), Role::Ready) => one.ready.subscribe(),
            (Some(one), Role::Live) => one.live.subscribe(),
            // Who asks has been launched.
            (None, _) => watch::channel(Ok(())).1,
        }
    }

    /// A step of SplitMix64.
    fn time(&self) -> SystemTime {
        self.dawn + self.timeline.now()
    }

    fn chance(&self) -> f64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }

    fn left(&self) {
        self.left.notify_one();
    }
}

/// A program that runs.
struct Program {
    habit: Habit,
    ends_by: Vec<Signal>,
    reloads_by: Option<Signal>,
    nginx: Option<Nginx>,
    taps: Taps,
    struck: mpsc::UnboundedReceiver<Stroke>,
    ready: watch::Sender<Answer>,
}

impl Program {
    /// Its life: how it ends, and why.
    async fn live(mut self) -> (ExitStatus, String) {
        let born = Instant::now();
        // A time beyond the end of the clock is never.
        let after = |pause: Duration| born.checked_add(pause);
        let mut end = match self.habit.runs {
            Some(Length::Time(time, status)) => {
                let why = format!("a run takes {}", humantime::format_duration(time));
                after(time).map(|at| (at, status, why))
            }
            Some(Length::Forever) | None => None,
        };
        let mut ready = match self.habit.ready.unwrap_or(Delay::After(Duration::ZERO)) {
            Delay::After(pause) => after(pause),
            Delay::Never => None,
        };
        if ready.is_some_and(|at| at <= born) {
            self.serve(&mut ready);
        }
        let mut stopping = false;
        let ended = loop {
            let moment = |at: Option<Instant>| async move {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let over = end.as_ref().map(|(at, ..)| *at);
            tokio::select! {
                biased;
                stroke = self.struck.recv() => match stroke {
                    Some(Stroke::End(status, why)) => break (status, why),
                    Some(Stroke::Signal(Signal::KILL)) | None => {
                        break (ExitStatus::Signal(Signal::KILL), "KILL".to_owned());
                    }
                    Some(Stroke::Signal(_)) if self.habit.hangs || stopping => {}
                    Some(Stroke::Signal(signal)) if self.ends_by.contains(&signal) => {
                        stopping = true;
                        let at = self.habit.stops.unwrap_or_default();
                        let own = if self.nginx.is_some() {
                            ExitStatus::Code(0)
                        } else {
                            ExitStatus::Signal(signal)
                        };
                        let why = match at.0.is_zero() {
                            true => signal.to_string(),
                            false => {
                                let time = humantime::format_duration(at.0);
                                format!("{signal}, and it takes {time} to stop")
                            }
                        };
                        end = Instant::now()
                            .checked_add(at.0)
                            .map(|moment| (moment, at.1.unwrap_or(own), why));
                    }
                    Some(Stroke::Signal(signal)) => {
                        if self.reloads_by == Some(signal)
                            && let Some(nginx) = &mut self.nginx
                        {
                            nginx.reload(&mut self.taps);
                        }
                    }
                },
                () = moment(over) => {
                    if let Some((_, status, why)) = end.take() {
                        break (status, why);
                    }
                }
                () = moment(ready) => self.serve(&mut ready),
            }
        };
        let Self { mut taps, nginx, .. } = self;
        if let Some(nginx) = nginx
            && ended.0.success()
        {
            nginx.exit(&mut taps);
        }
        for mut tap in [taps.stdout, taps.stderr].into_iter().flatten() {
            tap.closed();
        }
        ended
    }

    /// It is ready from now on.
    fn serve(&mut self, ready: &mut Option<Instant>) {
        *ready = None;
        let _ = self.ready.send_replace(Ok(()));
        if let Some(nginx) = &mut self.nginx {
            nginx.start(&mut self.taps);
        }
    }
}
