//! The actor of the main process: it starts, reloads and stops it, and publishes its events.

use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, Recipient, SpawnHandle,
};
use coproc_core::broker::{EventBroker, Publish};
use coproc_core::event::{Event, Phase};
use coproc_core::exit::ExitStatus;
use coproc_core::output::{Kind as Lines, Output};
use coproc_core::probe::{Attached, Notes, Role, Watch, attach};
use coproc_core::process::{Command, Process, Report, SpawnError, Taps, launch};
use coproc_core::scope::Scope;
use coproc_core::signal::Signal;
use coproc_core::supervision::Lifeline;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::{Kind, Main};
use crate::foreground::Foreground;
use crate::nginx::News;
use crate::reload::{Effect, Input, Reload};
use crate::tap::{Heard, MainTap};
use crate::time::now_in_go;
use crate::workers::Workers;

/// Start the main process.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Start;

/// End the main process: this signal now, KILL at that time.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// What it is asked with.
    pub signal: Signal,
    /// When asking is over.
    pub kill_at: Instant,
}

/// Make the main process read its configuration again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReloadMain {
    /// Why, for the event.
    pub cause: String,
    /// Who waits for the outcome; the error is a sentence.
    pub done: Option<oneshot::Sender<Result<(), String>>>,
}

/// Pass a signal on to the main process itself.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Pass(pub Signal);

/// Where the broker is, after it was built anew.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct BrokerIs(pub Addr<EventBroker>);

/// Asks what the main process does.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "MainStatus")]
pub struct Status;

/// What the main process does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MainStatus {
    /// `waiting`, `starting`, `running`, `stopping` or `stopped`.
    pub state: &'static str,
    /// Its pid while it lives.
    pub pid: Option<i32>,
    /// How long it has been running.
    pub uptime: Option<Duration>,
    /// Whether it serves.
    pub ready: bool,
    /// What its probes find wrong with it: of `ready`, then of `live`.
    pub wrong: [Option<String>; 2],
    /// What it last said that it does.
    pub status: Option<String>,
}

/// What became of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum MainNews {
    /// It could not be started.
    Failed(SpawnError),
    /// It runs and is of no use, for this reason.
    Unfit(String),
    /// It is gone and its output was read to the end.
    Exited {
        /// Its process, as it was.
        pid: i32,
        /// How it ended.
        status: ExitStatus,
        /// An nginx that went into the background and left this wrapper.
        daemonised: bool,
    },
}

/// What precedes a reload signal, such as rendering the configuration. It works elsewhere than on
/// this thread.
pub trait Preparation {
    /// Begins, and tells the outcome when it is done. The error is a sentence.
    fn begin(&self) -> oneshot::Receiver<Result<(), String>>;

    /// Whether what was prepared has been taken; else it is to be as it was before. Only the first
    /// word counts.
    fn settle(&self, taken: bool);
}

/// What the tree gives the main process to live in.
#[derive(Clone)]
pub struct Surroundings {
    /// Where its output goes.
    pub output: Output,
    /// The names that its command may use.
    pub scope: Arc<Scope>,
    /// The environment that it inherits.
    pub inherited: Arc<Vec<(OsString, OsString)>>,
    /// Variables that coproc adds.
    pub added: Vec<(&'static str, String)>,
    /// How long its end waits for the end of its output.
    pub drain_timeout: Duration,
    /// What precedes a reload signal; it sets the time of the latest reload itself.
    pub preparation: Option<Rc<dyn Preparation>>,
    /// Who is told what became of it.
    pub parent: Recipient<MainNews>,
}

/// How long nginx may take until its first worker, before its silence is worth a word.
const SILENCE: Duration = Duration::from_secs(5);

type ReloadWaiter = oneshot::Sender<Result<(), String>>;

/// The actor.
pub struct MainActor {
    pub(crate) config: Rc<Main>,
    pub(crate) surroundings: Surroundings,
    broker: Addr<EventBroker>,
    pub(crate) process: Option<Process>,
    since: Option<Instant>,
    /// Whether `start` was published.
    pub(crate) started: bool,
    pub(crate) ready: bool,
    /// The probes of a process that was launched and is not known to run.
    pub(crate) attached: Option<Attached>,
    /// The probes of the process that runs.
    pub(crate) watch: Option<Watch>,
    pub(crate) notes: Notes,
    pub(crate) ready_timer: Option<SpawnHandle>,
    pub(crate) stopping: bool,
    workers: Workers,
    foreground: Foreground,
    reload: Reload,
    /// Why the latest reload was asked for.
    cause: String,
    reload_timer: Option<SpawnHandle>,
    /// Who waits for the reload that is under way.
    reload_waiters: Vec<ReloadWaiter>,
    /// Who asked too late for it, and waits for the next.
    next_reload_waiters: Vec<ReloadWaiter>,
    open_streams: u8,
    /// Set once the process is gone and only its output is waited for.
    ended: Option<Ended>,
    _lifeline: Lifeline,
}

/// A process that is gone.
#[derive(Clone, Copy)]
struct Ended {
    pid: i32,
    status: ExitStatus,
    lived: Duration,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Reported(Report);

#[derive(Message)]
#[rtype(result = "()")]
struct Prepared(Result<(), String>);

/// Asks whether a reload is being prepared still.
#[derive(Message)]
#[rtype(result = "bool")]
struct StillPreparing;

impl MainActor {
    /// An actor whose main process is not started yet.
    pub fn new(
        config: Rc<Main>,
        surroundings: Surroundings,
        broker: Addr<EventBroker>,
        lifeline: Lifeline,
    ) -> Self {
        let reload = Reload::new(config.reload_timeout, config.kind == Kind::Nginx);
        Self {
            config,
            surroundings,
            broker,
            process: None,
            since: None,
            started: false,
            ready: false,
            attached: None,
            watch: None,
            notes: Notes::default(),
            ready_timer: None,
            stopping: false,
            workers: Workers::default(),
            foreground: Foreground::default(),
            reload,
            cause: String::new(),
            reload_timer: None,
            reload_waiters: Vec::new(),
            next_reload_waiters: Vec::new(),
            open_streams: 0,
            ended: None,
            _lifeline: lifeline,
        }
    }

    pub(crate) fn is_nginx(&self) -> bool {
        self.config.kind == Kind::Nginx
    }

    pub(crate) fn publish(&self, event: Event) {
        self.broker.do_send(Publish::new(event));
    }

    fn command(&self, ctx: &mut Context<Self>) -> Command {
        let scope = &self.surroundings.scope;
        let tap = || -> Option<Box<dyn coproc_core::output::Tap>> {
            Some(Box::new(MainTap {
                reads_nginx: self.is_nginx(),
                begun: false,
                to: ctx.address().recipient(),
            }))
        };
        let kind = match self.config.kind {
            Kind::Nginx => Lines::Nginx,
            Kind::Program | Kind::None => Lines::Plain,
        };
        Command {
            name: self.config.kind.logger().into(),
            argv: self.config.exec.iter().map(|word| scope.interpolate(word)).collect(),
            context: self.config.context.clone(),
            inherited: self.surroundings.inherited.clone(),
            added: self.surroundings.added.clone(),
            kind,
            taps: Taps { stdout: tap(), stderr: tap() },
            descriptors: Vec::new(),
        }
    }

    fn reload_input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let (reload, effects) = self.reload.step(input, Instant::now());
        self.reload = reload;
        for effect in effects {
            self.perform(effect, ctx);
        }
        if let Some(timer) = self.reload_timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(deadline) = self.reload.deadline() {
            let pause = deadline.saturating_duration_since(Instant::now());
            self.reload_timer = Some(ctx.run_later(pause, |actor, ctx| {
                actor.reload_timer = None;
                actor.reload_input(Input::Timer, ctx);
            }));
        }
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Prepare => {
                let (done, worked_off) = oneshot::channel();
                let event = Event::new(Phase::PreReload).with("reload_cause", self.cause.clone());
                self.broker.do_send(Publish { event, done: Some(done) });
                let me = ctx.address();
                let preparation = self.surroundings.preparation.clone();
                actix_rt::spawn(async move {
                    // A broker that died has let go of the event as well.
                    let _ = worked_off.await;
                    // Nothing is prepared for a reload that was given up meanwhile.
                    let prepared = match preparation {
                        Some(preparation) if me.send(StillPreparing).await.unwrap_or(false) => {
                            let died = || Err("what precedes a reload broke off".to_owned());
                            preparation.begin().await.unwrap_or_else(|_| died())
                        }
                        _ => Ok(()),
                    };
                    me.do_send(Prepared(prepared));
                });
            }
            Effect::Signal => {
                self.note_time();
                if let Some(process) = &self.process {
                    process.signal_leader(self.config.reload_signal);
                }
            }
            Effect::Done => {
                if !self.is_nginx()
                    && let Some(process) = &self.process
                {
                    self.publish(Event::new(Phase::Reload).with("pid", process.pid()));
                }
                self.settle(true);
                tracing::debug!(target: "pm", "reload done");
                self.tell_reload(&Ok(()));
            }
            Effect::Refused(why) => {
                self.settle(false);
                self.perform(Effect::Failed(why), ctx);
            }
            Effect::Failed(why) => {
                // One that only said nothing may have taken what was prepared.
                self.settle(true);
                tracing::error!(target: "pm", "reload failed, the old configuration stays: {why}");
                self.tell_reload(&Err(why));
            }
        }
    }

    /// Says whether what was prepared stays, if nothing was said before.
    fn settle(&self, taken: bool) {
        if let Some(preparation) = &self.surroundings.preparation {
            preparation.settle(taken);
        }
    }

    /// Without a preparation the time of a reload is that of its signal.
    fn note_time(&self) {
        if self.surroundings.preparation.is_none() {
            self.surroundings.scope.reloaded(now_in_go());
        }
    }

    /// Says why nothing happens on `start`, if nginx logs where its lines cannot be heard.
    fn warn_of_silence(&self) {
        if self.process.is_some() && !self.stopping && !self.started {
            tracing::warn!(target: "pm", "nginx has announced no workers: `start`, the events of workers and reloads need `error_log stderr notice;`");
        }
    }

    fn tell_reload(&mut self, outcome: &Result<(), String>) {
        let mut told = std::mem::take(&mut self.reload_waiters);
        self.reload_waiters = std::mem::take(&mut self.next_reload_waiters);
        if self.reload.is_idle() {
            // No other reload follows, since the main process is going.
            told.append(&mut self.reload_waiters);
        }
        for waiter in told {
            // One who hung up does not want to know.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// The end is told once the process is gone and both streams are read, or time is over.
    fn tell_end(&mut self) {
        let Some(Ended { pid, status, lived }) = self.ended.take() else { return };
        let daemonised = self.is_nginx()
            && !self.stopping
            && status.success()
            && self.foreground.was_left(self.open_streams > 0, lived);
        self.surroundings.parent.do_send(MainNews::Exited { pid, status, daemonised });
    }
}

impl Actor for MainActor {
    type Context = Context<Self>;
}

impl Handler<Start> for MainActor {
    type Result = ();

    fn handle(&mut self, Start: Start, ctx: &mut Context<Self>) {
        self.note_time();
        let mut command = self.command(ctx);
        let me = ctx.address();
        let Surroundings { output, scope, .. } = &self.surroundings;
        let Main { ready, live, exec, .. } = &*self.config;
        let launched = attach(ready.as_ref(), live.as_ref(), &mut command, scope, output)
            .map_err(|error| SpawnError::descriptors(&exec[0], &error))
            .and_then(|attached| {
                let report = move |report| me.do_send(Reported(report));
                Ok((launch(command, output, report)?, attached))
            });
        match launched {
            Ok((process, attached)) => {
                self.attached = Some(attached);
                // As configured: what is interpolated may be a secret.
                let shown = self.config.exec.join(" ");
                tracing::debug!(target: "pm", "started `{shown}` as {}", process.pid());
                self.open_streams = 2;
                self.since = Some(Instant::now());
                self.process = Some(process);
                if let Some(within) = self.config.ready.as_ref().and_then(|probe| probe.within) {
                    self.ready_timer = Some(ctx.run_later(within, move |actor, _| {
                        actor.ready_timer = None;
                        let within = humantime::format_duration(within);
                        actor.unfit(&format!("was not ready within {within}"), Role::Ready);
                    }));
                }
            }
            Err(error) => self.surroundings.parent.do_send(MainNews::Failed(error)),
        }
    }
}

impl Handler<Reported> for MainActor {
    type Result = ();

    fn handle(&mut self, Reported(report): Reported, ctx: &mut Context<Self>) {
        match report {
            Report::Running => {
                if self.is_nginx() {
                    ctx.run_later(SILENCE, |actor, _| actor.warn_of_silence());
                }
                if !self.is_nginx() && self.config.ready.is_none() {
                    self.is_ready(ctx);
                }
                self.watch(ctx);
            }
            Report::Failed(error) => {
                self.process = None;
                self.end_probes(ctx);
                self.surroundings.parent.do_send(MainNews::Failed(error));
            }
            Report::Exited(status) => {
                let pid = self.process.take().map_or(0, |process| process.pid());
                self.end_probes(ctx);
                self.reload_input(Input::MainGone, ctx);
                let lived = self.since.map_or(Duration::ZERO, |since| since.elapsed());
                self.ended = Some(Ended { pid, status, lived });
                if self.open_streams == 0 {
                    self.tell_end();
                } else {
                    // A stranger may hold the pipe open for ever.
                    let limit = self.surroundings.drain_timeout;
                    ctx.run_later(limit, |actor, _| actor.tell_end());
                }
            }
        }
    }
}

impl Handler<Heard> for MainActor {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        let fact = match heard {
            Heard::Closed => {
                self.open_streams = self.open_streams.saturating_sub(1);
                if self.open_streams == 0 {
                    self.tell_end();
                }
                return;
            }
            Heard::Begun => return self.foreground.spoke(),
            Heard::Fact(fact) => fact,
        };
        let pid = self.process.as_ref().map(Process::pid).or(self.ended.map(|ended| ended.pid));
        if pid != Some(fact.pid) {
            self.foreground.take_strange(&fact);
            return;
        }
        self.foreground.take(&fact);
        for event in self.workers.take(&fact, self.reload.expects_workers()) {
            if event.phase() == Some(Phase::Start) {
                self.started = true;
                self.ready |= self.config.ready.is_none();
            }
            self.publish(event);
        }
        match fact.news {
            News::Announced => self.reload_input(Input::Announced, ctx),
            News::WorkerStarted(_) => self.reload_input(Input::WorkerStarted, ctx),
            News::Emergency(why) => self.reload_input(Input::Refused(why), ctx),
            News::Began | News::Exits | News::WorkerExited(_) => {}
        }
    }
}

impl Handler<ReloadMain> for MainActor {
    type Result = ();

    fn handle(&mut self, ReloadMain { cause, done }: ReloadMain, ctx: &mut Context<Self>) {
        if self.process.is_none() || self.stopping {
            let why = match self.stopping {
                true => "the main process is stopping",
                false => "the main process has not been started yet",
            };
            tracing::info!(target: "pm", "reload ignored: {why}");
            if let Some(done) = done {
                let _ = done.send(Err(why.to_owned()));
            }
            return;
        }
        tracing::info!(target: "pm", "{cause}");
        self.cause = cause;
        match self.reload.takes_requests() {
            true => self.reload_waiters.extend(done),
            false => self.next_reload_waiters.extend(done),
        }
        self.reload_input(Input::Asked, ctx);
    }
}

impl Handler<Prepared> for MainActor {
    type Result = ();

    fn handle(&mut self, Prepared(outcome): Prepared, ctx: &mut Context<Self>) {
        let input = match outcome {
            Ok(()) => Input::Prepared,
            Err(why) => Input::PrepareFailed(why),
        };
        self.reload_input(input, ctx);
    }
}

impl Handler<StillPreparing> for MainActor {
    type Result = bool;

    fn handle(&mut self, StillPreparing: StillPreparing, ctx: &mut Context<Self>) -> bool {
        self.reload_input(Input::Reading, ctx);
        self.reload.is_preparing()
    }
}

impl Handler<Stop> for MainActor {
    type Result = ();

    fn handle(&mut self, Stop { signal, kill_at }: Stop, ctx: &mut Context<Self>) {
        if self.process.is_none() {
            return;
        }
        self.stopping = true;
        // What is being prepared would reach it amid its end.
        self.reload_input(Input::MainStops, ctx);
        // What is being stopped is not asked any more.
        self.watch = None;
        let Some(process) = &self.process else { return };
        tracing::info!(target: "nginx-run", "stopping {} with signal {}", process.pid(), signal.number());
        match signal {
            Signal::KILL => process.signal(Signal::KILL),
            signal => {
                process.signal_leader(signal);
                process.signal_leader(Signal::CONT);
            }
        }
        let pause = kill_at.saturating_duration_since(Instant::now());
        ctx.run_later(pause, |actor, _| {
            if let Some(process) = &actor.process {
                tracing::warn!(target: "pm", "the main process did not end in time and is killed");
                process.signal(Signal::KILL);
            }
        });
    }
}

impl Handler<Pass> for MainActor {
    type Result = ();

    fn handle(&mut self, Pass(signal): Pass, _: &mut Context<Self>) {
        if let Some(process) = &self.process {
            process.signal_leader(signal);
        }
    }
}

impl Handler<BrokerIs> for MainActor {
    type Result = ();

    fn handle(&mut self, BrokerIs(broker): BrokerIs, _: &mut Context<Self>) {
        self.broker = broker;
    }
}

impl Handler<Status> for MainActor {
    type Result = MessageResult<Status>;

    fn handle(&mut self, _: Status, _: &mut Context<Self>) -> Self::Result {
        let state = match (&self.process, self.since) {
            (None, None) => "waiting",
            (None, Some(_)) => "stopped",
            (Some(_), _) if self.stopping => "stopping",
            (Some(_), _) if self.started => "running",
            (Some(_), _) => "starting",
        };
        MessageResult(MainStatus {
            state,
            pid: self.process.as_ref().map(Process::pid),
            uptime: self.process.as_ref().and(self.since).map(|since| since.elapsed()),
            ready: self.ready && !self.stopping,
            wrong: [Role::Ready, Role::Live].map(|role| self.notes.wrong(role)),
            status: self.notes.status(),
        })
    }
}

#[cfg(feature = "faults")]
impl Handler<coproc_core::supervision::Panic> for MainActor {
    type Result = ();

    fn handle(&mut self, _: coproc_core::supervision::Panic, _: &mut Context<Self>) {
        panic!("the main process's actor was told to");
    }
}
