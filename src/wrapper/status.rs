//! How all is just now, for clients: the status, and who is not well.

use std::time::{Duration, SystemTime};

use coproc_control::request::Health;
use coproc_coprocess::lifecycle::{RunEnd, State};
use coproc_core::exit::ExitStatus;
use coproc_core::name::MAIN;
use coproc_core::probe::Role;
use coproc_gateway::server::shown;
use coproc_main::config::Kind;
use serde_json::{Value, json};

use super::children::{Coordinating, Gatekeeping, Served, Supervised};
use super::control::Reply;
use super::root::Root;

impl Root {
    /// Answers with the status of all, or of those alone that go by a name.
    pub(super) fn status(&self, name: Option<String>, reply: Reply) {
        let has_main = self.config.main.kind != Kind::None;
        let coprocesses = match name.as_deref() {
            None => Ok(self.coprocesses.iter().collect()),
            Some(MAIN) if has_main => Ok(Vec::new()),
            Some(name) => self.all_of(name),
        };
        let coprocesses: Vec<_> = match coprocesses {
            Ok(these) => these.into_iter().map(status_of).collect(),
            Err(refused) => {
                let _ = reply.send(Err(refused));
                return;
            }
        };
        let last_exit = self.main_exit;
        let exec_sockets: Vec<_> = self.exec_sockets.values().map(exec_socket_of).collect();
        let coordinator = self.coordinator.as_ref().map(coordinator_of);
        let gateway = self.gateway.as_ref().map(gateway_of);
        let is_whole = name.is_none();
        let dropped = self.output.dropped();
        let forwarded = self.forwarded.clone();
        let answer = move |main: Value| {
            let mut status = json!({ "main": main, "coprocesses": coprocesses });
            if !is_whole {
                return Ok(status);
            }
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
        if !has_main || name.is_some_and(|name| name != MAIN) {
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

    /// Answers with each that is not well.
    pub(super) fn health(&self, health: Health, reply: Reply) {
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
