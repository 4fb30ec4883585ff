//! The actor of one coprocess: it takes messages to the machine and carries out its effects.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use actix::{Addr, AsyncContext, Context, Handler, Recipient, SpawnHandle};
use coproc_core::broker::{BrokerIs, Deliver, EventBroker, Order, Publish, Subscription};
use coproc_core::event::{Change, Event as Happening, EventName};
use coproc_core::exit::ExitStatus;
use coproc_core::probe::{Attached, Watch};
use coproc_core::process::{Launcher, Process};
use coproc_core::supervision::Lifeline;
use tokio::time::Instant;

use crate::config::{Coprocess, OnGiveUp};
use crate::lifecycle::{self, At, Effect, Event, RunEnd, State, Unfit};
use crate::messages::{Command, GaveUp};
use crate::orders::{Asked, By};
use crate::probing::newly_unfit;
use crate::replicas;
use crate::standing::SharedStanding;
use crate::succession::Waiting;

/// What the tree gives a coprocess to live in.
#[derive(Clone)]
pub struct Surroundings {
    /// What its programs are started with.
    pub launcher: Launcher,
    /// Who is told that it gave up.
    pub parent: Recipient<GaveUp>,
}

/// The actor.
pub struct CoprocessActor {
    pub(crate) config: Rc<Coprocess>,
    pub(crate) standing: SharedStanding,
    pub(crate) surroundings: Surroundings,
    broker: Addr<EventBroker>,
    pub(crate) process: Option<Process>,
    /// The probes of a process that was launched and is not known to run.
    pub(crate) attached: Option<Attached>,
    /// The probes of the process that runs.
    pub(crate) watch: Option<Watch>,
    pub(crate) timer: Option<SpawnHandle>,
    /// Waits for the next time of the schedule.
    pub(crate) scheduled: Option<SpawnHandle>,
    /// Tells reports on the present process from late ones on an earlier one.
    pub(crate) run: u64,
    /// What came while the process of an earlier actor was still going; `None` once it is gone.
    pub(crate) backlog: Option<Vec<Waiting>>,
    _lifeline: Lifeline,
}

impl CoprocessActor {
    /// The actor of a coprocess, going on from `standing`.
    pub fn new(
        config: Rc<Coprocess>,
        standing: SharedStanding,
        mut surroundings: Surroundings,
        broker: Addr<EventBroker>,
        lifeline: Lifeline,
    ) -> Self {
        if let Some(replica) = &config.replica {
            let Launcher { scope, added, .. } = &mut surroundings.launcher;
            let number = replica.number.to_string();
            *scope = Arc::new(scope.with(replicas::IN_COMMANDS, number.clone()));
            added.push((replicas::VARIABLE, number));
        }
        Self {
            config,
            standing,
            surroundings,
            broker,
            process: None,
            attached: None,
            watch: None,
            timer: None,
            scheduled: None,
            run: 0,
            backlog: Some(Vec::new()),
            _lifeline: lifeline,
        }
    }

    /// What this coprocess waits for, for the broker.
    pub fn subscription(config: &Coprocess, place: usize, rank: usize) -> Subscription {
        Subscription {
            place,
            rank,
            exec_event: config.exec_event.clone(),
            after: config.after.clone(),
            stop_event: Some(config.stop_event.clone()),
        }
    }

    /// What happens at somebody's wish.
    pub(crate) fn asked(&mut self, event: Event, by: By, ctx: &mut Context<Self>) {
        self.note_order(event, by);
        self.happened(event, ctx);
    }

    /// Stops what runs, stop command first, and starts anew.
    pub(crate) fn restart(&mut self, by: By, ctx: &mut Context<Self>) {
        if self.standing.borrow().machine.is_live() {
            self.note_order(Event::Restart, by);
            self.after_stop_command(Event::Restart, ctx);
        } else {
            self.asked(Event::Restart, by, ctx);
        }
    }

    /// Remembers whose wish it is.
    pub(crate) fn note_order(&self, event: Event, by: By) {
        let standing = &mut *self.standing.borrow_mut();
        let asked = Asked { by, at: Instant::now() };
        standing.orders.take(&standing.machine, event, asked);
    }

    pub(crate) fn happened(&mut self, event: Event, ctx: &mut Context<Self>) {
        if self.standing.borrow().closed && event.starts() {
            tracing::debug!(logger = %self.config.name, "does not start: everything is being stopped");
            return;
        }
        let effects = {
            let standing = &mut *self.standing.borrow_mut();
            let world = self.surroundings.launcher.world.as_ref();
            let chance = world.map_or_else(chance, |world| world.chance());
            let at = At { now: Instant::now(), chance };
            let before = standing.machine.clone();
            let (after, effects) = lifecycle::step(before, event, at, &standing.policy);
            standing.tally.take(&standing.machine, &after, &effects);
            if effects.contains(&Effect::Spawn) {
                standing.orders.launched();
            }
            if let (Event::Ended(_), Some(end)) = (event, after.last) {
                standing.last_exit = Some((end, SystemTime::now()));
                standing.ended = Some(at.now);
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
        self.look_for_queued(ctx);
        self.standing.borrow().mark_changed();
    }

    pub(crate) fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
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

    /// At the end of all TERM and INT have what is left between them.
    fn hurry(&self) {
        let mut standing = self.standing.borrow_mut();
        let Some(leave) = standing.leave else { return };
        let left = leave.killed_by.saturating_duration_since(Instant::now());
        standing.machine.stop_timeout = self.config.stop_timeout.within(Some(left / 2));
    }

    pub(crate) fn rearm(&mut self, ctx: &mut Context<Self>) {
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
                self.begin_schedule(ctx);
                if self.config.starts_by_the_clock() || self.standing.borrow().closed {
                    drop(hold);
                    return self.standing.borrow().mark_changed();
                }
                if !self.standing.borrow().machine.takes_events() {
                    tracing::debug!(logger = %self.config.name, "[{event}] ignored: it runs already");
                    return;
                }
                let start = match &event {
                    EventName::Coprocess(..) => Event::Triggered,
                    _ => Event::Start,
                };
                let by = By::Event(event.clone());
                let leave = self.standing.borrow().leave;
                let late = leave.is_some_and(|leave| leave.started_by <= Instant::now());
                if !self.standing.borrow().policy.background && !late {
                    self.standing.borrow_mut().starts.push((event, hold));
                    self.asked(start, by, ctx);
                } else {
                    self.asked(start, by, ctx);
                    drop(hold);
                }
            }
            Order::RunStopCommand => {
                self.end_schedule(ctx);
                self.asked(Event::Retire, By::Event(event), ctx);
                self.stop_command(Some(hold), None, ctx);
            }
            Order::Stop => {
                self.end_schedule(ctx);
                self.standing.borrow_mut().stops.push(hold);
                self.hurry();
                self.asked(Event::Stop, By::Event(event), ctx);
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
            Command::Start => {
                self.begin_schedule(ctx);
                self.asked(Event::Start, By::Command("start"), ctx);
            }
            Command::Begin => {
                self.begin_schedule(ctx);
                match self.config.starts_by_the_clock() {
                    true => self.standing.borrow().mark_changed(),
                    false => self.asked(Event::Start, By::Command("reload --config"), ctx),
                }
            }
            Command::Stop => {
                self.end_schedule(ctx);
                self.note_order(Event::Stop, By::Command("stop"));
                self.after_stop_command(Event::Stop, ctx);
            }
            Command::Restart => {
                self.begin_schedule(ctx);
                self.restart(By::Command("restart"), ctx);
            }
            Command::Kill => {
                self.end_schedule(ctx);
                self.asked(Event::Kill, By::Wrapper, ctx);
            }
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
            Command::LetGo => self.standing.borrow_mut().starts.clear(),
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

/// A number from 0 to 1 that differs from process to process and from call to call.
pub(crate) fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}
