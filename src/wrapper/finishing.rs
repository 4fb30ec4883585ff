//! Who answers requests finishes them while those are still there that they need: the gateway before the main
//! process is told to stop, which may be its upstream, and the coordinator before `exit` is published.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use coproc_coordinator::actor as coordinator;
use coproc_core::event::{Event, Phase};
use coproc_core::signal::Signal;
use coproc_gateway::actor as gateway;
use coproc_main::messages as main_process;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::lifecycle::{Input, Stage};
use super::root::{Happened, Root};
use crate::builtin;

/// What of the stop time is kept for the coprocesses once the main process is gone.
const COPROCESSES_SHARE: Duration = Duration::from_secs(5);

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
    /// What of the stop time there is before the coprocesses are told to stop.
    fn share(&self) -> Duration {
        let all = self.config.shutdown_timeout;
        // Of a short time both get a half.
        all.saturating_sub(COPROCESSES_SHARE).max(all / 2)
    }

    /// Has the gateway answer what it has accepted, for which it may take half of the time, and then the
    /// main process stop.
    pub(super) fn stop_main(&self, signal: Signal, ctx: &mut Context<Self>) {
        let (share, now) = (self.share(), Instant::now());
        let until = now + share;
        let Some(actor) = self.gateway.as_ref().and_then(|one| one.actor.clone()) else {
            return self.signal_main(signal, until);
        };
        let root = ctx.address();
        actix_rt::spawn(async move {
            let (done, drained) = oneshot::channel();
            actor.do_send(gateway::Drain { done });
            // What is not answered by then goes on beside the main process's end.
            let _ = timeout_at(now + share / 2, drained).await;
            root.do_send(MainMayGo { signal, until });
        });
    }

    fn signal_main(&self, signal: Signal, until: Instant) {
        let own = self.config.main.stop_timeout.map(|limit| Instant::now() + limit);
        if let Some(main) = &self.main {
            main.do_send(main_process::Stop { signal, kill_at: own.unwrap_or(until) });
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
        let (until, root) = (Instant::now() + self.share(), ctx.address());
        actix_rt::spawn(async move {
            // One that dies has nothing left to finish.
            if let Some(actor) = gateway {
                let (done, drained) = oneshot::channel();
                actor.do_send(gateway::Drain { done });
                if timeout_at(until, drained).await.is_err() {
                    actor.do_send(gateway::Kill);
                }
            }
            if let Some(actor) = coordinator {
                let (done, drained) = oneshot::channel();
                actor.do_send(coordinator::Drain { done });
                if timeout_at(until, drained).await.is_err() {
                    actor.do_send(coordinator::Kill);
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

    fn publish_exit(&self, ctx: &mut Context<Self>) {
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
