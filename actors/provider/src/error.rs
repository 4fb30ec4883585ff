//! Why a provider cannot serve, and why a request of its own has no answer.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a provider cannot serve. Its `Debug` form is the sentence too, since that is what a `main`
/// prints that returns it.
#[derive(thiserror::Error)]
pub enum Error {
    /// The flags, the file or what was said in code cannot be used.
    #[error("{0}")]
    Config(String),
    /// A socket cannot be made.
    #[error("`{}`: {error}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// Signals cannot be taken.
    #[error("signals cannot be taken: {0}")]
    Signals(io::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No coordinator answers at this path.
    #[error("no coordinator answers at `{}`: {why}", path.display())]
    NobodyThere {
        /// The coordinator's socket.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// The coordinator, the provider or what is between them refused it, or the task failed.
    #[error("{0}")]
    Refused(String),
    /// Nothing came within the time.
    #[error("response timeout")]
    TooLate,
}
