//! Durations in the grammar of Go's `time.ParseDuration`, which the coprocess guide links to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::scalar::{Scalar, printable};

/// A signed count of nanoseconds, written such as `1h30m`, `1.5h`, `300ms` or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoDurationError {
    /// It is not in the grammar.
    #[error("not a duration")]
    Malformed,
    /// It is more than an `i64` of nanoseconds.
    #[error("too long a duration")]
    TooLong,
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

impl GoDuration {
    /// The duration of this many seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000_000)
    }

    /// The duration of this many milliseconds.
    pub const fn from_millis(milliseconds: u32) -> Self {
        Self(milliseconds as i64 * 1_000_000)
    }

    /// The nanoseconds, with their sign.
    pub fn nanoseconds(self) -> i64 {
        self.0
    }

    /// How long to wait: a negative duration is no pause.
    pub fn pause(self) -> Duration {
        Duration::from_nanos(self.0.max(0).unsigned_abs())
    }
}

impl FromStr for GoDuration {
    type Err = GoDurationError;

    fn from_str(text: &str) -> Result<Self, GoDurationError> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(GoDurationError::Malformed);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (term, after) = term(rest).ok_or(GoDurationError::Malformed)?;
            // Held at the top: what follows may still be malformed.
            total = total.saturating_add(term);
            rest = after;
        }
        // Go allows one nanosecond more below zero.
        if total > 1 << 63 {
            return Err(GoDurationError::TooLong);
        }
        match (negative, i64::try_from(total)) {
            (true, _) => Ok(Self((total as i64).wrapping_neg())),
            (false, Ok(nanoseconds)) => Ok(Self(nanoseconds)),
            (false, Err(_)) => Err(GoDurationError::TooLong),
        }
    }
}

/// One number with its unit, the largest number for any that is larger, and what follows it.
fn term(text: &str) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole_end = digits(text);
    let (whole, mut rest) = text.split_at(whole_end);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let end = digits(after);
        (fraction, rest) = after.split_at(end);
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    // Digits alone fail to parse only where they are too many.
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    let mut value = whole.saturating_mul(*scale);
    // Digits beyond the nanosecond are cut off, as Go does; 18 of them cannot overflow the product.
    let kept = &fraction[..fraction.len().min(18)];
    if !kept.is_empty() {
        let numerator: u128 = kept.parse().ok()?;
        let part = numerator * u128::from(*scale) / 10u128.pow(kept.len() as u32);
        value = value.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
    }
    Some((value, rest))
}

impl fmt::Display for GoDuration {
    /// As people write it, by humantime.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        humantime::format_duration(Duration::from_nanos(self.0.unsigned_abs())).fmt(f)
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Self {
        duration.pause()
    }
}

impl Scalar for GoDuration {
    const NOUN: &'static str = "a duration";
    const EXPECTED: &'static str =
        "numbers with a unit of `ns`, `us`, `ms`, `s`, `m` or `h`, such as `1m30s`";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn complaint(text: &str) -> String {
        let text_shown = printable(text);
        match text.parse::<Self>() {
            Err(GoDurationError::TooLong) => format!("`{text_shown}` is too long"),
            _ => format!("`{text_shown}` is not {}", Self::NOUN),
        }
    }

    fn remedy(text: &str) -> &'static str {
        match text.parse::<Self>() {
            Err(GoDurationError::TooLong) => "at most 2562047h, which are 292 years",
            _ => Self::EXPECTED,
        }
    }
}

crate::impl_scalar!(GoDuration, "Duration", {
    "type": "string",
    "pattern": "^[+-]?(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)$"
});

/// A length of time: a [`GoDuration`] that is not below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// The time.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    /// As people write it, by humantime.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Scalar for Span {
    const NOUN: &'static str = GoDuration::NOUN;
    const EXPECTED: &'static str = GoDuration::EXPECTED;
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        let duration: GoDuration = text.parse().ok()?;
        u64::try_from(duration.0).ok().map(|nanoseconds| Self(Duration::from_nanos(nanoseconds)))
    }

    fn complaint(text: &str) -> String {
        match text.parse::<GoDuration>() {
            Ok(_) => format!("`{text}` is below zero"),
            Err(_) => GoDuration::complaint(text),
        }
    }

    fn remedy(text: &str) -> &'static str {
        GoDuration::remedy(text)
    }
}

crate::impl_scalar!(Span, "Span", {
    "type": "string",
    "pattern": "^(\\+?(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)|-0)$"
});

/// A time for people who look at it now: tenths of a second below a minute, whole seconds above.
pub fn rough(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        whole => humantime::format_duration(Duration::from_secs(whole)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn w61_texts_that_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("+5s", 5 * SECOND),
            (".5s", SECOND / 2),
            ("5.s", 5 * SECOND),
            ("1.5h", 5400 * SECOND),
            ("1h30m", 5400 * SECOND),
            ("100ms1h", 3600 * SECOND + SECOND / 10),
            ("1s1s", 2 * SECOND),
            ("-1h30m", -5400 * SECOND),
            ("1us", 1000),
            ("1\u{b5}s", 1000),
            ("1\u{3bc}s", 1000),
            ("1.0000000009s", SECOND),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("2562047h47m16.854775807s", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(text.parse(), Ok(GoDuration(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn w61_texts_that_go_refuses() {
        for text in [
            "5", "1.5", "00", "", "-", "+", ".s", " 5s", "5s ", "1h 30m", "1h-30m", "1d", "1w",
            "1H", "1e3s", "1_000s", "s", "--1s", "\u{663}s",
        ] {
            assert_eq!(text.parse::<GoDuration>(), Err(GoDurationError::Malformed), "{text}");
        }
        for text in [
            "2562048h",
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "99999999999999999999s",
            "99999999999999999999999999999h1s",
        ] {
            assert_eq!(text.parse::<GoDuration>(), Err(GoDurationError::TooLong), "{text}");
        }
    }

    #[test]
    fn a_negative_duration_is_no_pause() {
        assert_eq!("-3s".parse::<GoDuration>().unwrap().pause(), Duration::ZERO);
        assert_eq!("-3s".parse::<GoDuration>().unwrap().to_string(), "-3s");
        assert_eq!("1.5h".parse::<GoDuration>().unwrap().to_string(), "1h 30m");
    }

    #[test]
    fn a_span_is_not_below_zero() {
        assert_eq!(Span::read("1m30s"), Some(Span::from_secs(90)));
        assert_eq!(Span::read("-0"), Some(Span::from_secs(0)));
        assert_eq!((Span::read("-1ns"), Span::read("5")), (None, None));
    }

    proptest! {
        #[test]
        fn nanoseconds_read_back(n in any::<i64>()) {
            prop_assert_eq!(format!("{n}ns").parse(), Ok(GoDuration(n)));
        }

        #[test]
        fn never_panics(text in "\\PC{0,12}|[-+0-9.nuµmsh]{0,24}") {
            let _ = text.parse::<GoDuration>();
        }
    }

    #[test]
    fn people_read_tenths_and_then_seconds() {
        assert_eq!(rough(Duration::from_millis(849)), "0.8 s");
        assert_eq!(rough(Duration::from_millis(59_900)), "59.9 s");
        assert_eq!(rough(Duration::from_millis(3_661_900)), "1h 1m 1s");
    }
}
