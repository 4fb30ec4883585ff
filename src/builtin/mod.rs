//! The tasks that coproc offers itself: `exec` and `coprocess`.
//!
//! They are offered as any provider offers its own, by sockets beside those of others, so that nothing
//! about them is special to a coordinator. What they do is done by actors: programs are started and
//! kept by the one in here, coprocesses by the root.

mod coprocess;
mod exec;

use std::path::PathBuf;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use coproc_control::request::Ask;
use coproc_coordinator::config::Coordinator;
use coproc_coordinator::exec_task::ExecTask;
use coproc_core::process::Launcher;
use coproc_core::supervision::Lifeline;
use coproc_provider::{Config, Provider};
use tokio::sync::oneshot;

use exec::Programs;

/// What is offered, and where.
#[derive(Clone, Debug)]
pub struct Offers {
    socket_dir: PathBuf,
    service_name: String,
    exec: Option<ExecTask>,
    coprocess: bool,
}

impl Offers {
    /// What a coordinator's config asks for; `None` where that is nothing.
    pub fn of(coordinator: &Coordinator) -> Option<Self> {
        let Coordinator { socket_dir, service_name, exec, coprocess, .. } = coordinator;
        (exec.is_some() || *coprocess).then(|| Self {
            socket_dir: socket_dir.clone(),
            service_name: service_name.clone(),
            exec: exec.clone(),
            coprocess: *coprocess,
        })
    }
}

/// What the actor has around it.
#[derive(Clone)]
pub struct Surroundings {
    /// What programs are started with.
    pub launcher: Launcher,
    /// Who knows the coprocesses.
    pub root: Recipient<Ask>,
}

/// Offers the tasks for as long as it lives.
pub struct BuiltIn {
    offers: Offers,
    surroundings: Surroundings,
    programs: Programs,
    /// Dropping it ends the providers.
    stop: Option<oneshot::Sender<()>>,
    /// Whether the providers have ended.
    over: bool,
    /// Who wants to know that they have.
    waiting: Vec<oneshot::Sender<()>>,
    _lifeline: Lifeline,
}

/// Ends the offers, answers what was taken, and then resolves.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop(pub oneshot::Sender<()>);

impl BuiltIn {
    /// An actor that offers nothing yet.
    pub fn new(offers: Offers, surroundings: Surroundings, lifeline: Lifeline) -> Self {
        Self {
            offers,
            surroundings,
            programs: Programs::default(),
            stop: None,
            over: false,
            waiting: Vec::new(),
            _lifeline: lifeline,
        }
    }
}

impl Actor for BuiltIn {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let config = Config::new(&self.offers.socket_dir, &self.offers.service_name);
        let mut provider = Provider::new(config);
        if self.offers.exec.is_some() {
            let actor = ctx.address();
            provider =
                provider.task("exec", move |request| exec::carry_out(request, actor.clone()));
        }
        if self.offers.coprocess {
            let root = self.surroundings.root.clone();
            provider = provider
                .task("coprocess", move |request| coprocess::carry_out(request, root.clone()));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        let actor = ctx.address();
        actix_rt::spawn(async move {
            let end = async {
                // The sockets are there once it is waited for the end.
                tracing::info!(target: "provider", "coproc's own tasks are offered");
                // Dropped is as good as told.
                drop(stopped.await);
            };
            let served = provider.serve_until(end).await;
            actor.do_send(Over(served.err().map(|error| error.to_string())));
        });
    }
}

/// The providers have ended; there is a sentence where they could not begin.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Over(Option<String>);

impl Handler<Over> for BuiltIn {
    type Result = ();

    fn handle(&mut self, Over(failure): Over, _: &mut Context<Self>) {
        if let Some(why) = failure {
            tracing::error!(target: "provider", "coproc's own tasks are not offered: {why}");
        }
        self.over = true;
        for waiting in self.waiting.drain(..) {
            // Who gave up waiting has left.
            let _ = waiting.send(());
        }
    }
}

impl Handler<Stop> for BuiltIn {
    type Result = ();

    fn handle(&mut self, Stop(done): Stop, _: &mut Context<Self>) {
        self.stop = None;
        match self.over {
            true => drop(done.send(())),
            false => self.waiting.push(done),
        }
    }
}
