//! One run of the program: its launch, what is heard of it, and its end.

use std::time::SystemTime;

use actix::{AsyncContext, Context, Handler, Message};
use coproc_core::broker::Hold;
use coproc_core::event::{EventName, Phase};
use coproc_core::exit::ExitStatus;
use coproc_core::probe::attach;
use coproc_core::process::{Cgroup, Launcher, Report, SpawnError, launch};
use coproc_core::signal::Signal;

use crate::actor::CoprocessActor;
use crate::config::Coprocess;
use crate::lifecycle::{Event, RunEnd};

#[derive(Message)]
#[rtype(result = "()")]
struct Reported {
    run: u64,
    report: Report,
}

impl CoprocessActor {
    pub(crate) fn spawn(&mut self, ctx: &mut Context<Self>) {
        self.run += 1;
        let run = self.run;
        let me = ctx.address().downgrade();
        let Coprocess { exec, name, context, .. } = &*self.config;
        let mut command = self.surroundings.launcher.command(name.shared(), exec, context);
        if self.config.cgroup {
            command.context.cgroup = Cgroup::below_own(name.as_str());
            if command.context.cgroup.is_none() {
                tracing::warn!(logger = %name, "has no control group of its own: no unified hierarchy is mounted");
            }
        }
        let Launcher { output, scope, .. } = &self.surroundings.launcher;
        let Coprocess { ready, live, .. } = &*self.config;
        let launched = attach(ready.as_ref(), live.as_ref(), &mut command, scope, output)
            .map_err(|error| SpawnError::descriptors(&self.config.exec[0], &error))
            .and_then(|attached| {
                let report = move |report| {
                    if let Some(me) = me.upgrade() {
                        me.do_send(Reported { run, report });
                    }
                };
                Ok((launch(command, output, report)?, attached))
            });
        match launched {
            Ok((process, attached)) => {
                self.attached = Some(attached);
                // As configured: what is interpolated may be a secret.
                tracing::debug!(logger = %self.config.name, "started `{}` as {}", self.config.exec.join(" "), process.pid());
                let mut standing = self.standing.borrow_mut();
                standing.pid = Some(process.pid());
                standing.started = Some(SystemTime::now());
                standing.gone = Some(process.gone());
                self.process = Some(process);
            }
            // By message: the machine is in the middle of a step.
            Err(error) => ctx.notify(Reported { run, report: Report::Failed(error) }),
        }
    }

    /// A foreground program that cannot be started at all ends the boot, whatever its policy says.
    pub(crate) fn spawn_failed(&self, error: &SpawnError) {
        let before_start = EventName::Phase(Phase::PreStart);
        let mut standing = self.standing.borrow_mut();
        let (boot, others) =
            standing.starts.drain(..).partition(|(event, _)| *event == before_start);
        standing.starts = others;
        for (_, hold) in boot {
            Hold::spawn_failed(hold, error.clone());
        }
    }

    /// Forgets the process, which is gone.
    pub(crate) fn process_ended(&mut self) {
        self.process = None;
        self.attached = None;
        self.watch = None;
        let mut standing = self.standing.borrow_mut();
        standing.notes.clear();
        standing.unready = false;
        standing.pid = None;
        standing.started = None;
        standing.gone = None;
    }
}

impl Handler<Reported> for CoprocessActor {
    type Result = ();

    fn handle(&mut self, Reported { run, report }: Reported, ctx: &mut Context<Self>) {
        if run != self.run {
            return;
        }
        match report {
            Report::Running => {
                self.happened(Event::Spawned, ctx);
                self.watch(ctx);
            }
            Report::Failed(error) => {
                tracing::error!(logger = %self.config.name, "{error}");
                self.process_ended();
                self.spawn_failed(&error);
                self.happened(Event::Ended(RunEnd::SpawnFailed(error.code)), ctx);
            }
            Report::Exited(status) => {
                log_end(self.config.name.as_str(), status);
                self.process_ended();
                self.happened(Event::Ended(RunEnd::Exited(status)), ctx);
            }
        }
    }
}

pub(crate) fn log_end(name: &str, status: ExitStatus) {
    match status {
        ExitStatus::Code(0) | ExitStatus::Signal(Signal::TERM) => {
            tracing::debug!(logger = %name, "ended with {status}");
        }
        ExitStatus::Code(_) => tracing::info!(logger = %name, "ended with {status}"),
        ExitStatus::Signal(_) => tracing::error!(logger = %name, "ended by {status}"),
    }
}
