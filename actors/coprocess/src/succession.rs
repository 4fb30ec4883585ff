//! How a new actor takes over from one that failed: it waits until the old process is gone, and then
//! goes on from what stands.

use actix::{Actor, AsyncContext, Context, Handler, Message};
use coproc_core::broker::Deliver;

use crate::actor::CoprocessActor;
use crate::lifecycle::Effect;
use crate::messages::{Command, Reconfigure};

/// What came before the actor could heed it.
pub(crate) enum Waiting {
    Deliver(Deliver),
    Command(Command),
    Reconfigure(Reconfigure),
}

/// The process of the actor before this one is gone.
#[derive(Message)]
#[rtype(result = "()")]
struct PredecessorGone;

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
    /// Puts a message off until the process of an earlier actor is gone.
    pub(crate) fn put_off(&mut self, message: Waiting) -> Option<Waiting> {
        match &mut self.backlog {
            Some(backlog) => {
                backlog.push(message);
                None
            }
            None => Some(message),
        }
    }

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
        self.arm_schedule(ctx);
        for message in self.backlog.take().unwrap_or_default() {
            match message {
                Waiting::Deliver(deliver) => ctx.notify(deliver),
                Waiting::Command(command) => ctx.notify(command),
                Waiting::Reconfigure(message) => ctx.notify(message),
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
