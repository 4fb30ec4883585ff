//! The actor of a socket, and the events that it publishes if somebody waits for them.

use std::io;

use coproc_core::broker::{BrokerPlace, Publish};
use coproc_core::event::{Event, EventName, ExecChange};
use coproc_core::exit::ExitStatus;
use coproc_core::service::{Service, ServiceActor, Started};
use tokio::sync::mpsc;

use crate::server::{Bound, Happened};

/// How many events may wait for the broker; further ones are passed over.
const EVENTS: usize = 1024;

/// Has one socket served.
pub type ExecActor = ServiceActor<ExecService>;

/// A socket to be served.
#[derive(Clone, Debug)]
pub struct ExecService {
    /// Which.
    pub bound: Bound,
    /// Whether anybody waits for `exec.started` and `exec.exited`.
    pub publishes: bool,
}

impl Service for ExecService {
    fn start(&self, broker: &BrokerPlace) -> io::Result<Started> {
        let (sender, receiver) = self.publishes.then(|| mpsc::channel(EVENTS)).unzip();
        let threads = self.bound.start(sender)?;
        let publisher = receiver.map(|happened| {
            let (broker, socket) = (broker.clone(), self.bound.served.config.name.clone());
            actix_rt::spawn(publish(happened, broker, socket.to_string()))
        });
        Ok(Started { threads, publisher })
    }

    fn close(&self) {
        self.bound.listener.refuse();
    }

    fn cannot_start(&self, error: &io::Error) {
        tracing::error!(target: "exec", "{}: cannot be served: {error}", self.bound.name());
    }
}

async fn publish(mut happened: mpsc::Receiver<Happened>, broker: BrokerPlace, socket: String) {
    while let Some(happened) = happened.recv().await {
        broker.borrow().do_send(Publish::new(event(&socket, happened)));
    }
}

fn event(socket: &str, happened: Happened) -> Event {
    let new = |change| Event::new(EventName::Exec(change)).with("socket", socket);
    match happened {
        Happened::Started { pid, program, uid } => {
            new(ExecChange::Started).with("pid", pid).with("program", &*program).with("uid", uid)
        }
        Happened::Exited { pid, program, status, timed_out } => {
            let event = new(ExecChange::Exited).with("pid", pid).with("program", &*program);
            let event = match status {
                Some(ExitStatus::Code(code)) => event.with("code", code),
                Some(ExitStatus::Signal(signal)) => event.with("signal", signal.to_string()),
                None => event,
            };
            event.with("timed_out", timed_out)
        }
    }
}
