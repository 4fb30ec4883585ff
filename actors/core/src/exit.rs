//! How a process ended, and the exit codes that say so.

use std::fmt;

use crate::signal::Signal;

/// The end of a process, as waitid(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It left by itself with this code.
    Code(i32),
    /// This signal ended it.
    Signal(Signal),
}

/// The wrapper itself failed.
pub const FAILURE: u8 = 1;
/// A config or usage error; nothing was started.
pub const USAGE: u8 = 2;
/// The program was found and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;

impl ExitStatus {
    /// The status as a shell shows it: the code, or 128 and the signal's number.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => (code & 0xff) as u8,
            Self::Signal(signal) => 128u8.wrapping_add(signal.number() as u8),
        }
    }

    /// Left by itself with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
