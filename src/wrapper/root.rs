//! The root of the tree: it takes the wrapper through its life.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use actix_rt::task::JoinHandle;
use coproc_control::connections::Guests;
use coproc_control::server::{ControlActor, Entrances};
use coproc_core::broker::{Deliver, EventBroker, EventLog, Publish, Walked};
use coproc_core::event::{Event, Phase};
use coproc_core::exit::{ExitStatus, FAILURE};
use coproc_core::name::MAIN;
use coproc_core::output::Output;
use coproc_core::supervision::Rebuilds;
use coproc_core::world::World;
use coproc_exec as exec;
use coproc_gateway::driver::grpc::Presence;
use coproc_main::actor::MainActor;
use coproc_main::config::Kind;
use coproc_main::messages::ReloadMain;
use coproc_main::reload::Tally;
use coproc_main::surroundings::Preparation;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::cause::Cause;
use super::children::{Child, Coordinating, Gatekeeping, Offering, Served, Supervised};
use super::lifecycle::{Input, Stage, Wrapper};
use super::record::Record;
use super::stop::MainStop;
use super::templates::Templates;
use super::tokens;
use crate::builtin::Offers;
use crate::config::{Config, Loaded};
use crate::log::Figures;

/// How long what was killed may take to die before the wrapper leaves without it.
pub(super) const DEATH: Duration = Duration::from_secs(1);

/// A gateway, and how it is told of its plugin server.
pub(crate) type Gated = (coproc_gateway::server::Bound, watch::Sender<Presence>);

/// The exec sockets that are open.
pub(crate) type OpenSockets = Rc<RefCell<Vec<exec::Bound>>>;

/// What the root is made of.
pub(crate) struct Parts {
    pub(crate) config: Rc<Config>,
    /// What that was made of.
    pub(crate) loaded: Rc<Loaded>,
    pub(crate) output: Output,
    pub(crate) forwarded: Vec<Arc<Figures>>,
    pub(crate) inherited: Arc<Vec<(OsString, OsString)>>,
    pub(crate) control: Entrances,
    pub(crate) templates: Option<Rc<Templates>>,
    /// Those that are open; what is opened and closed later is known here too.
    pub(crate) exec_sockets: OpenSockets,
    pub(crate) coordinator: Option<coproc_coordinator::Bound>,
    pub(crate) gateway: Option<Gated>,
    /// Where the exit code is left.
    pub(crate) code: Rc<Cell<u8>>,
    /// Where the record of the end is left; none where nobody wants one.
    pub(crate) record: Option<Rc<RefCell<Option<Record>>>>,
    /// How often the kernel had killed for want of memory before.
    pub(crate) kills: Option<u64>,
    /// Who starts programs in place of the system.
    pub(crate) world: Option<Rc<dyn World>>,
}

/// The root supervisor.
pub(crate) struct Root {
    pub(super) config: Rc<Config>,
    pub(super) loaded: Rc<Loaded>,
    /// When the wrapper began.
    pub(super) began: SystemTime,
    pub(super) output: Output,
    /// How much of the log went where else.
    pub(super) forwarded: Vec<Arc<Figures>>,
    pub(super) inherited: Arc<Vec<(OsString, OsString)>>,
    pub(super) events: Rc<RefCell<EventLog>>,
    pub(super) broker: Option<Addr<EventBroker>>,
    pub(super) broker_rebuilds: Rebuilds,
    pub(super) main: Option<Addr<MainActor>>,
    pub(super) main_pid: Option<i32>,
    pub(super) main_exit: Option<ExitStatus>,
    pub(super) reloads: Rc<Cell<Tally>>,
    /// In the order of the file, then those that a changed config has no more and that still run.
    pub(super) coprocesses: Vec<Supervised>,
    /// The place of the next one that is new.
    pub(super) next_place: usize,
    /// Whether the config is being changed just now.
    pub(super) changing: Rc<Cell<bool>>,
    /// What tells the coordinator of providers.
    pub(super) awaiting: Vec<JoinHandle<()>>,
    /// By their places, with those that a changed config has no more and that still end programs.
    pub(super) exec_sockets: BTreeMap<usize, Served>,
    /// The place of the next one that is new.
    pub(super) next_socket: usize,
    /// The same without actors, for whoever waits for their programs in the end.
    pub(super) open_sockets: OpenSockets,
    pub(super) coordinator: Option<Coordinating>,
    pub(super) built_in: Option<Offering>,
    pub(super) gateway: Option<Gatekeeping>,
    /// How the gateway is told of its plugin server.
    pub(super) presence: Option<watch::Sender<Presence>>,
    pub(super) entrances: Rc<Entrances>,
    pub(super) guests: Rc<Guests>,
    pub(super) control: Option<Addr<ControlActor>>,
    pub(super) control_rebuilds: Rebuilds,
    pub(super) templates: Option<Rc<Templates>>,
    pub(super) wrapper: Wrapper,
    pub(super) deadline: Option<Instant>,
    /// Why the wrapper leaves, once it does.
    pub(super) cause: Option<Cause>,
    pub(super) main_stop: Option<MainStop>,
    /// The coprocess whose start failed the boot.
    boot_culprit: Option<String>,
    /// When the stop began.
    pub(super) stopping: Option<Instant>,
    pub(super) main_gone: Option<Instant>,
    /// Whether what was left was killed.
    pub(super) killed: bool,
    /// How often the kernel had killed for want of memory when the wrapper began.
    pub(super) kills: Option<u64>,
    pub(super) record: Option<Rc<RefCell<Option<Record>>>>,
    pub(super) code: Rc<Cell<u8>>,
    pub(super) world: Option<Rc<dyn World>>,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Happened(pub(super) Input);

/// `pre-start` was worked off.
#[derive(Message)]
#[rtype(result = "()")]
struct Booted(Walked);

/// The templates were rendered before the main process is started; the error is a sentence.
#[derive(Message)]
#[rtype(result = "()")]
struct Rendered(Result<(), String>);

impl Root {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            loaded,
            output,
            forwarded,
            inherited,
            control,
            templates,
            exec_sockets,
            coordinator,
            gateway,
            code,
            record,
            kills,
            world,
        } = parts;
        let (gateway, presence) = gateway.unzip();
        Self {
            wrapper: match config.main.kind {
                Kind::None => Wrapper::alone(),
                _ => Wrapper::new(config.main.exec_event.is_some()),
            },
            next_place: config.coprocesses.len(),
            coprocesses: (0..).zip(&config.coprocesses).map(Supervised::of).collect(),
            changing: Rc::default(),
            awaiting: Vec::new(),
            next_socket: exec_sockets.borrow().len(),
            exec_sockets: (0..)
                .zip(exec_sockets.borrow().iter().cloned().map(Served::new))
                .collect(),
            open_sockets: exec_sockets.clone(),
            built_in: coordinator
                .as_ref()
                .and_then(|bound| Offers::of(bound.config()))
                .map(Offering::new),
            coordinator: coordinator.map(Coordinating::new),
            gateway: gateway.map(Gatekeeping::new),
            presence,
            config,
            loaded,
            began: SystemTime::now(),
            output,
            forwarded,
            inherited,
            events: Rc::default(),
            broker: None,
            broker_rebuilds: Rebuilds::default(),
            main: None,
            main_pid: None,
            main_exit: None,
            reloads: Rc::default(),
            entrances: Rc::new(control),
            guests: Rc::default(),
            control: None,
            control_rebuilds: Rebuilds::default(),
            templates,
            deadline: None,
            cause: None,
            main_stop: None,
            boot_culprit: None,
            stopping: None,
            main_gone: None,
            killed: false,
            kills,
            record,
            code,
            world,
        }
    }

    pub(super) fn happened(&mut self, input: Input, ctx: &mut Context<Self>) {
        let (wrapper, effects) = self.wrapper.step(input, self.config.main.stop_signal);
        self.wrapper = wrapper;
        for effect in effects {
            self.perform(effect, ctx);
        }
    }

    /// Publishes an event of the main process; what comes of it is a message for this actor.
    pub(super) fn publish<M>(
        &self,
        event: Event,
        message: impl FnOnce(Walked) -> M + 'static,
        ctx: &mut Context<Self>,
    ) where
        M: Message<Result = ()> + Send + 'static,
        Self: Handler<M>,
    {
        let (done, worked_off) = oneshot::channel();
        if let Some(broker) = &self.broker {
            broker.do_send(Publish { event, done: Some(done) });
        }
        let root = ctx.address();
        actix_rt::spawn(async move {
            // A broker that dies lets everybody go on.
            root.do_send(message(worked_off.await.unwrap_or_default()));
        });
    }

    /// The coprocess of this place, if the config still has it.
    pub(super) fn coprocess(&self, place: usize) -> Option<&Supervised> {
        self.coprocesses.iter().find(|child| child.place == place)
    }

    /// The same, to be changed.
    pub(super) fn coprocess_mut(&mut self, place: usize) -> Option<&mut Supervised> {
        self.coprocesses.iter_mut().find(|child| child.place == place)
    }

    /// Asks the main process for a reload; `done` hears what came of it. The gateway reads its APIs
    /// anew meanwhile.
    pub(super) fn reload(&self, cause: String, done: Option<oneshot::Sender<Result<(), String>>>) {
        drop(self.reload_gateway());
        drop(self.reread_tokens());
        if let Some(main) = &self.main {
            main.do_send(ReloadMain { cause, done });
        }
    }

    /// Has the gateway read its APIs anew, beside the actors; `None` where there is no gateway.
    pub(super) fn reload_gateway(&self) -> Option<JoinHandle<()>> {
        let bound = self.gateway.as_ref()?.bound.clone();
        Some(actix_rt::task::spawn_blocking(move || bound.reload()))
    }

    /// Has the tokens of the control's ports read anew; `None` where there are none.
    pub(super) fn reread_tokens(&self) -> Option<actix_rt::task::JoinHandle<()>> {
        tokens::reread(&self.config.control, self.entrances.door.clone())
    }

    /// Tells standard error what ends the wrapper.
    pub(super) fn complain(&self, text: &str) {
        if self.world.is_none() {
            crate::console::complain(&format!("error: {text}\n"));
        }
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.build(Child::Broker, ctx);
        self.build(Child::Main, ctx);
        let places: Vec<_> = self.coprocesses.iter().map(|child| child.place).collect();
        for place in places {
            self.build(Child::Coprocess(place), ctx);
        }
        let places: Vec<_> = self.exec_sockets.keys().copied().collect();
        for place in places {
            self.build(Child::ExecSocket(place), ctx);
        }
        self.build(Child::Coordinator, ctx);
        self.build(Child::BuiltIn, ctx);
        self.build(Child::Gateway, ctx);
        self.await_tasks();
        self.watch_plugin();
        self.supervise_workers(ctx);
        self.build(Child::Control, ctx);
        self.publish(Event::new(Phase::PreStart), Booted, ctx);
    }
}

impl Handler<Booted> for Root {
    type Result = ();

    fn handle(&mut self, Booted(walked): Booted, ctx: &mut Context<Self>) {
        let failed = walked.failure.map_or(Ok(()), |(place, error)| {
            let name = self.coprocess(place).map(|child| child.config.name.to_string());
            let why = format!("{}: {error}", name.as_deref().unwrap_or(MAIN));
            self.boot_culprit = name;
            Err(why)
        });
        // An event that was cancelled was worked off as well, but nothing is started after it.
        let templates = match self.wrapper.stage() {
            Stage::Booting if failed.is_ok() => self.templates.clone(),
            _ => None,
        };
        let Some(templates) = templates else { return ctx.notify(Rendered(failed)) };
        let rendered = templates.begin();
        let root = ctx.address();
        actix_rt::spawn(async move {
            let died = || Err("the rendering of the templates broke off".to_owned());
            let outcome = rendered.await.unwrap_or_else(|_| died());
            templates.settle(outcome.is_ok());
            root.do_send(Rendered(outcome));
        });
    }
}

impl Handler<Rendered> for Root {
    type Result = ();

    fn handle(&mut self, Rendered(outcome): Rendered, ctx: &mut Context<Self>) {
        let failure = outcome.err().map(|error| {
            let text = format!("the boot is given up: {error}");
            tracing::error!(target: "nginx-run", fatal = true, "{text}");
            self.complain(&text);
            let culprit = self.boot_culprit.take();
            self.leaves_because(Cause::Boot(culprit, error));
            FAILURE
        });
        self.happened(Input::PreStartDone(failure), ctx);
    }
}

impl Handler<Happened> for Root {
    type Result = ();

    fn handle(&mut self, Happened(input): Happened, ctx: &mut Context<Self>) {
        self.happened(input, ctx);
    }
}

impl Handler<Deliver> for Root {
    type Result = ();

    /// The event came that the main process waits for.
    fn handle(&mut self, deliver: Deliver, ctx: &mut Context<Self>) {
        if deliver.take().is_some() {
            self.happened(Input::MainEvent, ctx);
        }
    }
}
