//! The only way to the terminal: answers on standard output, all else on standard error.

use std::io::{self, Write};

/// Writes an answer. A reader that has gone away is no failure.
pub fn answer(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes what is wrong or odd.
pub fn complain(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
