//! What the root answers to clients of the control socket.

use actix::{Context, Handler};
use coproc_control::request::{Ask, Order, Refused, Request};
use coproc_coprocess::actor::CoprocessActor;
use coproc_coprocess::config::Restarts;
use coproc_coprocess::lifecycle::{State, Wanted};
use coproc_coprocess::messages::Command;
use coproc_coprocess::standing::{SharedStanding, Standing};
use coproc_core::broker::Publish;
use coproc_core::duration::GoDuration;
use coproc_core::event::{Event, EventName};
use coproc_core::flag::Flag;
use coproc_core::name::{MAIN, Name, NameError};
use coproc_core::scalar::Scalar;
use coproc_core::signal::Signal;
use coproc_main::config::Kind;
use coproc_main::messages::{self as main_process, MainStatus, Pass};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::children::Supervised;
use super::lifecycle::Stage;
use super::root::Root;

/// Resolves once a coprocess's actor has taken a command.
pub(super) type Taken = actix::dev::Request<CoprocessActor, Command>;
pub(super) type Reply = oneshot::Sender<Result<Value, Refused>>;

impl Handler<Ask> for Root {
    type Result = ();

    fn handle(&mut self, Ask { request, reply }: Ask, ctx: &mut Context<Self>) {
        let answer = match request {
            Request::Status(name) => return self.status(name, reply),
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

    pub(super) fn main_status(&self) -> impl Future<Output = MainStatus> + 'static {
        let asked = self.main.as_ref().map(|main| main.send(main_process::Status));
        async move {
            match asked {
                Some(asked) => asked.await.unwrap_or_default(),
                None => MainStatus { state: "stopped", ..Default::default() },
            }
        }
    }
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
