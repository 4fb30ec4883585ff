//! The actor of one coprocess: it takes messages to the machine and carries out its effects.

use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle};
use coproc_core::broker::{Deliver, EventBroker, Hold, Order, Publish, Subscription};
use coproc_core::event::{Change, Event as Happening, EventName, Phase};
use coproc_core::exit::ExitStatus;
use coproc_core::output::{Kind, Output};
use coproc_core::probe::{Attached, Watch, attach};
use coproc_core::process::{self, Ended, Process, Report, SpawnError, Taps};
use coproc_core::scope::Scope;
use coproc_core::signal::Signal;
use coproc_core::supervision::Lifeline;
use tokio::time::Instant;

use crate::config::{Coprocess, OnGiveUp, Restarts};
use crate::lifecycle::{self, At, Effect, Event, RunEnd, State, Unfit, Wanted};
use crate::probing::newly_unfit;
use crate::standing::SharedStanding;

/// What an operator, or the tree, asks of a coprocess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Command {
    /// Be up.
    Start,
    /// Run the stop command, then be down.
    Stop,
    /// Run the stop command, be down, then be up again.
    Restart,
    /// Be down at once.
    Kill,
    /// Pass a signal to the whole group.
    Signal(Signal),
    /// From now on start again so often.
    SetRestarts(Restarts),
    /// From now on pause so long between runs.
    SetPause(std::time::Duration),
    /// Let go of events, or hold them from the next start on.
    SetBackground(bool),
}

/// Where the broker is, after it was built anew.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct BrokerIs(pub Addr<EventBroker>);

/// A coprocess whose `on_give_up` is `shutdown` has failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct GaveUp {
    /// Its name.
    pub name: String,
    /// The exit status for the wrapper to leave with.
    pub code: u8,
}

/// What the tree gives a coprocess to live in.
#[derive(Clone)]
pub struct Surroundings {
    /// Where its programs' output goes.
    pub output: Output,
    /// The names that its commands may use.
    pub scope: Arc<Scope>,
    /// The environment that its programs inherit.
    pub inherited: Arc<Vec<(OsString, OsString)>>,
    /// Variables that coproc adds for every coprocess.
    pub added: Vec<(&'static str, String)>,
    /// Who is told that it gave up.
    pub parent: Recipient<GaveUp>,
}

/// The actor.
pub struct CoprocessActor {
    pub(crate) config: Rc<Coprocess>,
    pub(crate) standing: SharedStanding,
    surroundings: Surroundings,
    broker: Addr<EventBroker>,
    pub(crate) process: Option<Process>,
    /// The probes of a process that was launched and is not known to run.
    pub(crate) attached: Option<Attached>,
    /// The probes of the process that runs.
    pub(crate) watch: Option<Watch>,
    timer: Option<SpawnHandle>,
    /// Tells reports on the present process from late ones on an earlier one.
    pub(crate) run: u64,
    /// What came while the process of an earlier actor was still going; `None` once it is gone.
    backlog: Option<Vec<Waiting>>,
    _lifeline: Lifeline,
}

enum Waiting {
    Deliver(Deliver),
    Command(Command),
}

#[derive(Message)]
#[rtype(result = "()")]
struct Reported {
    run: u64,
    report: Report,
}

/// A stop command is over, and this comes next.
#[derive(Message)]
#[rtype(result = "()")]
struct Proceed {
    event: Event,
    /// The run that the stop command was meant for.
    run: u64,
}

/// The process of the actor before this one is gone.
#[derive(Message)]
#[rtype(result = "()")]
struct PredecessorGone;

impl CoprocessActor {
    /// The actor of a coprocess, going on from `standing`.
    pub fn new(
        config: Rc<Coprocess>,
        standing: SharedStanding,
        surroundings: Surroundings,
        broker: Addr<EventBroker>,
        lifeline: Lifeline,
    ) -> Self {
        Self {
            config,
            standing,
            surroundings,
            broker,
            process: None,
            attached: None,
            watch: None,
            timer: None,
            run: 0,
            backlog: Some(Vec::new()),
            _lifeline: lifeline,
        }
    }

    /// What this coprocess waits for, for the broker.
    pub fn subscription(config: &Coprocess, place: usize) -> Subscription {
        Subscription {
            place,
            exec_event: config.exec_event.clone(),
            stop_event: Some(config.stop_event.clone()),
        }
    }

    /// Puts a message off until the process of an earlier actor is gone.
    fn put_off(&mut self, message: Waiting) -> Option<Waiting> {
        match &mut self.backlog {
            Some(backlog) => {
                backlog.push(message);
                None
            }
            None => Some(message),
        }
    }

    pub(crate) fn happened(&mut self, event: Event, ctx: &mut Context<Self>) {
        let effects = {
            let standing = &mut *self.standing.borrow_mut();
            let at = At { now: Instant::now(), chance: chance() };
            let before = standing.machine.clone();
            let (after, effects) = lifecycle::step(before, event, at, &standing.policy);
            standing.tally.take(&standing.machine, &after, &effects);
            if let (Event::Ended(_), Some(end)) = (event, after.last) {
                standing.last_exit = Some((end, SystemTime::now()));
                standing.tally.ended(end);
            }
            if let Some(unfit) = newly_unfit(&standing.machine.state, &after.state) {
                self.log_unfit(unfit, &standing.notes);
            }
            if !matches!(after.state, State::Starting { .. } | State::Running { .. }) {
                // What is being stopped is not asked any more.
                self.watch = None;
                standing.unready = false;
            }
            if let State::Backoff { until } = after.state {
                let pause = humantime::format_duration(until.duration_since(at.now));
                tracing::debug!(logger = %self.config.name, "starts again in {pause}, restarts: {}", standing.policy.restarts);
            }
            standing.machine = after;
            effects
        };
        for effect in effects {
            self.perform(effect, ctx);
        }
        self.rearm(ctx);
        self.standing.borrow().mark_changed();
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Spawn => self.spawn(ctx),
            Effect::Signal(signal) => {
                if let Some(process) = &self.process {
                    tracing::debug!(logger = %self.config.name, "sending {signal} to {}", process.pid());
                    process.signal(signal);
                }
            }
            Effect::Publish(change) => self.publish(change),
            Effect::Release => {
                let mut standing = self.standing.borrow_mut();
                standing.starts.clear();
                standing.stops.clear();
            }
            Effect::ReleaseStops => self.standing.borrow_mut().stops.clear(),
            Effect::GaveUp(end) => self.gave_up(end),
        }
    }

    fn spawn(&mut self, ctx: &mut Context<Self>) {
        self.run += 1;
        let run = self.run;
        let me = ctx.address().downgrade();
        let mut command = self.command(&self.config.exec, self.config.name.shared());
        let Surroundings { output, scope, .. } = &self.surroundings;
        let Coprocess { ready, live, .. } = &*self.config;
        let launched = attach(ready.as_ref(), live.as_ref(), &mut command, scope, output)
            .map_err(|error| SpawnError::descriptors(&self.config.exec[0], &error))
            .and_then(|attached| {
                let report = move |report| {
                    if let Some(me) = me.upgrade() {
                        me.do_send(Reported { run, report });
                    }
                };
                Ok((process::launch(command, output, report)?, attached))
            });
        match launched {
            Ok((process, attached)) => {
                self.attached = Some(attached);
                // As configured: what is interpolated may be a secret.
                tracing::debug!(logger = %self.config.name, "started `{}` as {}", self.config.exec.join(" "), process.pid());
                let mut standing = self.standing.borrow_mut();
                standing.pid = Some(process.pid());
                standing.started = Some(SystemTime::now());
                standing.gone = Some(process.gone());
                self.process = Some(process);
            }
            // By message: the machine is in the middle of a step.
            Err(error) => ctx.notify(Reported { run, report: Report::Failed(error) }),
        }
    }

    fn command(&self, words: &[String], name: Arc<str>) -> process::Command {
        let scope = &self.surroundings.scope;
        process::Command {
            name,
            argv: words.iter().map(|word| scope.interpolate(word)).collect(),
            context: self.config.context.clone(),
            inherited: self.surroundings.inherited.clone(),
            added: self.surroundings.added.clone(),
            kind: Kind::Plain,
            taps: Taps::default(),
            descriptors: Vec::new(),
        }
    }

    fn publish(&self, change: Change) {
        let standing = self.standing.borrow();
        let name = EventName::Coprocess(self.config.name.clone(), change);
        let mut event = Happening::new(name);
        match change {
            Change::Started | Change::Ready => {
                if let Some(pid) = standing.pid {
                    event = event.with("pid", pid);
                }
            }
            Change::Exited | Change::Failed | Change::Stopped => {
                event = match standing.machine.last.and_then(RunEnd::status) {
                    Some(ExitStatus::Code(code)) => event.with("code", code),
                    Some(ExitStatus::Signal(signal)) => event.with("signal", signal.to_string()),
                    None => event,
                };
                if let Some(RunEnd::Unfit(unfit, _)) = standing.machine.last {
                    event = event.with("why", unfit.as_str());
                }
            }
        }
        self.broker.do_send(Publish::new(event));
    }

    fn gave_up(&self, end: RunEnd) {
        let standing = self.standing.borrow();
        let name = &self.config.name;
        match end {
            RunEnd::Exited(status) => {
                tracing::warn!(logger = %name, "gave up after {} restarts: the last run ended with {status}", standing.machine.restarts);
            }
            RunEnd::Unfit(Unfit::NotReady, _) => {
                tracing::warn!(logger = %name, "gave up after {} restarts: it was not ready in time", standing.machine.restarts);
            }
            RunEnd::Unfit(Unfit::Unhealthy, _) => {
                tracing::warn!(logger = %name, "gave up after {} restarts: it showed no life", standing.machine.restarts);
            }
            RunEnd::SpawnFailed(_) => {
                tracing::warn!(logger = %name, "gave up after {} restarts: it cannot be started", standing.machine.restarts);
            }
        }
        if standing.policy.on_give_up == OnGiveUp::Shutdown {
            // A process that ended well and was restarted too often still is a failure.
            let code = if end.code() == 0 { coproc_core::exit::FAILURE } else { end.code() };
            self.surroundings.parent.do_send(GaveUp { name: name.to_string(), code });
        }
    }

    fn rearm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let deadline = self.standing.borrow().machine.deadline();
        if let Some(deadline) = deadline {
            let pause = deadline.saturating_duration_since(Instant::now());
            self.timer = Some(ctx.run_later(pause, |actor, ctx| {
                actor.timer = None;
                actor.happened(Event::Timer, ctx);
            }));
        }
    }

    /// Runs the stop command, if there is one, and then drops `hold` and sends `next` back here.
    fn stop_command(&self, hold: Option<Hold>, next: Option<Event>, ctx: &mut Context<Self>) {
        let Some(words) = &self.config.stop_exec else {
            if let Some(event) = next {
                ctx.notify(Proceed { event, run: self.run });
            }
            return;
        };
        // As configured: what is interpolated may be a secret.
        let shown = words.join(" ");
        let name: Arc<str> = format!("stop-{}", self.config.name).into();
        let command = self.command(words, name.clone());
        let output = self.surroundings.output.clone();
        let limit = self.config.stop_exec_timeout;
        let me = ctx.address().downgrade();
        let run = self.run;
        // Its own task: a stop command that was begun is finished even if this actor dies.
        actix_rt::spawn(async move {
            tracing::debug!(logger = %name, "runs `{shown}`");
            match process::run(command, &output, limit).await {
                Ok(Ended::InTime(status)) => log_end(&name, status),
                Ok(Ended::TooLate) => {
                    let limit = humantime::format_duration(limit);
                    tracing::error!(logger = %name, "did not end within {limit} and was killed");
                }
                Err(error) => tracing::error!(logger = %name, "{error}"),
            }
            drop(hold);
            if let (Some(event), Some(me)) = (next, me.upgrade()) {
                me.do_send(Proceed { event, run });
            }
        });
    }

    /// An operator's order, which is carried out when the stop command is over.
    fn after_stop_command(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.standing.borrow_mut().pending += 1;
        self.happened(Event::Retire, ctx);
        self.stop_command(None, Some(event), ctx);
    }

    /// A foreground program that cannot be started at all ends the boot, whatever its policy says.
    fn spawn_failed(&self, error: &SpawnError) {
        let before_start = EventName::Phase(Phase::PreStart);
        let mut standing = self.standing.borrow_mut();
        let (boot, others) =
            standing.starts.drain(..).partition(|(event, _)| *event == before_start);
        standing.starts = others;
        for (_, hold) in boot {
            Hold::spawn_failed(hold, error.clone());
        }
    }
}

impl Actor for CoprocessActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let gone = self.standing.borrow().gone.clone().filter(|gone| !gone.is_gone());
        match gone {
            None => self.take_over(ctx),
            Some(gone) => {
                let me = ctx.address();
                actix_rt::spawn(async move {
                    gone.wait().await;
                    me.do_send(PredecessorGone);
                });
            }
        }
    }
}

impl CoprocessActor {
    fn take_over(&mut self, ctx: &mut Context<Self>) {
        self.process_ended();
        // What the actor before this one was to do next went with it.
        self.standing.borrow_mut().pending = 0;
        let resume = {
            let mut standing = self.standing.borrow_mut();
            let (machine, resume) = standing.machine.clone().taken_over();
            standing.machine = machine;
            resume
        };
        match resume {
            Some(event) => self.happened(event, ctx),
            None => {
                if self.standing.borrow().machine.is_ended() {
                    self.perform(Effect::Release, ctx);
                }
                self.rearm(ctx);
            }
        }
        for message in self.backlog.take().unwrap_or_default() {
            match message {
                Waiting::Deliver(deliver) => ctx.notify(deliver),
                Waiting::Command(command) => ctx.notify(command),
            }
        }
    }
}

impl Handler<PredecessorGone> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, PredecessorGone: PredecessorGone, ctx: &mut Context<Self>) {
        self.take_over(ctx);
    }
}

impl Handler<Deliver> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, ctx: &mut Context<Self>) {
        let Some(Waiting::Deliver(deliver)) = self.put_off(Waiting::Deliver(deliver)) else {
            return;
        };
        let Some((order, event, hold)) = deliver.take() else { return };
        match order {
            Order::Start => {
                if !self.standing.borrow().machine.takes_events() {
                    tracing::debug!(logger = %self.config.name, "[{event}] ignored: it runs already");
                    return;
                }
                let start = match &event {
                    EventName::Coprocess(..) => Event::Triggered,
                    _ => Event::Start,
                };
                if !self.standing.borrow().policy.background {
                    self.standing.borrow_mut().starts.push((event, hold));
                    self.happened(start, ctx);
                } else {
                    self.happened(start, ctx);
                    drop(hold);
                }
            }
            Order::RunStopCommand => {
                self.happened(Event::Retire, ctx);
                self.stop_command(Some(hold), None, ctx);
            }
            Order::Stop => {
                self.standing.borrow_mut().stops.push(hold);
                self.happened(Event::Stop, ctx);
                if self.standing.borrow().machine.is_ended() {
                    self.perform(Effect::Release, ctx);
                }
            }
        }
    }
}

impl Handler<Command> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Context<Self>) {
        let Some(Waiting::Command(command)) = self.put_off(Waiting::Command(command)) else {
            return;
        };
        match command {
            Command::Start => self.happened(Event::Start, ctx),
            Command::Stop => self.after_stop_command(Event::Stop, ctx),
            Command::Restart if self.standing.borrow().machine.is_live() => {
                self.after_stop_command(Event::Restart, ctx);
            }
            Command::Restart => self.happened(Event::Restart, ctx),
            Command::Kill => self.happened(Event::Kill, ctx),
            Command::Signal(signal) => {
                if let Some(process) = &self.process {
                    process.signal(signal);
                }
            }
            Command::SetRestarts(restarts) => {
                self.standing.borrow_mut().policy.restarts = restarts;
                self.happened(Event::PolicyChanged, ctx);
            }
            Command::SetPause(pause) => {
                self.standing.borrow_mut().policy.time_between_restarts = pause;
                self.happened(Event::PolicyChanged, ctx);
            }
            Command::SetBackground(background) => {
                let mut standing = self.standing.borrow_mut();
                standing.policy.background = background;
                if background {
                    standing.starts.clear();
                }
                standing.mark_changed();
            }
        }
    }
}

impl Handler<Reported> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, Reported { run, report }: Reported, ctx: &mut Context<Self>) {
        if run != self.run {
            return;
        }
        match report {
            Report::Running => {
                self.happened(Event::Spawned, ctx);
                self.watch(ctx);
            }
            Report::Failed(error) => {
                tracing::error!(logger = %self.config.name, "{error}");
                self.process_ended();
                self.spawn_failed(&error);
                self.happened(Event::Ended(RunEnd::SpawnFailed(error.code)), ctx);
            }
            Report::Exited(status) => {
                log_end(self.config.name.as_str(), status);
                self.process_ended();
                self.happened(Event::Ended(RunEnd::Exited(status)), ctx);
            }
        }
    }
}

impl CoprocessActor {
    fn process_ended(&mut self) {
        self.process = None;
        self.attached = None;
        self.watch = None;
        let mut standing = self.standing.borrow_mut();
        standing.notes.clear();
        standing.unready = false;
        standing.pid = None;
        standing.started = None;
        standing.gone = None;
    }
}

impl Handler<Proceed> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, Proceed { event, run }: Proceed, ctx: &mut Context<Self>) {
        let wanted = {
            let mut standing = self.standing.borrow_mut();
            standing.pending = standing.pending.saturating_sub(1);
            standing.machine.wanted
        };
        let event = match (event, wanted) {
            // It was wanted up again meanwhile, and the last order counts: a program that ended and
            // was started anew stays, one that still runs is the one to be stopped.
            (Event::Stop, Wanted::Up) if run != self.run => {
                return self.standing.borrow().mark_changed();
            }
            (Event::Stop, Wanted::Up) => Event::Restart,
            (event, _) => event,
        };
        self.happened(event, ctx);
    }
}

impl Handler<BrokerIs> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, BrokerIs(broker): BrokerIs, _: &mut Context<Self>) {
        self.broker = broker;
    }
}

#[cfg(feature = "faults")]
impl Handler<coproc_core::supervision::Panic> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, _: coproc_core::supervision::Panic, _: &mut Context<Self>) {
        panic!("the actor of {} was told to", self.config.name);
    }
}

fn log_end(name: &str, status: ExitStatus) {
    match status {
        ExitStatus::Code(0) | ExitStatus::Signal(Signal::TERM) => {
            tracing::debug!(logger = %name, "ended with {status}");
        }
        ExitStatus::Code(_) => tracing::info!(logger = %name, "ended with {status}"),
        ExitStatus::Signal(_) => tracing::error!(logger = %name, "ended by {status}"),
    }
}

/// A number from 0 to 1 that differs from process to process and from call to call.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}
