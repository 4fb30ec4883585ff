//! What the root tells of the tree to those who measure it.

use std::time::SystemTime;

use coproc_control::metrics::{
    Coordinator, Coprocess, ExecSocket, Facts, Gateway, GatewayApi, GatewayHook, Log, Main, Run,
    Times, Wrapper, render,
};
use coproc_coprocess::lifecycle::State;
use coproc_core::output;
use coproc_gateway::figures::{BOUNDS_US, Histogram};
use coproc_main::messages::MainStatus;

use super::children::{Coordinating, Served, Supervised};
use super::control::Reply;
use super::root::Root;
use super::status::memory;
use crate::commands::{COMMIT, VERSION};

impl Root {
    /// Answers with all facts of this moment, as a text.
    pub(super) fn metrics(&self, reply: Reply) {
        let reloads = self.reloads.get();
        let output::Tally { lines, missed, dropped } = self.output.tally();
        let dropped_of =
            self.output.dropped().iter().map(|(name, sum)| (name.to_string(), *sum)).collect();
        let forwarded = self.forwarded.iter().map(|one| (one.name.clone(), one.sums())).collect();
        let wrapper = Wrapper { version: VERSION, commit: COMMIT, started: self.began };
        let coprocesses = self.coprocesses.iter().map(coprocess).collect();
        let exec_sockets = self.exec_sockets.values().map(exec_socket).collect();
        let coordinator = self.coordinator.as_ref().map(coordinator);
        let gateway = self.gateway.as_ref().map(|one| gateway(&one.bound));
        let events = self.events.borrow().counts().collect();
        let connections = self.guests.counts();
        let exit_status = self.main_exit.map(|status| status.shell_code());
        let main = self.main_status();
        actix_rt::spawn(async move {
            let run = main_run(&main.await);
            let facts = Facts {
                wrapper,
                main: Main { run, exit_status },
                coprocesses,
                exec_sockets,
                coordinator,
                gateway,
                events,
                reloads: vec![
                    ("done", reloads.done),
                    ("refused", reloads.refused),
                    ("failed", reloads.failed),
                ],
                log: Log { lines, missed, dropped, dropped_of, forwarded },
                connections,
            };
            // A client that hung up does not want to know.
            let _ = reply.send(Ok(render(&facts).into()));
        });
    }
}

fn main_run(status: &MainStatus) -> Run {
    Run {
        states: &MainStatus::STATES,
        state: status.state,
        up: status.pid.is_some(),
        ready: status.ready,
        started: status.launched,
        uptime: status.uptime,
        memory: status.pid.and_then(memory),
    }
}

fn coprocess(child: &Supervised) -> Coprocess {
    let standing = child.standing.borrow();
    let started = standing.started.filter(|_| standing.pid.is_some());
    let run = Run {
        states: &State::NAMES,
        state: standing.machine.state.as_str(),
        up: standing.pid.is_some(),
        ready: standing.is_ready(),
        started,
        uptime: started.and_then(|started| SystemTime::now().duration_since(started).ok()),
        memory: standing.pid.and_then(memory),
    };
    Coprocess {
        name: child.config.name.to_string(),
        run,
        starts: standing.tally.starts,
        restarts: standing.tally.restarts,
        exits: standing.tally.exits().map(|(class, count)| (class.as_str(), count)).collect(),
    }
}

fn exec_socket(socket: &Served) -> ExecSocket {
    let figures = socket.bound.figures().snapshot();
    ExecSocket {
        name: socket.bound.name().to_owned(),
        connected: figures.connected.into(),
        running: figures.runs.len() as u64,
        sums: vec![
            ("accepted", figures.accepted),
            ("refused", figures.refused),
            ("started", figures.started),
            ("not-started", figures.exec_failed),
            ("timed-out", figures.timed_out),
            ("killed", figures.killed),
            ("protocol-error", figures.protocol_errors),
        ],
        bytes: [figures.bytes_in, figures.bytes_out],
    }
}

fn coordinator(coordinator: &Coordinating) -> Coordinator {
    let bound = &coordinator.bound;
    let figures = bound.figures();
    let providers = bound.tasks().into_iter();
    Coordinator {
        waiting: figures.waiting as u64,
        leaving: figures.leaving as u64,
        open_streams: figures.open_streams as u64,
        providers: providers.map(|task| (task.task, task.providers.len() as u64)).collect(),
        requests: vec![
            ("tracked", figures.tracked),
            ("direct", figures.direct),
            ("sent", figures.sent),
            ("received", figures.received),
            ("refused", figures.refused),
        ],
        responses: vec![
            ("came", figures.responses),
            ("timed-out", figures.timed_out),
            ("unknown", figures.unknown),
            ("delivered", figures.delivered),
            ("undelivered", figures.undelivered),
        ],
        streams: figures.streams,
        connected: bound.is_sharing(),
    }
}
fn gateway(bound: &coproc_gateway::server::Bound) -> Gateway {
    let (figures, services) = (bound.figures(), bound.services());
    let apis = services.figures.apis().into_iter().map(|(id, api)| GatewayApi {
        id,
        answered: api.classes().to_vec(),
        times: times(&api.latency),
    });
    let hooks = services.figures.hooks().into_iter().map(|((api, kind, name), hook)| GatewayHook {
        api,
        kind,
        name,
        failures: hook.failures(),
        pending: hook.pending(),
        times: times(&hook.latency),
    });
    Gateway {
        connections: figures.connections as u64,
        in_flight: figures.in_flight as u64,
        upstream_failures: figures.upstream_failures,
        buffered: figures.buffered as u64,
        unbuffered: figures.unbuffered,
        events: services.events.sums().to_vec(),
        apis: apis.collect(),
        hooks: hooks.collect(),
    }
}

fn times(histogram: &Histogram) -> Times {
    let (buckets, sum) = histogram.snapshot();
    Times { bounds: &BOUNDS_US, buckets: buckets.to_vec(), sum }
}
