//! Scalars of the `[exec_socket]` table.

use coproc_core::count::Positive;
use coproc_core::duration::Span;
use coproc_core::impl_choice;
use coproc_core::scalar::Scalar;
use regex::bytes::Regex;

use crate::config::KillScope;
use crate::protocol::Termsig;
use crate::session::{ExecFailure, HalfClose};

/// A regular expression that matches a whole text.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl Scalar for Pattern {
    const NOUN: &'static str = "a regular expression";
    const EXPECTED: &'static str = "a regular expression, such as `\"/usr/bin/git (log|show) .*\"`";

    fn read(text: &str) -> Option<Self> {
        // A half-open group must not close the one around it.
        Regex::new(text).ok()?;
        Regex::new(&format!("^(?:{text})$")).ok().filter(|_| !text.is_empty()).map(Self)
    }
}

coproc_core::impl_scalar!(Pattern, "Pattern", { "type": "string", "minLength": 1 });

/// How many threads serve a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(pub u32);

impl Scalar for Threads {
    const NOUN: &'static str = "a number of threads";
    const EXPECTED: &'static str = "a number from 1 to 1024";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Positive::read(text).filter(|number| number.0 <= 1024).map(|number| Self(number.0))
    }
}

coproc_core::impl_scalar!(Threads, "Threads", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 1024 },
        { "type": "string", "pattern": "^0*[1-9][0-9]*$" }
    ]
});

/// How long output is waited for after the program itself has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Until the deadline.
    UntilDeadline,
    /// That long.
    For(Span),
}

impl Scalar for Drain {
    const NOUN: &'static str = "a time to wait for output";
    const EXPECTED: &'static str = "`until_deadline` or a duration, such as `500ms`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "until_deadline" => Some(Self::UntilDeadline),
            text => Span::read(text).map(Self::For),
        }
    }
}

coproc_core::impl_scalar!(Drain, "Drain", { "type": "string" });

impl_choice!(Termsig, "Termsig", "a way to tell a signal", { "number" => Number, or "name" => Name });
impl_choice!(ExecFailure, "ExecFailure", "an answer to a failure", {
    "report" => Report, or "close" => Close
});
impl_choice!(HalfClose, "HalfClose", "a meaning of a half-close", {
    "stdin_eof" => StdinEof, or "disconnect" => Disconnect
});
impl_choice!(KillScope, "KillScope", "a scope of signals", { "group" => Group, or "leader" => Leader });
