//! The actor of the gateway: it starts the threads and ends them. No request passes through it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use actix_rt::task::JoinHandle;
use coproc_core::broker::{EventBroker, Publish};
use coproc_core::event::{Event, EventName};
use coproc_core::supervision::Lifeline;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::server::{Bound, Server};

/// How many events the broker is told of at once.
const BATCH: usize = 32;
/// How long it then has peace.
const INTERVAL: Duration = Duration::from_secs(1);

/// Has the gateway served.
pub struct GatewayActor {
    bound: Bound,
    server: Option<Server>,
    /// Whether the threads were told to end.
    stopping: bool,
    broker: Rc<RefCell<Addr<EventBroker>>>,
    publisher: Option<JoinHandle<()>>,
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

/// The broker was built anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BrokerIs(pub Addr<EventBroker>);

/// The last thread has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Over;

impl GatewayActor {
    /// An actor for `bound`.
    pub fn new(bound: Bound, broker: Addr<EventBroker>, lifeline: Lifeline) -> Self {
        let broker = Rc::new(RefCell::new(broker));
        Self { bound, server: None, stopping: false, broker, publisher: None, _lifeline: lifeline }
    }

    /// Has the tree hear of what happens. What happens again before a second is over is one event with the
    /// number of times.
    fn publish(&mut self) {
        let (heard, broker) = (self.bound.heard.clone(), self.broker.clone());
        self.publisher = Some(actix_rt::spawn(async move {
            let mut heard = heard.lock().await;
            let mut batch = Vec::new();
            while heard.recv_many(&mut batch, BATCH).await > 0 {
                for heard in batch.drain(..) {
                    let name = EventName::Gateway(heard.kind().as_str().to_owned());
                    let event = match heard.api() {
                        "" => Event::new(name),
                        api => Event::new(name).with("api", api),
                    };
                    let event = event.with("count", heard.take());
                    broker.borrow().do_send(Publish::new(event));
                }
                sleep(INTERVAL).await;
            }
        }));
    }
}

impl Drop for GatewayActor {
    fn drop(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            publisher.abort();
        }
    }
}

impl Handler<BrokerIs> for GatewayActor {
    type Result = ();

    fn handle(&mut self, BrokerIs(broker): BrokerIs, _: &mut Context<Self>) {
        *self.broker.borrow_mut() = broker;
    }
}

impl Actor for GatewayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.publish();
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
