//! Who answers requests finishes them while those are still there that they need: the gateway before the main
//! process is told to stop, which may be its upstream, and the coordinator before `exit` is published.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use coproc_coprocess::messages::Command;
use coproc_coprocess::standing::Leave;
use coproc_core::event::{Event, Phase};
use coproc_core::service::{Drain, Kill};
use coproc_core::signal::Signal;
use coproc_main::messages as main_process;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::lifecycle::{Input, Stage};
use super::root::{Happened, Root};
use super::stop::MainStop;
use crate::budget::{Shares, last, share};
use crate::builtin;

/// Gateway and coordinator have finished.
#[derive(Message)]
#[rtype(result = "()")]
struct Drained;

/// The gateway needs the main process no more, or has had its time.
#[derive(Message)]
#[rtype(result = "()")]
struct MainMayGo {
    signal: Signal,
    /// When its time is over, where it has none of its own.
    until: Instant,
}

impl Root {
    /// Has the gateway answer what it has accepted, for which it may take half of the time, and then the
    /// main process stop.
    pub(super) fn stop_main(&mut self, signal: Signal, ctx: &mut Context<Self>) {
        let (limit, now) = (self.config.shutdown_timeout, Instant::now());
        let share = share(limit, &self.parts());
        let until = now + share;
        let Some(actor) = self.gateway.as_ref().and_then(|one| one.actor.clone()) else {
            return self.signal_main(signal, until);
        };
        let root = ctx.address();
        actix_rt::spawn(async move {
            let (done, drained) = oneshot::channel();
            actor.do_send(Drain { done });
            // What is not answered by then goes on beside the main process's end.
            let _ = timeout_at(now + share / 2, drained).await;
            root.do_send(MainMayGo { signal, until });
        });
    }

    fn signal_main(&mut self, signal: Signal, until: Instant) {
        let asked = Instant::now();
        let own = self.config.main.stop_timeout.map(|limit| asked + limit);
        let kill_at = own.unwrap_or(until);
        self.main_stop = Some(MainStop { signal, asked, kill_at });
        if let Some(main) = &self.main {
            main.do_send(main_process::Stop { signal, kill_at });
        }
    }

    /// Lets the gateway and then the coordinator finish while those who answer their requests are
    /// still there; then `exit` is published.
    pub(super) fn drain(&self, ctx: &mut Context<Self>) {
        let gateway = self.gateway.as_ref().and_then(|one| one.actor.clone());
        let coordinator = self.coordinator.as_ref().and_then(|one| one.actor.clone());
        if gateway.is_none() && coordinator.is_none() {
            return self.publish_exit(ctx);
        }
        let built_in = self.built_in.as_ref().and_then(|offering| offering.actor.clone());
        let shares = Shares::of(self.left(), self.config.shutdown_timeout, true, &self.parts());
        let until = Instant::now() + self.left().saturating_sub(shares.after_drain());
        let root = ctx.address();
        actix_rt::spawn(async move {
            // One that dies has nothing left to finish.
            if let Some(actor) = gateway {
                let (done, drained) = oneshot::channel();
                actor.do_send(Drain { done });
                if timeout_at(until, drained).await.is_err() {
                    actor.do_send(Kill);
                }
            }
            if let Some(actor) = coordinator {
                let (done, drained) = oneshot::channel();
                actor.do_send(Drain { done });
                if timeout_at(until, drained).await.is_err() {
                    actor.do_send(Kill);
                }
            }
            if let Some(built_in) = built_in {
                // What was asked for over the socket of this machine is answered without the
                // coordinator.
                let (done, answered) = oneshot::channel();
                built_in.do_send(builtin::Stop(done));
                let _ = timeout_at(until, answered).await;
            }
            root.do_send(Drained);
        });
    }

    /// How long it is until all signals have to be sent.
    fn left(&self) -> Duration {
        let limit = self.config.shutdown_timeout;
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + limit);
        deadline.saturating_duration_since(Instant::now()).saturating_sub(last(limit))
    }

    /// Gives each coprocess its times until the end. Who is through before leaves the rest of his to
    /// those who come after.
    fn allot(&self, ctx: &mut Context<Self>) {
        let (left, parts) = (self.left(), self.parts());
        let shares = Shares::of(left, self.config.shutdown_timeout, false, &parts);
        // From the end to the beginning, but nobody's time is over before it begins.
        let now = Instant::now();
        let mut at = left;
        let mut back = |time: Duration| {
            let by = now + at;
            at = at.saturating_sub(time);
            by
        };
        let others = back(shares.others);
        let at_exit = back(shares.at_exit);
        let commands = shares.stop_commands.iter().rev().map(|time| back(time.unwrap_or_default()));
        let mut commands: Vec<_> = commands.collect();
        commands.reverse();
        let started_by = now + at;
        for ((child, part), stop_command_by) in self.coprocesses.iter().zip(&parts).zip(commands) {
            let killed_by = if part.at_exit { at_exit } else { others };
            let leave = Leave { started_by, stop_command_by, killed_by };
            child.standing.borrow_mut().leave = Some(leave);
        }
        if parts.iter().any(|part| part.starts) {
            ctx.run_later(started_by.saturating_duration_since(now), |root, _| {
                for actor in root.coprocesses.iter().filter_map(|child| child.actor.as_ref()) {
                    actor.do_send(Command::LetGo);
                }
            });
        }
    }

    fn publish_exit(&self, ctx: &mut Context<Self>) {
        self.allot(ctx);
        let mut event = Event::new(Phase::Exit);
        if let Some(pid) = self.main_pid {
            event = event.with("pid", pid);
        }
        self.publish(event, |_| Happened(Input::ExitDone), ctx);
    }
}

impl Handler<MainMayGo> for Root {
    type Result = ();

    fn handle(&mut self, MainMayGo { signal, until }: MainMayGo, _: &mut Context<Self>) {
        // In the meantime it may have ended by itself, or all be killed.
        if self.wrapper.stage() == Stage::StoppingMain {
            self.signal_main(signal, until);
        }
    }
}

impl Handler<Drained> for Root {
    type Result = ();

    fn handle(&mut self, _: Drained, ctx: &mut Context<Self>) {
        self.publish_exit(ctx);
    }
}
