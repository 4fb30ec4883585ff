//! The schedule of a coprocess while it is in force: one timer for the next time, and what is due then.

use std::time::SystemTime;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use coproc_core::alarm::alarm;
use coproc_core::zone;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use crate::actor::{CoprocessActor, chance};
use crate::lifecycle::Event;
use crate::orders::By;
use crate::schedule::{Call, Verdict, When, Zone, next_of_grid};

/// The run before has ended, and one waits.
#[derive(Message)]
#[rtype(result = "()")]
struct TakeQueued;

impl CoprocessActor {
    /// Puts the schedule in force, if there is one.
    pub(crate) fn begin_schedule(&mut self, ctx: &mut Context<Self>) {
        if self.config.schedule.is_none() || self.standing.borrow().agenda.begun.is_some() {
            return;
        }
        self.standing.borrow_mut().agenda.begun = Some(Instant::now());
        self.arm_schedule(ctx);
    }

    /// Lets no more runs begin.
    pub(crate) fn end_schedule(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.scheduled.take() {
            ctx.cancel_future(timer);
        }
        let agenda = &mut self.standing.borrow_mut().agenda;
        agenda.begun = None;
        agenda.next = None;
        agenda.queued = false;
    }

    /// Waits for the next time, if the schedule is in force.
    pub(crate) fn arm_schedule(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.scheduled.take() {
            ctx.cancel_future(timer);
        }
        let config = self.config.clone();
        let begun = self.standing.borrow().agenda.begun;
        let (Some(schedule), Some(begun)) = (&config.schedule, begun) else { return };
        let jitter = schedule.jitter.mul_f64(chance());
        let next = match &schedule.when {
            When::Every(every) => {
                let now = Instant::now();
                let pause = next_of_grid(begun, *every, now) + jitter - now;
                self.scheduled = Some(ctx.run_later(pause, |actor, ctx| {
                    actor.scheduled = None;
                    actor.run_is_due(ctx);
                    actor.arm_schedule(ctx);
                }));
                Some(self.time() + pause)
            }
            When::Cron(cron, zone) => {
                let zone = self.time_zone(*zone);
                let next = self.standing.borrow().agenda.next_of(cron, &zone, self.timestamp());
                next.map(|due| {
                    let wake = SystemTime::from(due) + jitter;
                    let came = self.woken_at(wake).into_actor(self);
                    let came = came.map(move |_, actor, ctx| actor.time_came(due, wake, ctx));
                    self.scheduled = Some(ctx.spawn(came));
                    wake
                })
            }
        };
        self.standing.borrow_mut().agenda.next = next;
    }

    /// What the wall clock says.
    fn time(&self) -> SystemTime {
        let world = self.surroundings.launcher.world.as_ref();
        world.map_or_else(SystemTime::now, |world| world.time())
    }

    fn timestamp(&self) -> Timestamp {
        // The clock would have to be set to the year 10000.
        Timestamp::try_from(self.time()).unwrap_or(Timestamp::MAX)
    }

    /// Comes to an end at a time of the wall clock, or when that is set.
    fn woken_at(&self, wake: SystemTime) -> impl Future<Output = ()> + use<> {
        // Nobody sets the clock of an imagined world.
        let left = self.surroundings.launcher.world.as_ref().map(|world| world.time());
        let left = left.map(|now| wake.duration_since(now).unwrap_or_default());
        async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => drop(alarm(wake).await),
            }
        }
    }

    fn time_zone(&self, zone: Zone) -> TimeZone {
        match zone {
            Zone::Utc => TimeZone::UTC,
            Zone::Local => {
                let environment = self.surroundings.launcher.scope.environment();
                zone::local(environment.get("TZ").map(String::as_str))
            }
        }
    }

    /// A time of the calendar has come, or the clock was set.
    fn time_came(&mut self, due: Timestamp, wake: SystemTime, ctx: &mut Context<Self>) {
        self.scheduled = None;
        let wake = Timestamp::try_from(wake).unwrap_or(due);
        let verdict = self.standing.borrow_mut().agenda.judge(due, wake, self.timestamp());
        match verdict {
            Verdict::Now => self.run_is_due(ctx),
            Verdict::NotYet => {}
            Verdict::Missed => {
                tracing::warn!(logger = %self.config.name, "missed its run of {due}: the clock went past it");
            }
        }
        self.arm_schedule(ctx);
    }

    fn run_is_due(&mut self, ctx: &mut Context<Self>) {
        let Some(overlap) = self.config.schedule.as_ref().map(|schedule| schedule.overlap) else {
            return;
        };
        let call = {
            let standing = &mut *self.standing.borrow_mut();
            standing.agenda.due(standing.machine.is_ended(), overlap)
        };
        match call {
            Call::Start => self.asked(Event::Start, By::Schedule, ctx),
            Call::Restart => self.restart(By::Schedule, ctx),
            Call::Wait => {
                tracing::info!(logger = %self.config.name, "a run is due and waits: the one before has not ended");
            }
            Call::Skip => {
                tracing::warn!(logger = %self.config.name, "a run is skipped: the one before has not ended");
            }
        }
    }

    /// After each step of the machine: one that waited may begin.
    pub(crate) fn look_for_queued(&self, ctx: &mut Context<Self>) {
        let standing = self.standing.borrow();
        if standing.agenda.queued && standing.machine.is_ended() {
            // By message: the machine is in the middle of a step.
            ctx.notify(TakeQueued);
        }
    }
}

impl Handler<TakeQueued> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, TakeQueued: TakeQueued, ctx: &mut Context<Self>) {
        let begins = {
            let standing = &mut *self.standing.borrow_mut();
            standing.machine.is_ended() && standing.agenda.take_queued()
        };
        if begins {
            self.asked(Event::Start, By::Schedule, ctx);
        }
    }
}
