//! What the wrapper decides is carried out here.

use std::time::Duration;

use actix::{AsyncContext, Context};
use coproc_coprocess::messages::Command;
use coproc_core::broker::{Cancel, Deliver, Order, Outcome, held};
use coproc_core::event::Phase;
use coproc_core::service::{Drain, Kill};
use coproc_core::signal::Signal;
use coproc_main::messages as main_process;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lifecycle::{Effect, Input};
use super::root::{DEATH, Happened, Root};
use super::stop::MainStop;

/// How long after the start of the main process the start as a whole is taken to be over.
const SETTLED: Duration = Duration::from_secs(1);

impl Root {
    pub(super) fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::StartMain => {
                if let Some(main) = &self.main {
                    main.do_send(main_process::Start);
                }
                ctx.run_later(SETTLED, |root, _| {
                    if root.world.is_none() {
                        crate::init::give_back_code();
                    }
                });
            }
            Effect::StartDeadline => {
                if self.deadline.is_none() {
                    let limit = self.config.shutdown_timeout;
                    let now = Instant::now();
                    self.stopping = Some(now);
                    self.deadline = Some(now + limit);
                    ctx.run_later(limit, |root, ctx| {
                        tracing::warn!(target: "pm", "shutdown_timeout is over: killing what is left");
                        root.happened(Input::Deadline, ctx);
                    });
                }
            }
            Effect::CancelEvents => {
                if let Some(broker) = &self.broker {
                    broker.do_send(Cancel);
                }
            }
            Effect::StopMain(signal) => self.stop_main(signal, ctx),
            Effect::PublishExit => self.drain(ctx),
            Effect::StopAll => self.stop_all(ctx),
            Effect::KillAll => {
                self.killed = true;
                self.close();
                for child in &self.coprocesses {
                    if let Some(actor) = &child.actor {
                        actor.do_send(Command::Kill);
                    }
                }
                let (signal, kill_at) = (Signal::KILL, Instant::now());
                let asked = self.main_stop.map_or(kill_at, |stop| stop.asked);
                self.main_stop = Some(MainStop { signal, asked, kill_at });
                if let Some(main) = &self.main {
                    main.do_send(main_process::Stop { signal, kill_at });
                }
                for socket in self.exec_sockets.values().filter_map(|socket| socket.actor.as_ref())
                {
                    socket.do_send(Kill);
                }
                if let Some(actor) = self.coordinator.as_ref().and_then(|one| one.actor.as_ref()) {
                    actor.do_send(Kill);
                }
                if let Some(actor) = self.gateway.as_ref().and_then(|one| one.actor.as_ref()) {
                    actor.do_send(Kill);
                }
                self.stop_all(ctx);
                ctx.run_later(DEATH, |root, ctx| root.happened(Input::Deadline, ctx));
            }
            Effect::Leave(code) => {
                self.code.set(code);
                self.leave(code);
            }
        }
    }

    /// From now on nothing starts a coprocess.
    fn close(&self) {
        for child in &self.coprocesses {
            child.standing.borrow_mut().closed = true;
        }
    }

    fn stop_all(&self, ctx: &mut Context<Self>) {
        // The end of one is the start of another no longer.
        self.close();
        let ended: Vec<_> = self
            .coprocesses
            .iter()
            .filter_map(|child| child.actor.as_ref())
            .map(|actor| {
                let (hold, released) = held();
                actor.do_send(Deliver::new(Order::Stop, Phase::Exit.into(), hold));
                released
            })
            .collect();
        let drained: Vec<_> = self
            .exec_sockets
            .values()
            .filter_map(|socket| socket.actor.as_ref())
            .map(|actor| {
                let (done, drained) = oneshot::channel();
                actor.do_send(Drain { done });
                drained
            })
            .collect();
        let root = ctx.address();
        actix_rt::spawn(async move {
            for one in ended {
                // An actor that dies takes its process with it.
                let _: Result<Outcome, _> = one.await;
            }
            for one in drained {
                let _: Result<(), _> = one.await;
            }
            root.do_send(Happened(Input::AllEnded));
        });
    }
}
