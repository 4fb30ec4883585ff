//! The actor of a socket: it starts the threads and ends them, and publishes what somebody waits for.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use coproc_core::broker::{EventBroker, Publish};
use coproc_core::event::{Event, EventName, ExecChange};
use coproc_core::exit::ExitStatus;
use coproc_core::supervision::Lifeline;
use tokio::sync::{mpsc, oneshot};

use crate::server::{Bound, Happened, Server, Stop};

/// How many events may wait for the broker; further ones are passed over.
const EVENTS: usize = 1024;

/// Serves one socket.
pub struct ExecActor {
    bound: Bound,
    broker: Rc<RefCell<Addr<EventBroker>>>,
    publishes: bool,
    /// It was told to come to an end.
    leaving: bool,
    server: Option<Server>,
    publisher: Option<actix_rt::task::JoinHandle<()>>,
    _lifeline: Lifeline,
}

/// Accept nothing more, and let programs end: TERM, and KILL after their time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Dropped or told once nothing runs any more.
    pub done: oneshot::Sender<()>,
}

/// Kill what runs.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Kill;

/// The last thread has ended.
#[derive(Message)]
#[rtype(result = "()")]
struct Over;

/// The broker was built anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BrokerIs(pub Addr<EventBroker>);

impl ExecActor {
    /// An actor for `bound`. `publishes` says whether anybody waits for `exec.started` and
    /// `exec.exited`.
    pub fn new(
        bound: Bound,
        broker: Addr<EventBroker>,
        publishes: bool,
        lifeline: Lifeline,
    ) -> Self {
        let broker = Rc::new(RefCell::new(broker));
        Self {
            bound,
            broker,
            publishes,
            leaving: false,
            server: None,
            publisher: None,
            _lifeline: lifeline,
        }
    }

    fn publish_from(&mut self, mut happened: mpsc::Receiver<Happened>) {
        let (broker, socket) = (self.broker.clone(), self.bound.served.config.name.clone());
        self.publisher = Some(actix_rt::spawn(async move {
            while let Some(happened) = happened.recv().await {
                broker.borrow().do_send(Publish::new(event(&socket, happened)));
            }
        }));
    }
}

fn event(socket: &str, happened: Happened) -> Event {
    let new = |change| Event::new(EventName::Exec(change)).with("socket", socket);
    match happened {
        Happened::Started { pid, program, uid } => {
            new(ExecChange::Started).with("pid", pid).with("program", &*program).with("uid", uid)
        }
        Happened::Exited { pid, program, status, timed_out } => {
            let event = new(ExecChange::Exited).with("pid", pid).with("program", &*program);
            let event = match status {
                Some(ExitStatus::Code(code)) => event.with("code", code),
                Some(ExitStatus::Signal(signal)) => event.with("signal", signal.to_string()),
                None => event,
            };
            event.with("timed_out", timed_out)
        }
    }
}

impl Actor for ExecActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let events = self.publishes.then(|| mpsc::channel(EVENTS));
        let (sender, receiver) = events.unzip();
        match Server::start(&self.bound, sender) {
            Ok(server) => {
                let (over, actor) = (server.over(), ctx.address().downgrade());
                self.server = Some(server);
                actix_rt::spawn(async move {
                    over.await;
                    if let Some(actor) = actor.upgrade() {
                        actor.do_send(Over);
                    }
                });
            }
            Err(error) => {
                tracing::error!(target: "exec", "{}: cannot be served: {error}", self.bound.name());
                ctx.stop();
            }
        }
        if let Some(receiver) = receiver {
            self.publish_from(receiver);
        }
    }
}

impl Drop for ExecActor {
    fn drop(&mut self) {
        if let Some(publisher) = &self.publisher {
            publisher.abort();
        }
    }
}

impl Handler<Drain> for ExecActor {
    type Result = ();

    fn handle(&mut self, Drain { done }: Drain, _: &mut Context<Self>) {
        self.leaving = true;
        self.bound.listener.refuse();
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

impl Handler<Kill> for ExecActor {
    type Result = ();

    fn handle(&mut self, _: Kill, _: &mut Context<Self>) {
        self.leaving = true;
        self.bound.listener.refuse();
        if let Some(server) = &self.server {
            server.stop(Stop::Now);
        }
    }
}

impl Handler<Over> for ExecActor {
    type Result = ();

    /// Threads that end unasked are a bug; whoever builds the actor anew starts new ones.
    fn handle(&mut self, _: Over, ctx: &mut Context<Self>) {
        if !self.leaving {
            ctx.stop();
        }
    }
}

impl Handler<BrokerIs> for ExecActor {
    type Result = ();

    fn handle(&mut self, BrokerIs(broker): BrokerIs, _: &mut Context<Self>) {
        *self.broker.borrow_mut() = broker;
    }
}

#[cfg(feature = "faults")]
impl Handler<coproc_core::supervision::Panic> for ExecActor {
    type Result = ();

    fn handle(&mut self, _: coproc_core::supervision::Panic, _: &mut Context<Self>) {
        panic!("the exec socket was told to");
    }
}
