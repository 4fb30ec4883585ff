//! Signal numbers, written `TERM`, `SIGTERM` or `15` in any case.

use std::fmt;
use std::str::FromStr;

use crate::scalar::Scalar;

/// A signal that can be sent to a process: 1 to 64 on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

/// The text is neither the name nor the number of a signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a signal")]
pub struct SignalError(String);

/// Linux's names, by number (signal(7), x86 and ARM).
const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The first real-time signal that glibc leaves to programs.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// Hang up: reload.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Interrupt from the terminal.
    pub const INT: Self = Self(libc::SIGINT);
    /// Graceful stop, to nginx.
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// Cannot be caught.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// Reopen logs.
    pub const USR1: Self = Self(libc::SIGUSR1);
    /// Reload, as nginx-wrapper takes it.
    pub const USR2: Self = Self(libc::SIGUSR2);
    /// Terminate.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Continue after a stop.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// Stops a process, which cannot heed it.
    pub const STOP: Self = Self(libc::SIGSTOP);

    /// A signal by number; `None` outside 1 to 64.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=RTMAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The names of all signals that have one, without `SIG`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// What strsignal(3) calls the few that nginx-wrapper's messages name.
    pub fn description(self) -> String {
        match self {
            Self::HUP => "hangup".into(),
            Self::INT => "interrupt".into(),
            Self::QUIT => "quit".into(),
            Self::TERM => "terminated".into(),
            Self::USR1 => "user defined signal 1".into(),
            Self::USR2 => "user defined signal 2".into(),
            other => other.to_string(),
        }
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        let refused = || SignalError(text.to_owned());
        let upper = text.trim().to_ascii_uppercase();
        if !upper.is_empty() && upper.bytes().all(|b| b.is_ascii_digit()) {
            let number = upper.parse().map_err(|_| refused())?;
            return Self::from_number(number).ok_or_else(refused);
        }
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, number)) = NAMES.iter().find(|(n, _)| *n == name) {
            return Ok(Self(*number));
        }
        let offset = |rest: &str| rest.parse::<i32>().ok();
        let number = match name {
            "RTMIN" => Some(RTMIN),
            "RTMAX" => Some(RTMAX),
            _ => match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
                (Some(rest), _) => offset(rest).and_then(|n| RTMIN.checked_add(n)),
                (_, Some(rest)) => offset(rest).and_then(|n| RTMAX.checked_sub(n)),
                _ => None,
            },
        };
        match number {
            Some(number) if (RTMIN..=RTMAX).contains(&number) => Ok(Self(number)),
            _ => Err(refused()),
        }
    }
}

impl Scalar for Signal {
    const NOUN: &'static str = "a signal";
    const EXPECTED: &'static str = "a name such as `TERM` or `SIGTERM`, or a number from 1 to 64";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

crate::impl_scalar!(Signal, "Signal", {
    "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 1, "maximum": 64 }]
});

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, n)| *n == self.0) {
            Some((name, _)) => f.write_str(name),
            None if self.0 >= RTMIN => write!(f, "RTMIN+{}", self.0 - RTMIN),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_in_any_case() {
        for text in ["TERM", "term", "SIGTERM", "SigTerm", "15"] {
            assert_eq!(text.parse::<Signal>().unwrap(), Signal::TERM, "{text}");
        }
        assert_eq!("RTMIN+3".parse::<Signal>().unwrap().number(), 37);
        assert_eq!("sigrtmax".parse::<Signal>().unwrap().number(), 64);
        for text in ["", "0", "65", "TERMINATE", "-1", "RTMIN+31", "RTMIN+-1", "1.5"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_number_prints_as_something_that_reads_back() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
        }
    }
}
