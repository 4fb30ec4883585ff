//! Running a program to its end within a bound of time, for commands that nobody supervises.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Command, Report, SpawnError, launch};
use crate::exit::ExitStatus;
use crate::output::Output;
use crate::signal::Signal;

/// How a command that had a bound of time ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    InTime(ExitStatus),
    /// It was killed when its time was over.
    TooLate,
}

/// Starts `command` and waits for its end; after `limit` its whole group is killed.
///
/// # Errors
/// When it could not be started.
pub async fn run(command: Command, output: &Output, limit: Duration) -> Result<Ended, SpawnError> {
    let (told, tells) = oneshot::channel();
    let told = Rc::new(RefCell::new(Some(told)));
    let process = launch(command, output, move |report| {
        let result = match report {
            Report::Running => return,
            Report::Failed(error) => Err(error),
            Report::Exited(status) => Ok(status),
        };
        if let Some(told) = told.borrow_mut().take() {
            // A caller that went away dropped the process, which killed it.
            let _ = told.send(result);
        }
    })?;
    let lost = || Ok(ExitStatus::Signal(Signal::KILL));
    tokio::select! {
        result = tells => return result.unwrap_or_else(|_| lost()).map(Ended::InTime),
        () = tokio::time::sleep(limit) => {}
    }
    process.signal(Signal::KILL);
    process.gone().wait().await;
    Ok(Ended::TooLate)
}
