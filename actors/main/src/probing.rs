//! What the actor of the main process does with its probes: it sets them to work and hears their facts.

use actix::{AsyncContext, Context, Handler, Message};
use coproc_core::event::{Event, Phase};
use coproc_core::probe::{Fact, Role, watch};

use crate::actor::MainActor;
use crate::messages::MainNews;

/// A probe found this out.
#[derive(Message)]
#[rtype(result = "()")]
struct Found(Fact);

impl Handler<Found> for MainActor {
    type Result = ();

    fn handle(&mut self, Found(fact): Found, ctx: &mut Context<Self>) {
        if self.watch.is_none() || self.process.is_none() {
            return;
        }
        match fact {
            Fact::Ready => self.is_ready(ctx),
            Fact::NotReady if self.ready => {
                self.ready = false;
                let wrong = self.notes.wrong(Role::Ready).unwrap_or_default();
                tracing::warn!(target: "pm", "the main process is no longer ready: {wrong}");
            }
            Fact::NotReady => {}
            Fact::Unhealthy => self.unfit("shows no life", Role::Live),
        }
    }
}

impl MainActor {
    /// Sets the probes to work, now that the program itself runs.
    pub(crate) fn watch(&mut self, ctx: &mut Context<Self>) {
        let (Some(attached), Some(process)) = (self.attached.take(), &self.process) else { return };
        if self.stopping {
            return;
        }
        let me = ctx.address().downgrade();
        self.watch = Some(watch(attached, process.pid(), self.notes.clone(), move |fact| {
            if let Some(me) = me.upgrade() {
                me.do_send(Found(fact));
            }
        }));
    }

    /// It serves. For nginx `start` comes from its log all the same.
    pub(crate) fn is_ready(&mut self, ctx: &mut Context<Self>) {
        self.ready = true;
        if let Some(timer) = self.ready_timer.take() {
            ctx.cancel_future(timer);
        }
        if self.is_nginx() || self.started {
            return;
        }
        self.started = true;
        if let Some(process) = &self.process {
            self.publish(Event::new(Phase::Start).with("pid", process.pid()));
        }
    }

    /// Tells why it is of no use; whoever hears it stops it.
    pub(crate) fn unfit(&self, what: &str, role: Role) {
        if self.stopping || self.process.is_none() {
            return;
        }
        let wrong = self.notes.wrong(role).map_or_else(String::new, |wrong| format!(" ({wrong})"));
        self.surroundings.parent.do_send(MainNews::Unfit(format!("{what}{wrong}")));
    }

    pub(crate) fn end_probes(&mut self, ctx: &mut Context<Self>) {
        self.ready = false;
        self.attached = None;
        self.watch = None;
        self.notes.clear();
        if let Some(timer) = self.ready_timer.take() {
            ctx.cancel_future(timer);
        }
    }
}
