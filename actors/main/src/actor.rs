//! The actor of the main process: it starts, reloads and stops it, and publishes its events.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, SpawnHandle};
use coproc_core::broker::{BrokerIs, EventBroker, Publish};
use coproc_core::event::Event;
use coproc_core::output::{Kind as Lines, Tap};
use coproc_core::probe::{Attached, Notes, Role, Watch};
use coproc_core::process::{Command, Process, Taps};
use coproc_core::supervision::Lifeline;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::{Kind, Main};
use crate::foreground::Foreground;
use crate::messages::{MainStatus, Status};
use crate::reloading::Reloading;
use crate::running::Ended;
use crate::surroundings::Surroundings;
use crate::tap::MainTap;
use crate::workers::Workers;

/// The actor.
pub struct MainActor {
    pub(crate) config: Rc<Main>,
    pub(crate) surroundings: Surroundings,
    pub(crate) broker: Addr<EventBroker>,
    pub(crate) process: Option<Process>,
    pub(crate) since: Option<Instant>,
    pub(crate) launched: Option<SystemTime>,
    /// Whether `start` was published.
    pub(crate) started: bool,
    pub(crate) ready: bool,
    /// The probes of a process that was launched and is not known to run.
    pub(crate) attached: Option<Attached>,
    /// The probes of the process that runs.
    pub(crate) watch: Option<Watch>,
    pub(crate) notes: Notes,
    pub(crate) ready_timer: Option<SpawnHandle>,
    pub(crate) stopping: bool,
    pub(crate) workers: Workers,
    pub(crate) foreground: Foreground,
    pub(crate) reloading: Reloading,
    /// What watches files.
    pub(crate) watching: Option<JoinHandle<()>>,
    pub(crate) open_streams: u8,
    /// Set once the process is gone and only its output is waited for.
    pub(crate) ended: Option<Ended>,
    _lifeline: Lifeline,
}

impl MainActor {
    /// An actor whose main process is not started yet.
    pub fn new(
        config: Rc<Main>,
        surroundings: Surroundings,
        broker: Addr<EventBroker>,
        lifeline: Lifeline,
    ) -> Self {
        let reloading = Reloading::new(&config);
        Self {
            config,
            surroundings,
            broker,
            process: None,
            since: None,
            launched: None,
            started: false,
            ready: false,
            attached: None,
            watch: None,
            notes: Notes::default(),
            ready_timer: None,
            stopping: false,
            workers: Workers::default(),
            foreground: Foreground::default(),
            reloading,
            watching: None,
            open_streams: 0,
            ended: None,
            _lifeline: lifeline,
        }
    }

    pub(crate) fn is_nginx(&self) -> bool {
        self.config.kind == Kind::Nginx
    }

    pub(crate) fn publish(&self, event: Event) {
        self.broker.do_send(Publish::new(event));
    }

    /// Its own command.
    pub(crate) fn command(&self, ctx: &mut Context<Self>) -> Command {
        let tap = || -> Option<Box<dyn Tap>> {
            Some(Box::new(MainTap {
                reads_nginx: self.is_nginx(),
                begun: false,
                to: ctx.address().recipient(),
            }))
        };
        let taps = Taps { stdout: tap(), stderr: tap() };
        self.command_of(&self.config.exec, self.config.kind.logger().into(), taps)
    }

    /// A command that is run just as the main process is.
    pub(crate) fn command_of(&self, words: &[String], name: Arc<str>, taps: Taps) -> Command {
        let kind = match self.config.kind {
            Kind::Nginx => Lines::Nginx,
            Kind::Program | Kind::None => Lines::Plain,
        };
        let command = self.surroundings.launcher.command(name, words, &self.config.context);
        Command { kind, taps, ..command }
    }
}

impl Actor for MainActor {
    type Context = Context<Self>;
}

impl Drop for MainActor {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
    }
}

impl Handler<BrokerIs> for MainActor {
    type Result = ();

    fn handle(&mut self, BrokerIs(broker): BrokerIs, _: &mut Context<Self>) {
        self.broker = broker;
    }
}

impl Handler<Status> for MainActor {
    type Result = MessageResult<Status>;

    fn handle(&mut self, _: Status, _: &mut Context<Self>) -> Self::Result {
        let state = match (&self.process, self.since) {
            (None, None) => "waiting",
            (None, Some(_)) => "stopped",
            (Some(_), _) if self.stopping => "stopping",
            (Some(_), _) if self.started => "running",
            (Some(_), _) => "starting",
        };
        MessageResult(MainStatus {
            state,
            pid: self.process.as_ref().map(Process::pid),
            launched: self.process.as_ref().and(self.launched),
            uptime: self.process.as_ref().and(self.since).map(|since| since.elapsed()),
            ready: self.ready && !self.stopping,
            wrong: [Role::Ready, Role::Live].map(|role| self.notes.wrong(role)),
            heard: self.notes.note(Role::Ready),
            status: self.notes.status(),
            generation: self.surroundings.reloads.get().generation,
        })
    }
}

#[cfg(feature = "faults")]
impl Handler<coproc_core::supervision::Panic> for MainActor {
    type Result = ();

    fn handle(&mut self, _: coproc_core::supervision::Panic, _: &mut Context<Self>) {
        panic!("the main process's actor was told to");
    }
}
