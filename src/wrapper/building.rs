//! Actors are built here, for the first time and anew: what they are given, to whom they are made known,
//! and what follows when one dies.

use actix::{Actor, AsyncContext, Context, Handler};
use coproc_control::server::{ControlActor, Entrances, Sources};
use coproc_coordinator::actor::CoordinatorActor;
use coproc_coprocess::actor::{self as coprocess, CoprocessActor};
use coproc_core::broker::{BrokerIs, EventBroker, Subscribe, Subscription, Unsubscribe};
use coproc_core::event::EventName;
use coproc_core::exit::FAILURE;
use coproc_core::name::MAIN;
use coproc_core::process::Launcher;
use coproc_core::supervision::{ChildExited, Lifeline, Verdict};
use coproc_exec::{ExecActor, ExecService};
use coproc_gateway::actor::GatewayActor;
use coproc_main::actor::MainActor;
use coproc_main::config::Kind;
use coproc_main::surroundings::Surroundings as MainSurroundings;
use std::rc::Rc;
use tokio::time::Instant;

use super::cause::Cause;
use super::children::Child;
use super::lifecycle::{Input, Stage};
use super::replicas::groups;
use super::root::Root;
use crate::builtin::{self, BuiltIn};
use crate::task::COORDINATOR_VARIABLE;

impl Root {
    fn lifeline(&self, child: Child, ctx: &Context<Self>) -> Lifeline {
        Lifeline::new(child.id(), ctx.address().downgrade().recipient())
    }

    /// Builds a child, for the first time or anew, and makes it known to those who need it.
    pub(super) fn build(&mut self, child: Child, ctx: &mut Context<Self>) {
        match child {
            Child::Broker => {
                let lifeline = self.lifeline(child, ctx);
                let broker = EventBroker::new(self.events.clone(), lifeline);
                let broker = broker.with_groups(groups(&self.config)).start();
                self.broker = Some(broker.clone());
                for child in &self.coprocesses {
                    self.subscribe(child.place);
                    if let Some(actor) = &child.actor {
                        actor.do_send(BrokerIs(broker.clone()));
                    }
                }
                if let Some(event) = &self.config.main.exec_event {
                    let subscription = Subscription {
                        place: usize::MAX,
                        rank: usize::MAX,
                        exec_event: event.clone(),
                        after: Vec::new(),
                        stop_event: None,
                    };
                    let to = ctx.address().downgrade().recipient();
                    broker.do_send(Subscribe { subscription, to });
                }
                for socket in self.exec_sockets.iter().filter_map(|socket| socket.actor.as_ref()) {
                    socket.do_send(BrokerIs(broker.clone()));
                }
                if let Some(actor) = self.coordinator.as_ref().and_then(|one| one.actor.as_ref()) {
                    actor.do_send(BrokerIs(broker.clone()));
                }
                if let Some(actor) = self.gateway.as_ref().and_then(|one| one.actor.as_ref()) {
                    actor.do_send(BrokerIs(broker.clone()));
                }
                if let Some(main) = &self.main {
                    main.do_send(BrokerIs(broker));
                }
            }
            Child::Main if self.config.main.kind == Kind::None => {}
            Child::Main => {
                let Some(broker) = self.broker.clone() else { return };
                let lifeline = self.lifeline(child, ctx);
                let surroundings = MainSurroundings {
                    launcher: self.launcher(),
                    drain_timeout: self.config.log.drain_timeout,
                    preparation: self.templates.clone().map(|templates| templates as _),
                    reloads: self.reloads.clone(),
                    parent: ctx.address().recipient(),
                };
                let config = Rc::new(self.config.main.clone());
                self.main = Some(MainActor::new(config, surroundings, broker, lifeline).start());
            }
            Child::Control => {
                let Entrances { socket, ports, .. } = &*self.entrances;
                if socket.is_none() && ports.is_empty() {
                    return;
                }
                let lifeline = self.lifeline(child, ctx);
                let sources = Sources {
                    root: ctx.address().recipient(),
                    events: self.events.clone(),
                    output: self.output.clone(),
                    version: crate::commands::VERSION,
                };
                let (entrances, guests) = (self.entrances.clone(), self.guests.clone());
                self.control =
                    Some(ControlActor::new(entrances, sources, guests, lifeline).start());
            }
            Child::ExecSocket(place) => {
                let Some(broker) = self.broker.clone() else { return };
                let lifeline = self.lifeline(child, ctx);
                let publishes = self.is_awaited();
                let socket = &mut self.exec_sockets[place];
                let service = ExecService { bound: socket.bound.clone(), publishes };
                socket.actor = Some(ExecActor::new(service, broker, lifeline).start());
            }
            // A lifeline that nobody holds tells of a death.
            Child::Coordinator if self.coordinator.is_none() => {}
            Child::Coordinator => {
                let Some(broker) = self.broker.clone() else { return };
                let lifeline = self.lifeline(child, ctx);
                if let Some(coordinator) = &mut self.coordinator {
                    let bound = coordinator.bound.clone();
                    coordinator.actor =
                        Some(CoordinatorActor::new(bound, broker, lifeline).start());
                }
            }
            Child::BuiltIn if self.built_in.is_none() => {}
            Child::BuiltIn => {
                let lifeline = self.lifeline(child, ctx);
                let surroundings = builtin::Surroundings {
                    launcher: self.launcher(),
                    root: ctx.address().recipient(),
                };
                if let Some(offering) = &mut self.built_in {
                    let actor = BuiltIn::new(offering.bound.clone(), surroundings, lifeline);
                    offering.actor = Some(actor.start());
                }
            }
            Child::Gateway if self.gateway.is_none() => {}
            Child::Gateway => {
                let Some(broker) = self.broker.clone() else { return };
                let lifeline = self.lifeline(child, ctx);
                if let Some(gateway) = &mut self.gateway {
                    let actor = GatewayActor::new(gateway.bound.clone(), broker, lifeline);
                    gateway.actor = Some(actor.start());
                }
            }
            // The process of one that was to go went with its actor.
            Child::Coprocess(place) if self.coprocess(place).is_none_or(|one| one.removed) => {}
            Child::Coprocess(place) => {
                let Some(broker) = self.broker.clone() else { return };
                let lifeline = self.lifeline(child, ctx);
                let surroundings = coprocess::Surroundings {
                    launcher: self.launcher(),
                    parent: ctx.address().recipient(),
                };
                let Some(child) = self.coprocess_mut(place) else { return };
                let actor = CoprocessActor::new(
                    child.config.clone(),
                    child.standing.clone(),
                    surroundings,
                    broker,
                    lifeline,
                );
                child.actor = Some(actor.start());
                self.subscribe(place);
            }
        }
    }

    /// Subscribes a coprocess on its behalf, so that all subscriptions precede the first event.
    pub(super) fn subscribe(&self, place: usize) {
        let rank = self.coprocesses.iter().position(|child| child.place == place);
        let Some(rank) = rank else { return };
        let child = &self.coprocesses[rank];
        if let (Some(broker), Some(actor), false) = (&self.broker, &child.actor, child.removed) {
            broker.do_send(Subscribe {
                subscription: CoprocessActor::subscription(&child.config, place, rank),
                to: actor.downgrade().recipient(),
            });
        }
    }

    /// Whether anybody waits for the programs of exec sockets: else their comings and goings are
    /// not worth a message.
    fn is_awaited(&self) -> bool {
        let of_coprocesses = self
            .config
            .coprocesses
            .iter()
            .flat_map(|c| [&c.exec_event, &c.stop_event].into_iter().chain(&c.after));
        let mut all = of_coprocesses.chain(&self.config.main.exec_event);
        all.any(|event| matches!(event, EventName::Exec(_)))
    }

    /// What the tree's programs are started with.
    pub(super) fn launcher(&self) -> Launcher {
        Launcher {
            output: self.output.clone(),
            scope: self.config.scope.clone(),
            inherited: self.inherited.clone(),
            added: self.added_variables(),
            world: self.world.clone(),
        }
    }

    /// How a child finds the wrapper that it runs under.
    fn added_variables(&self) -> Vec<(&'static str, String)> {
        let control = self.entrances.socket.as_ref();
        let control = control.map(|listener| ("COPROC_SOCKET", listener.path().to_owned()));
        let coordinator = self.coordinator.as_ref();
        let coordinator =
            coordinator.map(|one| (COORDINATOR_VARIABLE, one.bound.config().internal()));
        let all = control.into_iter().chain(coordinator);
        all.map(|(variable, path)| (variable, path.display().to_string())).collect()
    }

    /// Lets nobody wait for an actor that will not be built again.
    fn give_up(&self, child: Child) {
        if let (Child::Coprocess(place), Some(broker)) = (child, &self.broker) {
            broker.do_send(Unsubscribe(place));
        }
    }
}

impl Handler<ChildExited> for Root {
    type Result = ();

    /// No actor of the tree ends by itself, so this is always a bug somewhere.
    fn handle(&mut self, ChildExited { id, exit }: ChildExited, ctx: &mut Context<Self>) {
        let child = Child::from_id(id);
        let leaving = matches!(
            self.wrapper.stage(),
            Stage::Exiting | Stage::Sweeping | Stage::Killing | Stage::Gone
        );
        if let Child::Coprocess(place) = child
            && self.coprocess(place).is_none()
        {
            return;
        }
        tracing::error!(target: "supervisor", "the actor of {child:?} {exit}");
        let now = Instant::now();
        let verdict = match child {
            Child::Main => {
                // Its process was killed with it.
                self.main = None;
                self.leaves_because(Cause::Actor(MAIN.to_owned()));
                return self.happened(Input::MainGone(FAILURE), ctx);
            }
            Child::Broker => {
                self.broker = None;
                self.broker_rebuilds.died(now)
            }
            Child::Control => {
                self.control = None;
                self.control_rebuilds.died(now)
            }
            Child::ExecSocket(place) => self.exec_sockets[place].died(now),
            Child::Coordinator => match &mut self.coordinator {
                Some(coordinator) => coordinator.died(now),
                None => return,
            },
            Child::Gateway => match &mut self.gateway {
                Some(gateway) => gateway.died(now),
                None => return,
            },
            Child::BuiltIn => match &mut self.built_in {
                Some(offering) => offering.died(now),
                None => return,
            },
            Child::Coprocess(place) => {
                let Some(child) = self.coprocess_mut(place) else { return };
                child.actor = None;
                child.rebuilds.died(now)
            }
        };
        match verdict {
            // The broker is needed for the exit as well.
            Verdict::Rebuild(_) if leaving && child != Child::Broker => self.give_up(child),
            Verdict::Rebuild(_) if child == Child::Broker => self.build(child, ctx),
            Verdict::Rebuild(pause) => {
                ctx.run_later(pause, move |root, ctx| root.build(child, ctx));
            }
            // Without it the wrapper cannot be asked anything; its work goes on.
            Verdict::Escalate if child == Child::Control => {
                tracing::error!(target: "supervisor", "the control socket is given up");
            }
            Verdict::Escalate => {
                tracing::error!(target: "supervisor", "the actor of {child:?} dies too often: shutting down");
                self.leaves_because(Cause::Actor(format!("{child:?}")));
                self.give_up(child);
                self.happened(Input::GaveUp(FAILURE), ctx);
            }
        }
    }
}
