//! One life of the main process: its launch, what is heard of it, and its end.

use std::time::{Duration, SystemTime};

use actix::{AsyncContext, Context, Handler, Message};
use coproc_core::event::Phase;
use coproc_core::exit::ExitStatus;
use coproc_core::probe::{Role, attach};
use coproc_core::process::{Launcher, Process, Report, SpawnError, launch};
use tokio::time::Instant;

use crate::actor::MainActor;
use crate::config::Main;
use crate::messages::{MainNews, Start};
use crate::nginx::News;
use crate::reload::Input;
use crate::tap::Heard;

/// How long nginx may take until its first worker, before its silence is worth a word.
const SILENCE: Duration = Duration::from_secs(5);

/// A process that is gone.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pid: i32,
    status: ExitStatus,
    lived: Duration,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reported(Report);

impl Handler<Start> for MainActor {
    type Result = ();

    fn handle(&mut self, Start: Start, ctx: &mut Context<Self>) {
        self.note_time();
        let mut command = self.command(ctx);
        let me = ctx.address();
        let Launcher { output, scope, .. } = &self.surroundings.launcher;
        let Main { ready, live, exec, .. } = &*self.config;
        let launched = attach(ready.as_ref(), live.as_ref(), &mut command, scope, output)
            .map_err(|error| SpawnError::descriptors(&exec[0], &error))
            .and_then(|attached| {
                let report = move |report| me.do_send(Reported(report));
                Ok((launch(command, output, report)?, attached))
            });
        match launched {
            Ok((process, attached)) => {
                self.attached = Some(attached);
                // As configured: what is interpolated may be a secret.
                let shown = self.config.exec.join(" ");
                tracing::debug!(target: "pm", "started `{shown}` as {}", process.pid());
                self.open_streams = 2;
                self.since = Some(Instant::now());
                self.launched = Some(SystemTime::now());
                self.process = Some(process);
                let mut reloads = self.surroundings.reloads.get();
                reloads.generation = 1;
                self.surroundings.reloads.set(reloads);
                self.watch_files();
                if let Some(within) = self.config.ready.as_ref().and_then(|probe| probe.within) {
                    self.ready_timer = Some(ctx.run_later(within, move |actor, _| {
                        actor.ready_timer = None;
                        let within = humantime::format_duration(within);
                        actor.unfit(&format!("was not ready within {within}"), Role::Ready);
                    }));
                }
            }
            Err(error) => self.surroundings.parent.do_send(MainNews::Failed(error)),
        }
    }
}

impl Handler<Reported> for MainActor {
    type Result = ();

    fn handle(&mut self, Reported(report): Reported, ctx: &mut Context<Self>) {
        match report {
            Report::Running => {
                if self.is_nginx() {
                    ctx.run_later(SILENCE, |actor, _| actor.warn_of_silence());
                }
                if !self.is_nginx() && self.config.ready.is_none() {
                    self.is_ready(ctx);
                }
                self.watch(ctx);
            }
            Report::Failed(error) => {
                self.process = None;
                self.end_probes(ctx);
                self.surroundings.parent.do_send(MainNews::Failed(error));
            }
            Report::Exited(status) => {
                let pid = self.process.take().map_or(0, |process| process.pid());
                self.watch_files();
                self.end_probes(ctx);
                self.reload_input(Input::MainGone, ctx);
                let lived = self.since.map_or(Duration::ZERO, |since| since.elapsed());
                self.ended = Some(Ended { pid, status, lived });
                if self.open_streams == 0 {
                    self.tell_end();
                } else {
                    // A stranger may hold the pipe open for ever.
                    let limit = self.surroundings.drain_timeout;
                    ctx.run_later(limit, |actor, _| actor.tell_end());
                }
            }
        }
    }
}

impl Handler<Heard> for MainActor {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        let fact = match heard {
            Heard::Closed => {
                self.open_streams = self.open_streams.saturating_sub(1);
                if self.open_streams == 0 {
                    self.tell_end();
                }
                return;
            }
            Heard::Begun => return self.foreground.spoke(),
            Heard::Fact(fact) => fact,
        };
        let pid = self.process.as_ref().map(Process::pid).or(self.ended.map(|ended| ended.pid));
        if pid != Some(fact.pid) {
            self.foreground.take_strange(&fact);
            return;
        }
        self.foreground.take(&fact);
        for event in self.workers.take(&fact, self.reloading.machine.expects_workers()) {
            if event.phase() == Some(Phase::Start) {
                self.started = true;
                self.ready |= self.config.ready.is_none();
            }
            self.publish(match event.phase() {
                Some(Phase::Reload) => event.with("generation", self.reload_number()),
                _ => event,
            });
        }
        match fact.news {
            News::Announced => self.reload_input(Input::Announced, ctx),
            News::WorkerStarted(_) => self.reload_input(Input::WorkerStarted, ctx),
            News::Emergency(why) => self.reload_input(Input::Refused(why), ctx),
            News::Began | News::Exits | News::WorkerExited(_) => {}
        }
    }
}

impl MainActor {
    /// Says why nothing happens on `start`, if nginx logs where its lines cannot be heard.
    fn warn_of_silence(&self) {
        if self.process.is_some() && !self.stopping && !self.started {
            tracing::warn!(target: "pm", "nginx has announced no workers: `start`, the events of workers and reloads need `error_log stderr notice;`");
        }
    }

    /// The end is told once the process is gone and both streams are read, or time is over.
    fn tell_end(&mut self) {
        let Some(Ended { pid, status, lived }) = self.ended.take() else { return };
        let daemonised = self.is_nginx()
            && !self.stopping
            && status.success()
            && self.foreground.was_left(self.open_streams > 0, lived);
        self.surroundings.parent.do_send(MainNews::Exited { pid, status, daemonised });
    }
}
