//! What the actor of a coprocess does with its probes: it sets them to work and hears their facts.

use actix::{AsyncContext, Context, Handler, Message};
use coproc_core::probe::{Fact, Notes, Role, watch};

use crate::actor::CoprocessActor;
use crate::lifecycle::{Event, State, Unfit, Why};

/// A probe found this out about the process of that run.
#[derive(Message)]
#[rtype(result = "()")]
struct Found {
    run: u64,
    fact: Fact,
}

impl Handler<Found> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, Found { run, fact }: Found, ctx: &mut Context<Self>) {
        if run != self.run || self.watch.is_none() {
            return;
        }
        match fact {
            Fact::Ready => {
                self.set_unready(false);
                self.happened(Event::Ready, ctx);
            }
            Fact::NotReady => self.set_unready(true),
            Fact::Unhealthy => self.happened(Event::Unhealthy, ctx),
        }
    }
}

impl CoprocessActor {
    /// Sets the probes to work, now that the program itself runs.
    pub(crate) fn watch(&mut self, ctx: &mut Context<Self>) {
        let (Some(attached), Some(process)) = (self.attached.take(), &self.process) else { return };
        let state = &self.standing.borrow().machine.state;
        if !matches!(state, State::Starting { .. } | State::Running { .. }) {
            return;
        }
        let run = self.run;
        let me = ctx.address().downgrade();
        let notes = self.standing.borrow().notes.clone();
        self.watch = Some(watch(attached, process.pid(), notes, move |fact| {
            if let Some(me) = me.upgrade() {
                me.do_send(Found { run, fact });
            }
        }));
    }

    /// Notes that a program which was ready is not just now, or is again.
    fn set_unready(&self, unready: bool) {
        let mut standing = self.standing.borrow_mut();
        let running = matches!(standing.machine.state, State::Running { .. });
        if !running || standing.unready == unready {
            return;
        }
        standing.unready = unready;
        let name = &self.config.name;
        match standing.notes.wrong(Role::Ready) {
            Some(wrong) if unready => tracing::warn!(logger = %name, "no longer ready: {wrong}"),
            _ => tracing::info!(logger = %name, "ready again"),
        }
        standing.mark_changed();
    }

    pub(crate) fn log_unfit(&self, unfit: Unfit, notes: &Notes) {
        let name = &self.config.name;
        let wrong =
            |role| notes.wrong(role).map_or_else(String::new, |wrong| format!(" ({wrong})"));
        match unfit {
            Unfit::NotReady => {
                let within = self.config.ready.as_ref().and_then(|probe| probe.within);
                let within = humantime::format_duration(within.unwrap_or_default());
                tracing::error!(logger = %name, "not ready within {within}: stopping it{}", wrong(Role::Ready));
            }
            Unfit::Unhealthy => {
                tracing::error!(logger = %name, "shows no life: stopping it{}", wrong(Role::Live));
            }
        }
    }
}

/// What a program is stopped for by the step from one state to the other.
pub(crate) fn newly_unfit(before: &State, after: &State) -> Option<Unfit> {
    match (before, after) {
        (State::Stopping { .. }, _) => None,
        (_, State::Stopping { why: Why::Unfit(unfit), .. }) => Some(*unfit),
        _ => None,
    }
}
