//! The coprocesses that are workers of the gateway's Python driver.

use std::path::Path;
use std::time::Duration;

use coproc_coprocess::config::{Backoff, Coprocess, OnGiveUp, Policy, Restarts};
use coproc_core::event::Phase;
use coproc_core::output::Rules;
use coproc_gateway::config::Config as Gateway;
use coproc_gateway::driver::python::PythonConfig;

/// How long each signal has to end one.
const STOP: Duration = Duration::from_secs(5);

/// A worker that ends is started again at once, and later if it has not lived for a second.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(10),
    max: Duration::from_secs(5),
    factor: 2.0,
    reset_after: Duration::from_secs(1),
};

/// One coprocess for each worker, none of a table of its own.
pub(super) fn workers(gateway: &Gateway, folder: &Path, run_path: &Path) -> Vec<Coprocess> {
    // Names in the words of a command are replaced when it is run.
    let same = |text: &str| text.to_owned();
    let placed = gateway.clone().placed(same, folder, run_path);
    let Some(python) = &placed.python else { return Vec::new() };
    let worker = |number| worker(python, number);
    (1..=python.workers).filter_map(worker).collect()
}

fn worker(python: &PythonConfig, number: usize) -> Option<Coprocess> {
    let name = PythonConfig::name(number);
    let mut context = python.context.clone();
    let own = python.variables(&name);
    context.env.extend(own.map(|(variable, value)| (variable.to_owned(), value)));
    Some(Coprocess {
        key: String::new(),
        name: name.parse().ok()?,
        exec: python.command(),
        stop_exec: None,
        context,
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
        stop_event: Phase::Exit.into(),
        stop_timeout: STOP,
        stop_exec_timeout: STOP,
        tasks: Vec::new(),
    })
}
