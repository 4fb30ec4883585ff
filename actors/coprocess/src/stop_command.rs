//! The stop command: it runs to its end, and then what it was meant for goes on.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use coproc_core::broker::Hold;
use coproc_core::process::{self, Ended};
use tokio::time::Instant;

use crate::actor::CoprocessActor;
use crate::lifecycle::{Event, Wanted};
use crate::run::log_end;

/// A stop command is over, and this comes next.
#[derive(Message)]
#[rtype(result = "()")]
struct Proceed {
    event: Event,
    /// The run that the stop command was meant for.
    run: u64,
}

impl CoprocessActor {
    /// Runs the stop command, if there is one, and then drops `hold` and sends `next` back here.
    pub(crate) fn stop_command(
        &self,
        hold: Option<Hold>,
        next: Option<Event>,
        ctx: &mut Context<Self>,
    ) {
        let Some(words) = &self.config.stop_exec else {
            if let Some(event) = next {
                ctx.notify(Proceed { event, run: self.run });
            }
            return;
        };
        // As configured: what is interpolated may be a secret.
        let shown = words.join(" ");
        let name: Arc<str> = format!("stop-{}", self.config.name).into();
        let launcher = &self.surroundings.launcher;
        let command = launcher.command(name.clone(), words, &self.config.context);
        let output = launcher.output.clone();
        let leave = self.standing.borrow().leave;
        let left =
            leave.map(|leave| leave.stop_command_by.saturating_duration_since(Instant::now()));
        // In whole milliseconds, as it is told.
        let left = left
            .map(|left| left - Duration::from_nanos(u64::from(left.subsec_nanos() % 1_000_000)));
        let limit = self.config.stop_exec_timeout.within(left);
        let me = ctx.address().downgrade();
        let run = self.run;
        // Its own task: a stop command that was begun is finished even if this actor dies.
        actix_rt::spawn(async move {
            tracing::debug!(logger = %name, "runs `{shown}`");
            match process::run(command, &output, limit).await {
                Ok(Ended::InTime(status)) => log_end(&name, status),
                Ok(Ended::TooLate) => {
                    let limit = humantime::format_duration(limit);
                    tracing::error!(logger = %name, "did not end within {limit} and was killed");
                }
                Err(error) => tracing::error!(logger = %name, "{error}"),
            }
            drop(hold);
            if let (Some(event), Some(me)) = (next, me.upgrade()) {
                me.do_send(Proceed { event, run });
            }
        });
    }

    /// An operator's order, which is carried out when the stop command is over.
    pub(crate) fn after_stop_command(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.standing.borrow_mut().pending += 1;
        self.happened(Event::Retire, ctx);
        self.stop_command(None, Some(event), ctx);
    }
}

impl Handler<Proceed> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, Proceed { event, run }: Proceed, ctx: &mut Context<Self>) {
        let wanted = {
            let mut standing = self.standing.borrow_mut();
            standing.pending = standing.pending.saturating_sub(1);
            standing.machine.wanted
        };
        let event = match (event, wanted) {
            // It was wanted up again meanwhile, and the last order counts: a program that ended and
            // was started anew stays, one that still runs is the one to be stopped.
            (Event::Stop, Wanted::Up) if run != self.run => {
                return self.standing.borrow().mark_changed();
            }
            (Event::Stop, Wanted::Up) => Event::Restart,
            (event, _) => event,
        };
        self.happened(event, ctx);
    }
}
