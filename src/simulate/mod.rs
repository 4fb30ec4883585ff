//! `coproc simulate`: what a config makes of faults, on a clock of its own, and whether that is what
//! somebody expects of it.

mod args;
mod expect;
mod show;
mod states;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use coproc_core::exit::{FAILURE, USAGE};

pub use self::args::{Faults, Simulate};
pub use self::expect::Expectations;

use crate::cli::StatusFormat;
use crate::config::{self, Config, Sources};
use crate::console::{answer, complain, status};
use crate::wrapper;

/// `coproc simulate`.
pub fn simulate(args: &Simulate, sources: &Sources) -> ExitCode {
    let loaded = match config::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let expected = match args.expect.as_deref().map(Expectations::read).transpose() {
        Ok(expected) => expected,
        Err(why) => {
            complain(&why);
            return ExitCode::from(USAGE);
        }
    };
    let faults = expected.as_ref().map(|one| one.faults.clone()).unwrap_or_default();
    let mut scenario = match faults.and(&args.faults).scenario(&loaded.config) {
        Ok(scenario) => scenario,
        Err(why) => {
            complain(&format!("error: {why}\n"));
            return ExitCode::from(USAGE);
        }
    };
    if let Some(expected) = &expected {
        scenario.looks = expected.looks();
        if let Err(why) = expected.fit(&loaded.config, &scenario) {
            complain(&why);
            return ExitCode::from(USAGE);
        }
    }
    let left_out = left_out(&loaded.config);
    let outcome = match wrapper::simulate(loaded, &scenario) {
        Ok(outcome) => outcome,
        Err(why) => {
            complain(&format!("error: {why}\n"));
            return ExitCode::from(FAILURE);
        }
    };
    let missed = expected.as_ref().map(|expected| expected.missed(&outcome));
    let text = match args.format {
        StatusFormat::Text => {
            show::text(&outcome, &left_out, expected.as_ref().map(Expectations::len))
        }
        StatusFormat::Json => show::json(&outcome, &left_out, missed.as_deref()),
    };
    let printed = answer(&text);
    let missed = missed.unwrap_or_default();
    for miss in &missed {
        complain(&miss.shown("not as expected"));
    }
    match missed.is_empty() {
        true => status(printed),
        false => ExitCode::from(FAILURE),
    }
}

/// What of a config has no part in a simulation.
fn left_out(config: &Config) -> Vec<&'static str> {
    [
        (!config.exec_sockets.is_empty(), "exec sockets"),
        (config.coordinator.is_some(), "the coordinator"),
        (config.gateway.is_some(), "the gateway"),
        (config.template.is_some(), "templates"),
    ]
    .into_iter()
    .filter_map(|(there, what)| there.then_some(what))
    .collect()
}
