//! The actor of a service, which serves by threads of its own: it starts them and ends them, and nothing that
//! is served passes through it.

use std::io;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use actix_rt::task::JoinHandle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::broker::{BrokerIs, BrokerPlace, EventBroker};
use crate::supervision::Lifeline;
use crate::threads::{Stop, Threads};

/// What can be served. It outlives its actor: the next one is given a clone of it.
pub trait Service: Unpin + 'static {
    /// Starts the threads, and what publishes their events.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor more.
    fn start(&self, broker: &BrokerPlace) -> io::Result<Started>;

    /// Nothing more is to be accepted.
    fn close(&self) {}

    /// How long a drain may take before what is left is dropped; none for as long as it takes.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Says in the log that the threads cannot be started.
    fn cannot_start(&self, error: &io::Error);

    /// Says in the log that its patience is over.
    fn cut_off(&self) {}
}

/// A service whose threads run.
#[derive(Debug)]
pub struct Started {
    /// They.
    pub threads: Threads,
    /// A task of the actor's that publishes what they do.
    pub publisher: Option<JoinHandle<()>>,
}

/// Has a service served.
#[derive(Debug)]
pub struct ServiceActor<S> {
    service: S,
    broker: BrokerPlace,
    started: Option<Started>,
    /// Whether the threads were told to end.
    stopping: bool,
    _lifeline: Lifeline,
}

/// Accept nothing more, and let what has begun come to its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Dropped or told once nothing is open any more.
    pub done: oneshot::Sender<()>,
}

/// Drop what is open.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kill;

/// The last thread has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Over;

impl<S: Service> ServiceActor<S> {
    /// An actor for `service`.
    pub fn new(service: S, broker: Addr<EventBroker>, lifeline: Lifeline) -> Self {
        let broker = BrokerPlace::new(broker.into());
        Self { service, broker, started: None, stopping: false, _lifeline: lifeline }
    }

    /// Nothing more is accepted; the threads, if there are any.
    fn stop(&mut self) -> Option<&Threads> {
        self.stopping = true;
        self.service.close();
        self.started.as_ref().map(|started| &started.threads)
    }
}

impl<S> Drop for ServiceActor<S> {
    fn drop(&mut self) {
        if let Some(publisher) = self.started.take().and_then(|started| started.publisher) {
            publisher.abort();
        }
    }
}

impl<S: Service> Actor for ServiceActor<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.service.start(&self.broker) {
            Ok(started) => {
                let (over, actor) = (started.threads.over(), ctx.address().downgrade());
                actix_rt::spawn(async move {
                    over.await;
                    if let Some(actor) = actor.upgrade() {
                        actor.do_send(Over);
                    }
                });
                self.started = Some(started);
            }
            Err(error) => {
                self.service.cannot_start(&error);
                ctx.stop();
            }
        }
    }
}

impl<S: Service> Handler<Drain> for ServiceActor<S> {
    type Result = ();

    fn handle(&mut self, Drain { done }: Drain, ctx: &mut Context<Self>) {
        let patience = self.service.patience();
        let Some(threads) = self.stop() else { return };
        threads.stop(Stop::InOrder);
        let (over, actor) = (threads.over(), ctx.address());
        actix_rt::spawn(async move {
            match patience {
                None => over.await,
                Some(patience) => {
                    if timeout(patience, over).await.is_err() {
                        actor.do_send(Impatient);
                    }
                }
            }
            // Who gave up waiting has left.
            let _ = done.send(());
        });
    }
}

/// What was to come to its end takes too long.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Impatient;

impl<S: Service> Handler<Impatient> for ServiceActor<S> {
    type Result = ();

    fn handle(&mut self, _: Impatient, ctx: &mut Context<Self>) {
        self.service.cut_off();
        self.handle(Kill, ctx);
    }
}

impl<S: Service> Handler<Kill> for ServiceActor<S> {
    type Result = ();

    fn handle(&mut self, _: Kill, _: &mut Context<Self>) {
        if let Some(threads) = self.stop() {
            threads.stop(Stop::Now);
        }
    }
}

impl<S: Service> Handler<Over> for ServiceActor<S> {
    type Result = ();

    /// Threads that ended by themselves are an actor that died: its supervisor builds another.
    fn handle(&mut self, _: Over, ctx: &mut Context<Self>) {
        if !self.stopping {
            ctx.stop();
        }
    }
}

impl<S: Service> Handler<BrokerIs> for ServiceActor<S> {
    type Result = ();

    fn handle(&mut self, BrokerIs(broker): BrokerIs, _: &mut Context<Self>) {
        *self.broker.borrow_mut() = broker;
    }
}

#[cfg(feature = "faults")]
impl<S: Service> Handler<crate::supervision::Panic> for ServiceActor<S> {
    type Result = ();

    fn handle(&mut self, _: crate::supervision::Panic, _: &mut Context<Self>) {
        panic!("the service was told to");
    }
}
