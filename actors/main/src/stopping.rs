//! The end of the main process, and other signals on their way to it.

use actix::{AsyncContext, Context, Handler};
use coproc_core::signal::Signal;
use tokio::time::Instant;

use crate::actor::MainActor;
use crate::messages::{Pass, Stop};
use crate::reload::Input;

impl Handler<Stop> for MainActor {
    type Result = ();

    fn handle(&mut self, Stop { signal, kill_at }: Stop, ctx: &mut Context<Self>) {
        if self.process.is_none() {
            return;
        }
        self.stopping = true;
        // What is being prepared would reach it amid its end.
        self.reload_input(Input::MainStops, ctx);
        // What is being stopped is not asked any more.
        self.watch = None;
        let Some(process) = &self.process else { return };
        tracing::info!(target: "nginx-run", "stopping {} with signal {}", process.pid(), signal.number());
        match signal {
            Signal::KILL => process.signal(Signal::KILL),
            signal => {
                process.signal_leader(signal);
                process.signal_leader(Signal::CONT);
            }
        }
        let pause = kill_at.saturating_duration_since(Instant::now());
        ctx.run_later(pause, |actor, _| {
            if let Some(process) = &actor.process {
                tracing::warn!(target: "pm", "the main process did not end in time and is killed");
                process.signal(Signal::KILL);
            }
        });
    }
}

impl Handler<Pass> for MainActor {
    type Result = ();

    fn handle(&mut self, Pass(signal): Pass, _: &mut Context<Self>) {
        if let Some(process) = &self.process {
            process.signal_leader(signal);
        }
    }
}
