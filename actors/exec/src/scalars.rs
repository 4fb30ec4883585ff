//! Scalars of the `[exec_socket]` table.

use coproc_core::count::Count;
use coproc_core::duration::Span;
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

/// A whole number above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positive(pub u32);

impl Scalar for Positive {
    const NOUN: &'static str = "a whole number above 0";
    const EXPECTED: &'static str = "a number from 1 to 4294967295";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Count::read(text).filter(|count| count.0 > 0).map(|count| Self(count.0))
    }
}

coproc_core::impl_scalar!(Positive, "Positive", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 4294967295u32 },
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

/// A scalar that is one of a few words.
macro_rules! words {
    ($type:ty, $name:literal, $noun:literal, $expected:literal, { $($word:literal => $value:expr),+ }) => {
        impl Scalar for $type {
            const NOUN: &'static str = $noun;
            const EXPECTED: &'static str = $expected;

            fn read(text: &str) -> Option<Self> {
                match text {
                    $($word => Some($value),)+
                    _ => None,
                }
            }
        }

        coproc_core::impl_scalar!($type, $name, { "enum": [$($word),+] });
    };
}

words!(Termsig, "Termsig", "a way to tell a signal", "`number` or `name`", {
    "number" => Self::Number, "name" => Self::Name
});
words!(ExecFailure, "ExecFailure", "an answer to a failure", "`report` or `close`", {
    "report" => Self::Report, "close" => Self::Close
});
words!(HalfClose, "HalfClose", "a meaning of a half-close", "`stdin_eof` or `disconnect`", {
    "stdin_eof" => Self::StdinEof, "disconnect" => Self::Disconnect
});
words!(KillScope, "KillScope", "a scope of signals", "`group` or `leader`", {
    "group" => Self::Group, "leader" => Self::Leader
});
