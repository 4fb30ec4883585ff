//! How the lines of one process are treated: how many are taken, and what becomes of the others.

use std::fmt;
use std::time::Duration;

use super::Form;
use crate::duration::GoDuration;
use crate::scalar::Scalar;

/// The rules for the lines of one process. By default nothing is lost, and who writes more than the
/// log takes waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many lines are taken in which time.
    pub rate: Option<Rate>,
    /// How many lines are taken at once after a silence; at least 1. Without a rate it counts for nothing.
    pub burst: u32,
    /// How many bytes of lines wait for a slow destination, where [`OnFull::Drop`] lets them.
    pub buffer: usize,
    /// What becomes of lines that are too many.
    pub on_full: OnFull,
    /// The form of its lines; none is the log's own.
    pub form: Option<Form>,
}

impl Rules {
    /// Whether nothing sets this process apart from others.
    pub fn is_plain(&self) -> bool {
        self.rate.is_none() && self.on_full == OnFull::Block && self.form.is_none()
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { rate: None, burst: 1, buffer: BUFFER, on_full: OnFull::Block, form: None }
    }
}

/// The `buffer` of a process for which none is set.
pub(super) const BUFFER: usize = 1024 * 1024;

/// What becomes of lines that are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// They stay in the pipe, and once it is full their writer waits.
    Block,
    /// They are lost, and counted.
    Drop,
}

crate::impl_choice!(OnFull, "OnFull", "what becomes of lines that are too many", {
    "block" => Block, or "drop" => Drop
});

/// A number of lines in a time, such as `1000/s` or `100/10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    lines: u32,
    per: Duration,
}

impl Rate {
    /// How many lines.
    pub fn lines(self) -> u32 {
        self.lines
    }

    /// The time from one line to the next, in nanoseconds.
    pub(super) fn interval(self) -> u64 {
        u64::try_from(self.per.as_nanos() / u128::from(self.lines)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lines, humantime::format_duration(self.per))
    }
}

impl Scalar for Rate {
    const NOUN: &'static str = "a number of lines in a time";
    const EXPECTED: &'static str =
        "a number above 0, a slash and a time, such as `1000/s` or `100/10s`";

    fn read(text: &str) -> Option<Self> {
        let (lines, per) = text.split_once('/')?;
        let digits = !lines.is_empty() && lines.bytes().all(|byte| byte.is_ascii_digit());
        let lines = lines.parse().ok().filter(|lines| digits && *lines > 0)?;
        // `s` alone is one second.
        let one = per.starts_with(|first: char| first.is_alphabetic());
        let per = if one { format!("1{per}") } else { per.to_owned() };
        let per = per.parse::<GoDuration>().ok()?.pause();
        (!per.is_zero()).then_some(Self { lines, per })
    }
}

crate::impl_scalar!(Rate, "Rate", { "type": "string", "pattern": "^0*[1-9][0-9]*/.+$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, interval) in [
            ("1000/s", Some(1_000_000)),
            ("10/m", Some(6_000_000_000)),
            ("100/10s", Some(100_000_000)),
            ("1/500ms", Some(500_000_000)),
            ("4294967295/ns", Some(0)),
            ("0/s", None),
            ("+5/s", None),
            ("1000", None),
            ("1000/", None),
            ("1000/0", None),
            ("1000/5", None),
            ("1000/-1s", None),
            ("/s", None),
            ("1.5/s", None),
            ("1000 / s", None),
        ] {
            assert_eq!(Rate::read(text).map(Rate::interval), interval, "{text}");
        }
        assert_eq!(Rate::read("100/10s").unwrap().to_string(), "100/10s");
    }
}
