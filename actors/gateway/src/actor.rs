//! The actor of the gateway: it starts the threads and ends them. No request passes through it.

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use coproc_core::supervision::Lifeline;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::server::{Bound, Server};

/// Has the gateway served.
pub struct GatewayActor {
    bound: Bound,
    server: Option<Server>,
    /// Whether the threads were told to end.
    stopping: bool,
    _lifeline: Lifeline,
}

/// Accept nothing more, and answer what has begun; what takes longer than `drain` is cut off.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Dropped or told once nothing is being answered any more.
    pub done: oneshot::Sender<()>,
}

/// Drop what is being answered.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kill;

/// The last thread has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Over;

impl GatewayActor {
    /// An actor for `bound`.
    pub fn new(bound: Bound, lifeline: Lifeline) -> Self {
        Self { bound, server: None, stopping: false, _lifeline: lifeline }
    }
}

impl Actor for GatewayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match Server::start(&self.bound) {
            Ok(server) => {
                let (over, actor) = (server.over(), ctx.address().downgrade());
                actix_rt::spawn(async move {
                    over.await;
                    if let Some(actor) = actor.upgrade() {
                        actor.do_send(Over);
                    }
                });
                self.server = Some(server);
            }
            Err(error) => {
                tracing::error!(target: "gateway", "cannot be served: {error}");
                ctx.stop();
            }
        }
    }
}

impl Handler<Drain> for GatewayActor {
    type Result = ();

    fn handle(&mut self, Drain { done }: Drain, ctx: &mut Context<Self>) {
        self.stopping = true;
        self.bound.close();
        let Some(server) = &self.server else { return };
        server.drain();
        let (over, limit) = (server.over(), self.bound.config().drain);
        let actor = ctx.address();
        actix_rt::spawn(async move {
            if timeout(limit, over).await.is_err() {
                tracing::warn!(target: "gateway", "requests are cut off that took longer than `drain`");
                actor.do_send(Kill);
            }
            // Who gave up waiting has left.
            let _ = done.send(());
        });
    }
}

impl Handler<Kill> for GatewayActor {
    type Result = ();

    fn handle(&mut self, _: Kill, _: &mut Context<Self>) {
        self.stopping = true;
        self.bound.close();
        if let Some(server) = &self.server {
            server.kill();
        }
    }
}

impl Handler<Over> for GatewayActor {
    type Result = ();

    /// Threads that ended by themselves are an actor that died: its supervisor builds another.
    fn handle(&mut self, _: Over, ctx: &mut Context<Self>) {
        if !self.stopping {
            ctx.stop();
        }
    }
}

#[cfg(feature = "faults")]
impl Handler<coproc_core::supervision::Panic> for GatewayActor {
    type Result = ();

    fn handle(&mut self, _: coproc_core::supervision::Panic, _: &mut Context<Self>) {
        panic!("the gateway was told to");
    }
}
