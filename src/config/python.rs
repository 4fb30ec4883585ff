//! The coprocesses that are workers of the gateway's Python driver.

use std::path::Path;
use std::time::Duration;

use coproc_coprocess::config::{Backoff, Coprocess, OnGiveUp, Patience, Policy, Restarts};
use coproc_coprocess::replicas::expand;
use coproc_core::event::Phase;
use coproc_core::output::Rules;
use coproc_gateway::config::Config as Gateway;
use coproc_gateway::driver::python::PythonConfig;

/// How long each signal has to end one.
const STOP: Patience = Patience::default_of(Duration::from_secs(5));

/// A worker that ends is started again at once, and later if it has not lived for a second.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(10),
    max: Duration::from_secs(5),
    factor: 2.0,
    reset_after: Duration::from_secs(1),
};

/// One coprocess for each worker, replicas of one that has no table of its own.
pub(super) fn workers(gateway: &Gateway, folder: &Path, run_path: &Path) -> Vec<Coprocess> {
    // Names in the words of a command are replaced when it is run.
    let same = |text: &str| text.to_owned();
    let placed = gateway.clone().placed(same, folder, run_path);
    let Some(python) = &placed.python else { return Vec::new() };
    let Some(worker) = worker(python) else { return Vec::new() };
    let count = u32::try_from(python.workers).unwrap_or(u32::MAX);
    let own = |mut one: Coprocess| {
        let variables = python.variables(one.name.as_str());
        one.context.env.extend(variables.map(|(variable, value)| (variable.to_owned(), value)));
        one
    };
    expand(&worker, count).map(own).collect()
}

/// What all workers have in common.
fn worker(python: &PythonConfig) -> Option<Coprocess> {
    Some(Coprocess {
        key: String::new(),
        name: PythonConfig::NAME.parse().ok()?,
        replica: None,
        exec: python.command(),
        stop_exec: None,
        context: python.context.clone(),
        cgroup: false,
        log: Rules::default(),
        ready: None,
        live: None,
        policy: Policy {
            restarts: Restarts::Unlimited,
            time_between_restarts: Duration::ZERO,
            background: true,
            backoff: Some(BACKOFF),
            restart_limit: None,
            success_exit_codes: vec![0],
            on_give_up: OnGiveUp::Ignore,
        },
        exec_event: Phase::PreStart.into(),
        after: Vec::new(),
        schedule: None,
        stop_event: Phase::Exit.into(),
        stop_timeout: STOP,
        stop_exec_timeout: STOP,
        tasks: Vec::new(),
    })
}
