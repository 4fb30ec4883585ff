//! What the root answers to clients of the control socket.

use std::time::{Duration, SystemTime};

use actix::{Context, Handler};
use coproc_control::request::{Ask, Health, Order, Refused, Request};
use coproc_coprocess::actor::CoprocessActor;
use coproc_coprocess::config::Restarts;
use coproc_coprocess::lifecycle::{RunEnd, State, Wanted};
use coproc_coprocess::messages::Command;
use coproc_coprocess::standing::{SharedStanding, Standing};
use coproc_core::broker::Publish;
use coproc_core::duration::GoDuration;
use coproc_core::event::{Event, EventName};
use coproc_core::exit::ExitStatus;
use coproc_core::flag::Flag;
use coproc_core::name::{MAIN, Name, NameError};
use coproc_core::probe::Role;
use coproc_core::scalar::Scalar;
use coproc_core::signal::Signal;
use coproc_gateway::server::shown;
use coproc_main::config::Kind;
use coproc_main::messages::{self as main_process, MainStatus, Pass};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::children::{Coordinating, Gatekeeping, Served, Supervised};
use super::lifecycle::Stage;
use super::root::Root;

/// Resolves once a coprocess's actor has taken a command.
pub(super) type Taken = actix::dev::Request<CoprocessActor, Command>;
pub(super) type Reply = oneshot::Sender<Result<Value, Refused>>;

impl Handler<Ask> for Root {
    type Result = ();

    fn handle(&mut self, Ask { request, reply }: Ask, ctx: &mut Context<Self>) {
        let answer = match request {
            Request::Status => return self.status(reply),
            Request::Health(health) => return self.health(health, reply),
            Request::Why(name) => return self.why(name, reply),
            Request::Plan => self.plan(),
            Request::Metrics => return self.metrics(reply),
            Request::Reload => return self.answer_reload(reply),
            Request::Order(name, order) if !self.replicas(&name).is_empty() => {
                return self.order_all(name, order, reply);
            }
            Request::Reconfigure { apply } => return self.reconfigure(apply, reply, ctx),
            Request::Order(name, order) => match self.order(&name, order) {
                Ok((standing, taken)) => {
                    return answer_when_settled(name, standing, taken, order, reply);
                }
                Err(refused) => Err(refused),
            },
            Request::Set(name, changes) => self.set(&name, &changes),
            Request::Signal(name, signal) => self.signal(&name, signal),
            Request::Emit(name) => self.emit(&name),
            Request::Wait(name, until) => return self.wait(name, until, reply),
            Request::Keys(order) => return self.keys(order, reply),
            Request::LoggersOf(name) if name == MAIN => Ok(json!([self.config.main.kind.logger()])),
            Request::LoggersOf(name) => self.all_of(&name).map(|all| {
                all.iter().map(|child| Value::from(child.config.name.as_str())).collect()
            }),
        };
        // A client that hung up does not want to know.
        let _ = reply.send(answer);
    }
}

impl Root {
    fn unknown(&self, name: &str) -> Refused {
        let names: Vec<_> =
            self.coprocesses.iter().map(|child| format!("`{}`", child.config.name)).collect();
        let known = match names.is_empty() {
            true => "there are none".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        Refused::new(404, format!("there is no coprocess `{name}`; {known}"))
    }

    pub(super) fn find(&self, name: &str) -> Result<&Supervised, Refused> {
        self.coprocesses
            .iter()
            .find(|child| child.config.name.as_str() == name)
            .ok_or_else(|| self.unknown(name))
    }

    fn command(&self, name: &str, command: Command) -> Result<&Supervised, Refused> {
        let child = self.find(name)?;
        match &child.actor {
            Some(actor) => {
                actor.do_send(command);
                Ok(child)
            }
            None => Err(being_rebuilt(name)),
        }
    }

    /// Gives an order; the future is over once the actor has taken it.
    fn order(&self, name: &str, order: Order) -> Result<(SharedStanding, Taken), Refused> {
        if name == MAIN {
            let why = "the main process is stopped by a signal to the wrapper, not by name";
            return Err(Refused::new(409, why));
        }
        let command = command_of(order);
        let child = self.find(name)?;
        match &child.actor {
            Some(actor) => Ok((child.standing.clone(), actor.send(command))),
            None => Err(being_rebuilt(name)),
        }
    }

    fn set(&self, name: &str, changes: &[(String, String)]) -> Result<Value, Refused> {
        fn read<T: Scalar>(key: &str, text: &str) -> Result<T, Refused> {
            T::read(text).ok_or_else(|| {
                let why = format!("{key}: {}; expected {}", T::complaint(text), T::EXPECTED);
                Refused::new(400, why)
            })
        }
        // All are read before any is applied.
        let commands = changes
            .iter()
            .map(|(key, text)| match key.as_str() {
                "restarts" => read::<Restarts>(key, text).map(Command::SetRestarts),
                "time_between_restarts" => {
                    read::<GoDuration>(key, text).map(|pause| Command::SetPause(pause.pause()))
                }
                "background" => read::<Flag>(key, text).map(|flag| Command::SetBackground(flag.0)),
                other => Err(Refused::new(
                    400,
                    format!(
                        "`{other}` cannot be changed while it runs; \
                             `restarts`, `time_between_restarts` and `background` can"
                    ),
                )),
            })
            .collect::<Result<Vec<_>, _>>()?;
        for name in self.meant_by(name) {
            for command in &commands {
                self.command(&name, *command)?;
            }
        }
        let changed: serde_json::Map<_, _> =
            changes.iter().map(|(key, text)| (key.clone(), text.clone().into())).collect();
        Ok(json!({ "name": name, "set": changed }))
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<Value, Refused> {
        let mut runs = false;
        if name == MAIN {
            runs = self.main.is_some() && self.wrapper.stage() == Stage::Running;
            if let (true, Some(main)) = (runs, &self.main) {
                main.do_send(Pass(signal));
            }
        } else {
            for name in self.meant_by(name) {
                if self.find(&name)?.standing.borrow().pid.is_some() {
                    self.command(&name, Command::Signal(signal))?;
                    runs = true;
                }
            }
        }
        if !runs {
            return Err(Refused::new(409, format!("`{name}` does not run")));
        }
        Ok(json!({ "name": name, "signal": signal.to_string() }))
    }

    /// The coprocesses that a name stands for: replicas, or one.
    pub(super) fn meant_by(&self, name: &str) -> Vec<String> {
        let replicas = self.replicas(name);
        match replicas.is_empty() {
            true => vec![name.to_owned()],
            false => replicas.iter().map(|child| child.config.name.to_string()).collect(),
        }
    }

    fn emit(&self, name: &str) -> Result<Value, Refused> {
        match name.parse::<Name>() {
            Ok(_) | Err(NameError::Taken) => {}
            Err(error) => return Err(Refused::new(400, format!("the name {error}"))),
        }
        let event = EventName::Custom(name.to_owned());
        let shown = event.to_string();
        match &self.broker {
            Some(broker) => broker.do_send(Publish::new(Event::new(event))),
            None => return Err(Refused::new(503, "the broker is being rebuilt")),
        }
        Ok(json!({ "event": shown }))
    }

    fn answer_reload(&self, reply: Reply) {
        if self.config.main.kind == Kind::None {
            let reloaded = [self.reload_gateway(), self.reread_tokens()];
            if reloaded.iter().all(Option::is_none) {
                let _ = reply.send(Err(Refused::new(409, "there is no main process")));
                return;
            }
            actix_rt::spawn(async move {
                let mut answer = Ok(json!({ "reloaded": true }));
                for reloaded in reloaded.into_iter().flatten() {
                    if reloaded.await.is_err() {
                        answer = Err(Refused::new(503, "what is reloaded cannot be read just now"));
                    }
                }
                let _ = reply.send(answer);
            });
            return;
        }
        let (done, outcome) = oneshot::channel();
        self.reload("a reload was asked for on the control socket".to_owned(), Some(done));
        actix_rt::spawn(async move {
            let answer = match outcome.await {
                Ok(Ok(())) => Ok(json!({ "reloaded": true })),
                Ok(Err(why)) => Err(Refused::new(409, why)),
                Err(_) => Err(Refused::new(503, "the main process is gone")),
            };
            let _ = reply.send(answer);
        });
    }

    fn status(&self, reply: Reply) {
        let coprocesses: Vec<_> = self.coprocesses.iter().map(status_of).collect();
        let last_exit = self.main_exit;
        let exec_sockets: Vec<_> = self.exec_sockets.iter().map(exec_socket_of).collect();
        let coordinator = self.coordinator.as_ref().map(coordinator_of);
        let gateway = self.gateway.as_ref().map(gateway_of);
        let dropped = self.output.dropped();
        let forwarded = self.forwarded.clone();
        let answer = move |main: Value| {
            let mut status = json!({ "main": main, "coprocesses": coprocesses });
            for (name, lines) in dropped.iter() {
                status["dropped_lines"][&**name] = (*lines).into();
            }
            for one in &forwarded {
                let [sent, dropped] = one.sums();
                status["forwarded_lines"][&one.name] = json!({ "sent": sent, "dropped": dropped });
            }
            if !exec_sockets.is_empty() {
                status["exec_sockets"] = exec_sockets.into();
            }
            if let Some(coordinator) = coordinator {
                status["coordinator"] = coordinator;
            }
            if let Some(gateway) = gateway {
                status["gateway"] = gateway;
            }
            Ok(status)
        };
        if self.config.main.kind == Kind::None {
            let _ = reply.send(answer(Value::Null));
            return;
        }
        let main = self.main_status();
        actix_rt::spawn(async move {
            let main = main.await;
            let mut status = json!({
                "state": main.state,
                "pid": main.pid,
                "uptime_s": main.uptime.map(seconds),
                "ready": main.ready,
                "probes": probes(&main.wrong),
                "status": main.status,
                "generation": (main.generation > 0).then_some(main.generation),
                "cpu_s": main.pid.and_then(processor_time),
                "memory_bytes": main.pid.and_then(memory),
            });
            if let Some(exit) = last_exit {
                status["last_exit"] = exit_json(exit);
            }
            let _ = reply.send(answer(status));
        });
    }

    pub(super) fn main_status(&self) -> impl Future<Output = MainStatus> + 'static {
        let asked = self.main.as_ref().map(|main| main.send(main_process::Status));
        async move {
            match asked {
                Some(asked) => asked.await.unwrap_or_default(),
                None => MainStatus { state: "stopped", ..Default::default() },
            }
        }
    }

    /// Answers with each that is not well.
    fn health(&self, health: Health, reply: Reply) {
        let coprocesses: Vec<_> =
            self.coprocesses.iter().filter_map(|child| culprit(child, health)).collect();
        let none = self.config.main.kind == Kind::None;
        let main = self.main_status();
        actix_rt::spawn(async move {
            let main = main.await;
            let amiss = match health {
                _ if none => false,
                Health::Alive => matches!(main.state, "stopping" | "stopped"),
                Health::Ready => main.state != "running" || !main.ready,
            };
            let what = if main.state == "running" { "not ready" } else { main.state };
            let main = amiss.then(|| blame(MAIN, what, main.wrong[0].as_deref()));
            let culprits: Vec<_> = main.into_iter().chain(coprocesses).collect();
            let _ = reply.send(Ok(culprits.into()));
        });
    }
}

/// What the coordinator does, and who registered for which tasks.
fn coordinator_of(coordinator: &Coordinating) -> Value {
    let bound = &coordinator.bound;
    let config = bound.config();
    let figures = serde_json::to_value(bound.figures()).unwrap_or_default();
    json!({
        "service_name": config.service_name,
        "socket_dir": config.socket_dir.display().to_string(),
        "internal": config.internal().display().to_string(),
        "external": bound.address().map(|address| format!("http://{address}/")),
        "figures": figures,
        "nats_up": bound.is_sharing(),
        "tasks": serde_json::to_value(bound.tasks()).unwrap_or_default(),
    })
}

/// Where the gateway listens, what it serves and what it does.
fn gateway_of(gateway: &Gatekeeping) -> Value {
    let bound = &gateway.bound;
    let apis = bound
        .apis()
        .into_iter()
        .map(|(path, api)| json!({ "path": path, "name": api.name, "id": api.id }));
    json!({
        "listen": bound.listen().iter().map(shown).collect::<Vec<_>>(),
        "apis": apis.collect::<Vec<_>>(),
        "figures": serde_json::to_value(bound.figures()).unwrap_or_default(),
    })
}

/// What is to be said of a coprocess that is not well.
fn culprit(child: &Supervised, health: Health) -> Option<Value> {
    let standing = child.standing.borrow();
    let amiss = match health {
        Health::Alive => standing.is_lost(),
        Health::Ready => standing.is_amiss(),
    };
    let state = standing.machine.state.to_string();
    let what = match standing.machine.state {
        State::Running { .. } => "not ready",
        _ => &state,
    };
    let wrong = standing.notes.wrong(Role::Ready);
    amiss.then(|| blame(child.config.name.as_str(), what, wrong.as_deref()))
}

fn blame(name: &str, what: &str, why: Option<&str>) -> Value {
    json!({ "name": name, "what": what, "why": why })
}

/// What probes find wrong, by the key of the probe; null where all is well.
fn probes(wrong: &[Option<String>; 2]) -> Value {
    let mut probes = serde_json::Map::new();
    for (role, wrong) in [Role::Ready, Role::Live].into_iter().zip(wrong) {
        if let Some(wrong) = wrong {
            probes.insert(role.key().to_owned(), wrong.as_str().into());
        }
    }
    if probes.is_empty() { Value::Null } else { probes.into() }
}

pub(super) fn being_rebuilt(name: &str) -> Refused {
    Refused::new(503, format!("the actor of `{name}` is being rebuilt"))
}

/// Answers once the order is carried out, or has come to another end.
fn answer_when_settled(
    name: String,
    standing: SharedStanding,
    taken: Taken,
    order: Order,
    reply: Reply,
) {
    actix_rt::spawn(async move {
        let state = settle(&standing, taken, order).await;
        let failed = state == "failed" || state == "backoff";
        let _ = reply.send(match order {
            Order::Start | Order::Restart if failed => {
                Err(Refused::new(409, format!("`{name}` does not run: it is in state {state}")))
            }
            _ => Ok(json!({ "name": name, "state": state })),
        });
    });
}

/// Waits until an order is carried out, or has come to another end; gives the state then.
pub(super) async fn settle(standing: &SharedStanding, taken: Taken, order: Order) -> String {
    let mut changes = standing.borrow().watch();
    // An actor that dies first leaves the order to the one that is built in its place.
    let _ = taken.await;
    loop {
        if let Some(state) = settled(&standing.borrow(), order) {
            return state;
        }
        if changes.changed().await.is_err() {
            return "gone".to_owned();
        }
    }
}

/// What a coprocess is told by an order.
pub(super) fn command_of(order: Order) -> Command {
    match order {
        Order::Start => Command::Start,
        Order::Stop => Command::Stop,
        Order::Restart => Command::Restart,
        Order::Background => Command::SetBackground(true),
        Order::Foreground => Command::SetBackground(false),
    }
}

/// The state, if there is nothing left to wait for.
pub(super) fn settled(standing: &Standing, order: Order) -> Option<String> {
    let state = &standing.machine.state;
    let settled = match order {
        Order::Background | Order::Foreground => true,
        _ if standing.pending > 0 => false,
        Order::Start | Order::Restart => match state {
            State::Running { .. } | State::Failed(_) | State::Stopped => true,
            State::Backoff { .. } => true,
            State::Waiting | State::Starting { .. } | State::Stopping { .. } => false,
        },
        // Somebody else may want it up again meanwhile.
        Order::Stop => standing.machine.is_ended() || standing.machine.wanted == Wanted::Up,
    };
    settled.then(|| state.to_string())
}

fn status_of(child: &Supervised) -> Value {
    let standing = child.standing.borrow();
    let uptime = standing
        .started
        .filter(|_| standing.pid.is_some())
        .and_then(|started| SystemTime::now().duration_since(started).ok());
    let last_exit = standing.last_exit.map(|(end, at)| {
        let mut value = match end {
            RunEnd::Exited(status) | RunEnd::Unfit(_, status) => exit_json(status),
            RunEnd::SpawnFailed(code) => json!({ "code": code }),
        };
        if let RunEnd::Unfit(unfit, _) = end {
            value["why"] = unfit.as_str().into();
        }
        value["at"] = humantime::format_rfc3339_millis(at).to_string().into();
        value
    });
    json!({
        "name": child.config.name.as_str(),
        "replica_of": child.config.replica.as_ref().map(|replica| replica.of.as_str()),
        "state": standing.machine.state.to_string(),
        "pid": standing.pid,
        "background": standing.policy.background,
        "policy": standing.policy.restarts.to_string(),
        "restarts": standing.machine.restarts,
        "uptime_s": uptime.map(seconds),
        "next_run": standing.agenda.next.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
        "ready": standing.is_ready(),
        "probes": probes(&[Role::Ready, Role::Live].map(|role| standing.notes.wrong(role))),
        "status": standing.notes.status(),
        "last_exit": last_exit,
        "cpu_s": standing.pid.and_then(processor_time),
        "memory_bytes": standing.pid.and_then(memory),
    })
}

fn exec_socket_of(served: &Served) -> Value {
    let figures = served.bound.figures().snapshot();
    let runs: Vec<_> = figures
        .runs
        .iter()
        .map(|run| {
            json!({
                "pid": run.pid,
                "program": &*run.program,
                "uid": run.uid,
                "peer_pid": run.peer,
                "uptime_s": seconds(run.started.elapsed()),
            })
        })
        .collect();
    json!({
        "name": served.bound.name(),
        "path": served.bound.path().display().to_string(),
        "connected": figures.connected,
        "max_connections": served.bound.max_connections(),
        "accepted": figures.accepted,
        "refused": figures.refused,
        "started": figures.started,
        "exec_failed": figures.exec_failed,
        "timed_out": figures.timed_out,
        "killed": figures.killed,
        "protocol_errors": figures.protocol_errors,
        "bytes_in": figures.bytes_in,
        "bytes_out": figures.bytes_out,
        "running": runs,
    })
}

fn exit_json(status: ExitStatus) -> Value {
    match status {
        ExitStatus::Code(code) => json!({ "code": code }),
        ExitStatus::Signal(signal) => json!({ "signal": signal.to_string() }),
    }
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The seconds of processor time that a process has used.
fn processor_time(pid: i32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let used = ticks()? + ticks()?;
    Some(seconds(Duration::from_secs_f64(
        used as f64 / rustix::param::clock_ticks_per_second() as f64,
    )))
}

/// The resident memory of a process.
pub(super) fn memory(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
