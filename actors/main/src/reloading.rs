//! What the actor of the main process does for a reload: it carries out the machine's effects and
//! answers who asked.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message, SpawnHandle};
use coproc_core::broker::Publish;
use coproc_core::event::{Event, Phase};
use coproc_core::output::Kind as Lines;
use coproc_core::process::{Command, Taps};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::actor::MainActor;
use crate::check;
use crate::config::{Check, Kind, Main};
use crate::messages::{Reconfigure, ReloadMain};
use crate::reload::{Effect, Input, Reload};
use crate::successors::{self, Worker};
use crate::time::now_in_go;

/// How often new workers are looked for after the signal. Mostly the log tells of them before.
const LOOK: Duration = Duration::from_millis(200);

type Waiter = oneshot::Sender<Result<(), String>>;

/// The reload that is under way, and who waits for it.
pub(crate) struct Reloading {
    pub(crate) machine: Reload,
    /// Why the latest was asked for.
    cause: String,
    timer: Option<SpawnHandle>,
    /// The check that goes on; its program ends with it.
    check: Option<JoinHandle<()>>,
    /// Whether it is done without a line in the log that says so.
    unheard: bool,
    /// Who waits for the one that is under way.
    waiters: Vec<Waiter>,
    /// Who asked too late for it, and waits for the next.
    next_waiters: Vec<Waiter>,
}

impl Reloading {
    pub(crate) fn new(config: &Main) -> Self {
        let confirms = config.kind == Kind::Nginx;
        Self {
            machine: Reload::new(config.reload_timeout, confirms, config.check != Check::Off),
            cause: String::new(),
            timer: None,
            check: None,
            unheard: false,
            waiters: Vec::new(),
            next_waiters: Vec::new(),
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Prepared(Result<(), String>);

/// Asks whether a reload is being prepared still.
#[derive(Message)]
#[rtype(result = "bool")]
struct StillPreparing;

/// The check of what was prepared is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Checked(Result<(), String>);

impl MainActor {
    pub(crate) fn reload_input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let (reload, effects) = self.reloading.machine.step(input, Instant::now());
        self.reloading.machine = reload;
        for effect in effects {
            let mut tally = self.surroundings.reloads.get();
            tally.take(&effect);
            self.surroundings.reloads.set(tally);
            self.perform(effect, ctx);
        }
        if let Some(timer) = self.reloading.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(deadline) = self.reloading.machine.deadline() {
            let pause = deadline.saturating_duration_since(Instant::now());
            self.reloading.timer = Some(ctx.run_later(pause, |actor, ctx| {
                actor.reloading.timer = None;
                actor.reload_input(Input::Timer, ctx);
            }));
        }
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Prepare => {
                let (done, worked_off) = oneshot::channel();
                let event = Event::new(Phase::PreReload)
                    .with("reload_cause", self.reloading.cause.clone())
                    .with("reload", self.reload_number());
                self.broker.do_send(Publish { event, done: Some(done) });
                let me = ctx.address();
                let preparation = self.surroundings.preparation.clone();
                actix_rt::spawn(async move {
                    // A broker that died has let go of the event as well.
                    let _ = worked_off.await;
                    // Nothing is prepared for a reload that was given up meanwhile.
                    let prepared = match preparation {
                        Some(preparation) if me.send(StillPreparing).await.unwrap_or(false) => {
                            let died = || Err("what precedes a reload broke off".to_owned());
                            preparation.begin().await.unwrap_or_else(|_| died())
                        }
                        _ => Ok(()),
                    };
                    me.do_send(Prepared(prepared));
                });
            }
            Effect::Check => self.check(ctx),
            Effect::EndCheck => {
                if let Some(check) = self.reloading.check.take() {
                    check.abort();
                }
            }
            Effect::Signal => {
                self.note_time();
                if let Some(process) = &self.process {
                    let before = successors::workers(process.pid());
                    process.signal_leader(self.config.reload_signal);
                    if self.is_nginx() {
                        self.look_for_workers(before, ctx);
                    }
                }
            }
            Effect::Done => {
                // Else it was published with the line that told of it.
                if (!self.is_nginx() || self.reloading.unheard)
                    && let Some(process) = &self.process
                {
                    let event = Event::new(Phase::Reload).with("pid", process.pid());
                    let generation = self.surroundings.reloads.get().generation;
                    self.publish(event.with("generation", generation));
                }
                self.settle(true);
                tracing::debug!(target: "pm", "reload done");
                self.tell_reload(&Ok(()));
            }
            Effect::Refused(why) | Effect::GivenUp(why) => {
                self.settle(false);
                self.failed(why);
            }
            Effect::Failed(why) => {
                // One that only said nothing may have taken what was prepared.
                self.settle(true);
                self.failed(why);
            }
        }
    }

    /// The number of the reload that is under way.
    pub(crate) fn reload_number(&self) -> u64 {
        self.surroundings.reloads.get().number()
    }

    fn failed(&mut self, why: String) {
        let reloads = self.surroundings.reloads.get();
        // It was counted already.
        let mut why = format!("reload {}: {why}", reloads.number() - 1);
        if self.process.is_some() && !self.stopping {
            why.push_str(&format!("; still serving generation {}", reloads.generation));
        }
        tracing::error!(target: "pm", "reload failed, the old configuration stays: {why}");
        self.tell_reload(&Err(why));
    }

    /// Looks for new workers from time to time, as long as it is not known whether there are any.
    fn look_for_workers(&self, before: Vec<Worker>, ctx: &mut Context<Self>) {
        let number = self.reload_number();
        ctx.run_later(LOOK, move |actor, ctx| {
            let machine = &actor.reloading.machine;
            let Some(process) = actor.process.as_ref().filter(|_| machine.is_signalled()) else {
                return;
            };
            // Of another reload by now.
            if actor.reload_number() != number {
                return;
            }
            if !successors::have_taken_over(&before, &successors::workers(process.pid())) {
                return actor.look_for_workers(before, ctx);
            }
            actor.reloading.unheard = true;
            actor.reload_input(Input::Confirmed, ctx);
            actor.reloading.unheard = false;
        });
    }

    /// Runs the check beside the main process.
    fn check(&mut self, ctx: &mut Context<Self>) {
        let Some(words) = self.config.check() else { return };
        let name: Arc<str> = format!("check-{}", self.config.kind.logger()).into();
        // As configured: what is interpolated may be a secret.
        let shown = words.join(" ");
        tracing::debug!(target: "pm", "checking the configuration with `{shown}`");
        let command = self.command_of(&words, name, Taps::default());
        let output = self.surroundings.launcher.output.clone();
        let limits = check::Limits {
            run: self.config.check_timeout,
            drain: self.surroundings.drain_timeout,
        };
        let me = ctx.address();
        self.reloading.check = Some(actix_rt::spawn(async move {
            // What matters of it is told with the refusal.
            let command = |taps| Command { taps, kind: Lines::Aside, ..command };
            me.do_send(Checked(check::check(command, &shown, &output, limits).await));
        }));
    }

    /// Says whether what was prepared stays, if nothing was said before.
    fn settle(&self, taken: bool) {
        if let Some(preparation) = &self.surroundings.preparation {
            preparation.settle(taken);
        }
    }

    /// Without a preparation the time of a reload is that of its signal.
    pub(crate) fn note_time(&self) {
        if self.surroundings.preparation.is_none() {
            self.surroundings.launcher.scope.reloaded(now_in_go());
        }
    }

    fn tell_reload(&mut self, outcome: &Result<(), String>) {
        let mut told = std::mem::take(&mut self.reloading.waiters);
        self.reloading.waiters = std::mem::take(&mut self.reloading.next_waiters);
        if self.reloading.machine.is_idle() {
            // No other reload follows, since the main process is going.
            told.append(&mut self.reloading.waiters);
        }
        for waiter in told {
            // One who hung up does not want to know.
            let _ = waiter.send(outcome.clone());
        }
    }
}

impl Handler<ReloadMain> for MainActor {
    type Result = ();

    fn handle(&mut self, ReloadMain { cause, done }: ReloadMain, ctx: &mut Context<Self>) {
        if self.process.is_none() || self.stopping {
            let why = match self.stopping {
                true => "the main process is stopping",
                false => "the main process has not been started yet",
            };
            tracing::info!(target: "pm", "reload ignored: {why}");
            if let Some(done) = done {
                let _ = done.send(Err(why.to_owned()));
            }
            return;
        }
        tracing::info!(target: "pm", "{cause}");
        self.reloading.cause = cause;
        match self.reloading.machine.takes_requests() {
            true => self.reloading.waiters.extend(done),
            false => self.reloading.next_waiters.extend(done),
        }
        self.reload_input(Input::Asked, ctx);
    }
}

impl Handler<Reconfigure> for MainActor {
    type Result = ();

    fn handle(&mut self, Reconfigure(config): Reconfigure, _: &mut Context<Self>) {
        let checks = config.check != Check::Off;
        self.reloading.machine = self.reloading.machine.changed(config.reload_timeout, checks);
        let watches =
            (&config.watch, config.watch_delay) != (&self.config.watch, self.config.watch_delay);
        self.config = Rc::new(*config);
        if watches {
            self.watch_files();
        }
    }
}

impl Handler<Prepared> for MainActor {
    type Result = ();

    fn handle(&mut self, Prepared(outcome): Prepared, ctx: &mut Context<Self>) {
        let input = match outcome {
            Ok(()) => Input::Prepared,
            Err(why) => Input::PrepareFailed(why),
        };
        self.reload_input(input, ctx);
    }
}

impl Handler<Checked> for MainActor {
    type Result = ();

    fn handle(&mut self, Checked(outcome): Checked, ctx: &mut Context<Self>) {
        self.reloading.check = None;
        let input = match outcome {
            Ok(()) => Input::Approved,
            Err(why) => Input::Disapproved(why),
        };
        self.reload_input(input, ctx);
    }
}

impl Handler<StillPreparing> for MainActor {
    type Result = bool;

    fn handle(&mut self, StillPreparing: StillPreparing, ctx: &mut Context<Self>) -> bool {
        self.reload_input(Input::Reading, ctx);
        self.reloading.machine.is_preparing()
    }
}
