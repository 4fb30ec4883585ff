//! A program that is run to its end while a bundle is brought: nobody supervises it, it has a bound of time, and
//! what it said last is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coproc_core::exit::ExitStatus;
use coproc_core::output::{Form, Kind, Level, Limits, Line, Output, Sink, Tap};
use coproc_core::process::{self, Command, Context, Ended, Taps};
use coproc_core::scalar::printable;
use tokio::sync::watch;

/// How many of its last lines are told, and how much of each, in bytes.
const LINES: usize = 5;
const LINE: usize = 500;
/// How long its last lines may be on their way.
const LAST: Duration = Duration::from_secs(1);

/// Why it came to nothing.
pub(super) enum Failed {
    /// It ended with this, having said this.
    Ended(ExitStatus, String),
    /// It did not end in time.
    Late(String),
    /// It was not started.
    Start(String),
    /// It was told to stop.
    Stopped,
}

/// Nobody reads the lines but those who fail.
struct Nowhere;

impl Sink for Nowhere {
    fn line(&mut self, _: &Line<'_>) {}
    fn flush(&mut self) {}
    fn reopen(&mut self) {}
}

/// The last lines.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<VecDeque<String>>>);

impl Tap for Said {
    fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE)]).trim().to_owned();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_empty() {
            return;
        }
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn closed(&mut self) {}
}

impl Said {
    fn told(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
        if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
    }
}

/// Runs a program; this waits for it, on a thread that has no runtime.
pub(super) fn run(
    words: Vec<String>,
    context: &Context,
    limit: Duration,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failed> {
    let start = |error: &dyn std::fmt::Display| Failed::Start(error.to_string());
    let said = Said::default();
    let tap = || -> Option<Box<dyn Tap>> { Some(Box::new(said.clone())) };
    let command = Command {
        world: None,
        name: "gateway-install".into(),
        argv: words,
        context: context.clone(),
        inherited: Arc::new(std::env::vars_os().collect()),
        added: Vec::new(),
        kind: Kind::Plain,
        taps: Taps { stdout: tap(), stderr: tap() },
        descriptors: Vec::new(),
    };
    let limits =
        Limits { level: Level::Error, form: Form::Text, max_line: LINE, history: 0, queue: 16 };
    let (output, thread) =
        Output::start(Box::new(Nowhere), limits).map_err(|error| start(&error))?;
    let runtime = actix_rt::Runtime::new().map_err(|error| start(&error))?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = process::run(command, &output, limit) => ended.map_err(|error| start(&error)),
            // Whoever would tell is there as long as this runs.
            _ = stop.wait_for(|stop| *stop) => Err(Failed::Stopped),
        }
    });
    thread.finish(Instant::now() + LAST);
    match ended? {
        Ended::InTime(ExitStatus::Code(0)) => Ok(()),
        Ended::InTime(status) => Err(Failed::Ended(status, said.told())),
        Ended::TooLate => Err(Failed::Late(said.told())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(text: &str, limit: Duration, stop: &watch::Sender<bool>) -> Result<(), Failed> {
        let words = ["sh", "-c", text].map(str::to_owned).to_vec();
        run(words, &Context::default(), limit, stop.subscribe())
    }

    #[test]
    fn what_a_program_said_last_is_told_and_time_is_bounded() {
        const LONG: Duration = Duration::from_secs(60);
        let stop = watch::channel(false).0;
        assert!(sh("true", LONG, &stop).is_ok());
        let lines = "for i in 1 2 3 4 5 6 7; do echo line $i; done; echo end >&2; exit 3";
        match sh(lines, LONG, &stop) {
            Err(Failed::Ended(ExitStatus::Code(3), said)) => {
                // Two streams have no order between them.
                assert!(said.contains("line 7") && said.contains("end"), "{said}");
                assert!(!said.contains("line 2"), "{said}");
            }
            _ => panic!("it ended with 3"),
        }
        let late = sh("echo begun; sleep 3600", Duration::from_millis(300), &stop);
        assert!(matches!(late, Err(Failed::Late(said)) if said == ": begun"));
        let missing = run(vec!["/nowhere/x".into()], &Context::default(), LONG, stop.subscribe());
        assert!(matches!(missing, Err(Failed::Start(why)) if why.contains("/nowhere/x")));
        stop.send_replace(true);
        assert!(matches!(sh("sleep 3600", LONG, &stop), Err(Failed::Stopped)));
    }
}
