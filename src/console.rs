//! The only way to the terminal: answers on standard output, all else on standard error.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use coproc_core::exit::FAILURE;

/// Writes an answer.
///
/// # Errors
/// Those of standard output, for [`status`] to judge.
pub fn answer(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// The exit status of a command that did its part, `written` being what became of its answer. A
/// reader that has gone away has read enough; an answer that is lost otherwise is a failure.
pub fn status(written: io::Result<()>) -> ExitCode {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("error: standard output cannot be written: {error}\n"));
            ExitCode::from(FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Writes what is wrong or odd.
pub fn complain(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
