//! `coproc reload --config`: the config is read anew, checked as `coproc check` does, and what differs is
//! carried out, or nothing at all.
//!
//! What can fail comes first: reading, looking up users and programs, opening the log, rendering and the
//! main process's own check. Then those go that the config has no more, and when they are gone the others
//! restart and start.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix::fut::ActorFutureExt;
use actix::{AsyncContext, Context, WrapFuture};
use coproc_control::request::{Order, Refused};
use coproc_coprocess::config::Coprocess;
use coproc_coprocess::lifecycle::State;
use coproc_coprocess::messages::{Command, Reconfigure};
use coproc_coprocess::standing::SharedStanding;
use coproc_core::broker::{Regroup, Unsubscribe};
use coproc_core::output::Sink;
use coproc_main::config::Kind;
use coproc_main::messages::{self as main_process, MainStatus, ReloadMain};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::children::{Child, Supervised};
use super::control::{Reply, settled};
use super::lifecycle::Stage;
use super::replicas::groups;
use super::root::Root;
use super::run::exec_socket;
use crate::change::{Life, Now, Plan, Socket, What};
use crate::commands;
use crate::config::{Config, Loaded};
use crate::log::LogSink;

/// How long reading the config may take. A file that is a named pipe, or lies on a server that is gone, keeps
/// its reader for ever.
const READING: Duration = Duration::from_secs(5);

/// Whoever is changing the config; nobody else may until it is dropped.
struct Turn(Rc<Cell<bool>>);

impl Turn {
    fn take(busy: &Rc<Cell<bool>>) -> Option<Self> {
        (!busy.replace(true)).then(|| Self(busy.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// A change that nothing is left to go wrong with.
struct Ready {
    loaded: Loaded,
    config: Config,
    plan: Plan,
    prepared: Prepared,
    reply: Reply,
    turn: Turn,
}

/// What was opened for a change, and is closed again if it is not carried out.
struct Prepared {
    /// Where lines go from now on, if that changes.
    sink: Option<Box<dyn Sink>>,
    /// The exec sockets that are new.
    sockets: Vec<coproc_exec::Bound>,
}

/// Somebody whose start is waited for.
type Awaited = (String, SharedStanding);
/// Resolves once an actor has taken an order.
type Taken = Pin<Box<dyn Future<Output = ()>>>;

impl Root {
    /// Reads the config anew and answers with what follows; carries that out if it is to be applied.
    pub(super) fn reconfigure(&mut self, apply: bool, reply: Reply, ctx: &mut Context<Self>) {
        let sources = self.loaded.sources().clone();
        let examined = actix_rt::task::spawn_blocking(move || commands::examine(&sources));
        let main = self.main_status();
        let all = async move { (timeout(READING, examined).await, main.await) };
        ctx.spawn(all.into_actor(self).map(move |(examined, main), root, ctx| {
            let examined = match examined {
                Ok(Ok(Ok(valid))) => Ok(valid.loaded),
                Ok(Ok(Err(report))) => Err(Refused::new(422, report)),
                Ok(Err(_)) => Err(Refused::new(503, "the config cannot be read just now")),
                Err(_) => {
                    let why = format!("the config cannot be read within {} s", READING.as_secs());
                    Err(Refused::new(503, why))
                }
            };
            match examined {
                Ok(loaded) => root.examined(loaded, &main, apply, reply, ctx),
                // A client that hung up does not want to know, here and below.
                Err(refused) => drop(reply.send(Err(refused))),
            }
        }));
    }

    fn examined(
        &mut self,
        loaded: Loaded,
        main: &MainStatus,
        apply: bool,
        reply: Reply,
        ctx: &mut Context<Self>,
    ) {
        if !self.may_change() {
            return refuse(reply, "the wrapper is starting or being stopped");
        }
        let config = loaded.with_facts_of(&self.config);
        let plan = Plan::of(&self.loaded, &loaded, &self.now(main));
        if !apply {
            return drop(reply.send(Ok(plan.to_json(false))));
        }
        if let Some(why) = plan.refusal() {
            return refuse(reply, &format!("nothing was changed: {why}"));
        }
        let Some(turn) = Turn::take(&self.changing) else {
            return refuse(reply, "the config is being changed already");
        };
        let prepared = match self.prepare(&config, &plan) {
            Ok(prepared) => prepared,
            Err(why) => return refuse(reply, &format!("nothing was changed: {why}")),
        };
        let ready = Ready { loaded, config, plan, prepared, reply, turn };
        let is_main_concerned = !ready.plan.rendered.is_empty() && main.pid.is_some();
        if let Some(templates) = &self.templates {
            templates.see(ready.config.template_values.clone());
        }
        if !is_main_concerned {
            return self.apply(ready, ctx);
        }
        let (done, outcome) = oneshot::channel();
        if let Some(main) = &self.main {
            let cause = "the values of templates changed with the config".to_owned();
            main.do_send(ReloadMain { cause, done: Some(done) });
        }
        ctx.spawn(outcome.into_actor(self).map(|outcome, root, ctx| match outcome {
            Ok(Ok(())) => root.apply(ready, ctx),
            Ok(Err(why)) => root.take_back(ready, &why),
            Err(_) => root.take_back(ready, "the main process is gone"),
        }));
    }

    /// The main process refused what was rendered.
    fn take_back(&self, ready: Ready, why: &str) {
        if let Some(templates) = &self.templates {
            templates.see(self.config.template_values.clone());
        }
        refuse(ready.reply, &format!("nothing was changed: {why}"));
    }

    fn may_change(&self) -> bool {
        matches!(self.wrapper.stage(), Stage::Awaiting | Stage::Running)
    }

    /// How all is just now.
    fn now(&self, main: &MainStatus) -> Now {
        let life = |child: &Supervised| {
            let standing = child.standing.borrow();
            match standing.machine.state {
                State::Waiting => Life::Waiting,
                State::Failed(_) => Life::Failed,
                State::Stopped => Life::Ended,
                // One that is being stopped for good does not come back.
                State::Stopping { .. } if !standing.is_coming() => Life::Ended,
                _ => Life::Up { ready: standing.is_ready() },
            }
        };
        let lives = self.coprocesses.iter();
        Now {
            started: main.state == "running",
            lives: lives.map(|child| (child.config.name.to_string(), life(child))).collect(),
        }
    }

    /// Tries what can fail; the error is a sentence.
    fn prepare(&self, config: &Config, plan: &Plan) -> Result<Prepared, String> {
        let launcher = self.launcher();
        for member in &plan.members {
            if !matches!(member.what, What::Restart | What::Start | What::Wait(_)) {
                continue;
            }
            let mut all = config.coprocesses.iter();
            let Some(new) = all.find(|one| one.name.as_str() == member.name) else { continue };
            let command = launcher.command(new.name.shared(), &new.exec, &new.context);
            command.look_up().map_err(|error| format!("{}: {error}", new.name))?;
        }
        let opens = |name: &str| plan.sockets.contains(&(name.to_owned(), Socket::Open));
        let sockets = config.exec_sockets.iter().filter(|socket| opens(&socket.name));
        let sockets = sockets.map(|socket| exec_socket(config, socket, &self.inherited));
        let sockets = sockets.collect::<Result<_, _>>()?;
        let (old, new) = (&self.config.log, &config.log);
        if (&old.destination, &old.options, old.form, old.rotation)
            == (&new.destination, &new.options, new.form, new.rotation)
        {
            return Ok(Prepared { sink: None, sockets });
        }
        let opened = LogSink::open(new, |name| std::env::var(name).ok());
        let sink = opened.map_err(|error| format!("log.destination cannot be opened: {error}"))?;
        Ok(Prepared { sink: Some(Box::new(sink)), sockets })
    }

    /// Carries a change out. Who goes is told to; the rest follows when they are gone.
    fn apply(&mut self, ready: Ready, ctx: &mut Context<Self>) {
        if !self.may_change() {
            return self.take_back(ready, "the wrapper is being stopped");
        }
        let Ready { loaded, config, plan, prepared, reply, turn } = ready;
        let Prepared { sink, sockets } = prepared;
        let changes_log = sink.is_some() || config.log.level != self.config.log.level;
        if changes_log {
            self.output.change(config.log.level, config.log.form, sink);
            tracing::callsite::rebuild_interest_cache();
        }
        for warning in &config.warnings {
            tracing::warn!(target: "config", "{warning}");
        }
        if let (Some(main), true) = (&self.main, config.main.kind != Kind::None) {
            main.do_send(main_process::Reconfigure(Box::new(config.main.clone())));
        }
        self.output.rules(config.log_rules());
        let new = self.arrange(&config, &plan);
        self.config = Rc::new(config);
        self.loaded = Rc::new(loaded);
        let places: Vec<_> = self.coprocesses.iter().map(|child| child.place).collect();
        for place in places {
            match new.contains(&place) {
                true => self.build(Child::Coprocess(place), ctx),
                false => self.subscribe(place),
            }
        }
        if let Some(broker) = &self.broker {
            broker.do_send(Regroup(groups(&self.config)));
        }
        self.await_tasks();
        self.open_sockets(sockets, ctx);
        let (gone, closed) = (self.dismiss(), self.close_sockets(&plan));
        let gone = async move {
            gone.await;
            closed.await
        };
        ctx.spawn(gone.into_actor(self).map(move |closed, root, _| {
            root.exec_sockets.retain(|place, _| !closed.contains(place));
            root.follow(plan, reply, turn);
        }));
    }

    /// Puts the coprocesses in the order of the new config, those that go behind them, and gives each that
    /// runs on its new config. Gives the places of those that are new.
    fn arrange(&mut self, config: &Config, plan: &Plan) -> Vec<usize> {
        let mut before = std::mem::take(&mut self.coprocesses);
        let first = self.next_place;
        for new in &config.coprocesses {
            let is_it = |child: &Supervised| child.config.name == new.name;
            let Some(at) = before.iter().position(is_it) else {
                self.coprocesses.push(Supervised::of((self.next_place, new)));
                self.next_place += 1;
                continue;
            };
            let mut child = before.remove(at);
            let restarts = plan
                .members
                .iter()
                .any(|one| one.name == new.name.as_str() && one.what == What::Restart);
            if !restarts && *child.config != *new {
                // An order whose outcome nobody waits for would not be given.
                if let Some(taken) = child.reconfigure(new, false) {
                    actix_rt::spawn(taken);
                }
            }
            self.coprocesses.push(child);
        }
        for mut child in before {
            child.removed = true;
            if let Some(broker) = &self.broker {
                broker.do_send(Unsubscribe(child.place));
            }
            self.coprocesses.push(child);
        }
        (first..self.next_place).collect()
    }

    /// Stops those that the config has no more; resolves when they are gone.
    fn dismiss(&self) -> impl Future<Output = ()> + use<> {
        let stop = |child: &Supervised| {
            let taken = child.actor.as_ref()?.send(Command::Stop);
            Some((child.standing.clone(), taken))
        };
        let leaving = self.coprocesses.iter().filter(|child| child.removed);
        let leaving: Vec<_> = leaving.filter_map(stop).collect();
        async move {
            let mut told = Vec::new();
            for (standing, taken) in leaving {
                // One whose actor died went with it.
                if taken.await.is_ok() {
                    told.push(standing);
                }
            }
            for standing in told {
                wait(&standing, Order::Stop).await;
            }
        }
    }

    /// Has the gateway serve the APIs of the config.
    fn take_apis(&self) -> Option<Taken> {
        let (gateway, new) = (self.gateway.as_ref()?, self.config.placed_gateway()?);
        let bound = gateway.bound.clone();
        let read = actix_rt::task::spawn_blocking(move || bound.reload_with(new));
        Some(Box::pin(async move {
            let _ = read.await;
        }))
    }

    /// Restarts and starts, when those are gone that are to go.
    fn follow(&mut self, plan: Plan, reply: Reply, turn: Turn) {
        self.coprocesses.retain(|child| !child.removed);
        drop(turn);
        if !self.may_change() {
            return refuse(reply, "the wrapper is being stopped");
        }
        let (mut taken, mut awaited): (Vec<Taken>, Vec<Awaited>) = Default::default();
        if plan.apis {
            taken.extend(self.take_apis());
        }
        for member in &plan.members {
            let name = member.name.as_str();
            let new = self.config.coprocesses.iter().find(|one| one.name.as_str() == name);
            let children = &mut self.coprocesses;
            let child = children.iter_mut().find(|one| one.config.name.as_str() == name);
            let (Some(new), Some(child)) = (new, child) else { continue };
            match member.what {
                What::Restart => taken.extend(child.reconfigure(new, true)),
                What::Start => taken.extend(child.actor.as_ref().map(|actor| {
                    let start = actor.send(Command::Begin);
                    Box::pin(async move {
                        let _ = start.await;
                    }) as Taken
                })),
                What::Stop | What::Live | What::Next | What::Wait(_) => continue,
            }
            // One that is started by the clock has nothing to come to yet.
            if member.what == What::Restart || !new.starts_by_the_clock() {
                awaited.push((member.name.clone(), child.standing.clone()));
            }
            let place = child.place;
            self.subscribe(place);
        }
        for line in plan.lines() {
            tracing::info!(target: "config", "{line}");
        }
        actix_rt::spawn(async move {
            // Each order is taken before its outcome is looked at.
            for one in taken {
                one.await;
            }
            let mut failing = Vec::new();
            for (name, standing) in awaited {
                let state = wait(&standing, Order::Start).await;
                if state == "failed" || state == "backoff" {
                    failing.push(json!({ "name": name, "state": state }));
                }
            }
            let mut answer = plan.to_json(true);
            answer["failing"] = failing.into();
            let _ = reply.send(Ok(answer));
        });
    }
}

impl Supervised {
    /// Gives a coprocess its new config; resolves once its actor has taken it.
    fn reconfigure(&mut self, new: &Coprocess, restart: bool) -> Option<Taken> {
        let old = std::mem::replace(&mut self.config, Rc::new(new.clone()));
        match &self.actor {
            Some(actor) => {
                let told = actor.send(Reconfigure { config: Box::new(new.clone()), restart });
                Some(Box::pin(async move {
                    let _ = told.await;
                }))
            }
            // The one that is built next begins with it.
            None => {
                self.standing.borrow_mut().reconfigure(&old, new);
                None
            }
        }
    }
}

fn refuse(reply: Reply, why: &str) {
    let _ = reply.send(Err(Refused::new(409, why)));
}

/// Waits until an order is carried out or has come to another end; gives the state.
async fn wait(standing: &SharedStanding, order: Order) -> String {
    let mut changes = standing.borrow().watch();
    loop {
        if let Some(state) = settled(&standing.borrow(), order) {
            return state;
        }
        if changes.changed().await.is_err() {
            return "gone".to_owned();
        }
    }
}
