//! The actor of a coordinator: it starts the thread and ends it.

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use coproc_core::supervision::Lifeline;
use tokio::sync::oneshot;

use crate::server::{Bound, Server, Stop};

/// Has one coordinator served.
pub struct CoordinatorActor {
    bound: Bound,
    server: Option<Server>,
    /// Whether the thread was told to end.
    stopping: bool,
    _lifeline: Lifeline,
}

/// Accept nothing more, and let what waits for a response get it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Dropped or told once nothing waits any more.
    pub done: oneshot::Sender<()>,
}

/// Drop what waits.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kill;

/// The thread has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Over;

impl CoordinatorActor {
    /// An actor for `bound`.
    pub fn new(bound: Bound, lifeline: Lifeline) -> Self {
        Self { bound, server: None, stopping: false, _lifeline: lifeline }
    }
}

impl Actor for CoordinatorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match Server::start(&self.bound) {
            Ok(server) => {
                let over = server.over();
                let actor = ctx.address().downgrade();
                actix_rt::spawn(async move {
                    over.await;
                    if let Some(actor) = actor.upgrade() {
                        actor.do_send(Over);
                    }
                });
                self.server = Some(server);
            }
            Err(error) => {
                tracing::error!(target: "coordinator", "cannot be served: {error}");
                ctx.stop();
            }
        }
    }
}

impl Handler<Drain> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Drain { done }: Drain, _: &mut Context<Self>) {
        self.stopping = true;
        let Some(server) = &self.server else { return };
        server.stop(Stop::InOrder);
        let over = server.over();
        actix_rt::spawn(async move {
            over.await;
            // Who gave up waiting has left.
            let _ = done.send(());
        });
    }
}

impl Handler<Kill> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, _: Kill, _: &mut Context<Self>) {
        self.stopping = true;
        if let Some(server) = &self.server {
            server.stop(Stop::Now);
        }
    }
}

impl Handler<Over> for CoordinatorActor {
    type Result = ();

    /// A thread that ended by itself is an actor that died: its supervisor builds another.
    fn handle(&mut self, _: Over, ctx: &mut Context<Self>) {
        if !self.stopping {
            ctx.stop();
        }
    }
}

#[cfg(feature = "faults")]
impl Handler<coproc_core::supervision::Panic> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, _: coproc_core::supervision::Panic, _: &mut Context<Self>) {
        panic!("the coordinator was told to");
    }
}
