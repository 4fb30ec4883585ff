//! Go's layouts of a time: what `Mon Jan 2 15:04:05 2006` looks like says how to print any time.

use std::io::Write;

use jiff::Zoned;

/// A layout, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    Year,
    YearOfCentury,
    MonthName,
    MonthShort,
    Month { width: usize },
    DayName,
    DayShort,
    Day { width: usize, blank: bool },
    DayOfYear { blank: bool },
    Hour,
    Hour12 { width: usize },
    Minute { width: usize },
    Second { width: usize },
    Half { upper: bool },
    ZoneName,
    Offset { z: bool, colon: bool, depth: Depth },
    Fraction { mark: char, digits: usize, trim: bool },
}

/// How far an offset is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Hours,
    Minutes,
    Seconds,
}

/// Where two begin alike, the longer one stands first.
const CHUNKS: &[(&str, Item)] = &[
    ("January", Item::MonthName),
    ("Monday", Item::DayName),
    ("MST", Item::ZoneName),
    ("2006", Item::Year),
    ("002", Item::DayOfYear { blank: false }),
    ("__2", Item::DayOfYear { blank: true }),
    ("01", Item::Month { width: 2 }),
    ("02", Item::Day { width: 2, blank: false }),
    ("03", Item::Hour12 { width: 2 }),
    ("04", Item::Minute { width: 2 }),
    ("05", Item::Second { width: 2 }),
    ("06", Item::YearOfCentury),
    ("15", Item::Hour),
    ("_2", Item::Day { width: 2, blank: true }),
    ("PM", Item::Half { upper: true }),
    ("pm", Item::Half { upper: false }),
    ("1", Item::Month { width: 1 }),
    ("2", Item::Day { width: 1, blank: false }),
    ("3", Item::Hour12 { width: 1 }),
    ("4", Item::Minute { width: 1 }),
    ("5", Item::Second { width: 1 }),
    ("-07:00:00", Item::Offset { z: false, colon: true, depth: Depth::Seconds }),
    ("-070000", Item::Offset { z: false, colon: false, depth: Depth::Seconds }),
    ("-07:00", Item::Offset { z: false, colon: true, depth: Depth::Minutes }),
    ("-0700", Item::Offset { z: false, colon: false, depth: Depth::Minutes }),
    ("-07", Item::Offset { z: false, colon: false, depth: Depth::Hours }),
    ("Z07:00:00", Item::Offset { z: true, colon: true, depth: Depth::Seconds }),
    ("Z070000", Item::Offset { z: true, colon: false, depth: Depth::Seconds }),
    ("Z07:00", Item::Offset { z: true, colon: true, depth: Depth::Minutes }),
    ("Z0700", Item::Offset { z: true, colon: false, depth: Depth::Minutes }),
    ("Z07", Item::Offset { z: true, colon: false, depth: Depth::Hours }),
];

impl Layout {
    /// RFC 3339 with seconds, logrus's default.
    pub(super) const RFC3339: &'static str = "2006-01-02T15:04:05Z07:00";

    /// Takes a layout apart. There are no wrong ones: what is no part of the reference time is
    /// printed as it stands.
    pub(super) fn new(layout: &str) -> Self {
        let mut items = Vec::new();
        let mut literal = String::new();
        let mut rest = layout;
        while let Some(c) = rest.chars().next() {
            let (item, length) = match chunk(rest) {
                Some(found) => found,
                None => {
                    literal.push(c);
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
            };
            if !literal.is_empty() {
                items.push(Item::Literal(std::mem::take(&mut literal)));
            }
            items.push(item);
            rest = &rest[length..];
        }
        if !literal.is_empty() {
            items.push(Item::Literal(literal));
        }
        Self(items)
    }

    /// Does the text change within a second?
    pub(super) fn has_fraction(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::Fraction { .. }))
    }

    /// Appends `time` to `out`.
    pub(super) fn write(&self, time: &Zoned, out: &mut Vec<u8>) {
        for item in &self.0 {
            // A Vec takes everything.
            let _ = item.write(time, out);
        }
    }
}

/// The part of the reference time that `text` begins with, and its length.
fn chunk(text: &str) -> Option<(Item, usize)> {
    for (word, item) in CHUNKS {
        // `_2006` is a line before a year, no day.
        if text.starts_with(word) && !(*word == "_2" && text.starts_with("_2006")) {
            return Some((item.clone(), word.len()));
        }
    }
    for (word, item) in [("Jan", Item::MonthShort), ("Mon", Item::DayShort)] {
        if let Some(after) = text.strip_prefix(word) {
            // `Month` is a word, no day.
            let ends = !after.starts_with(|c: char| c.is_ascii_lowercase());
            return ends.then_some((item, word.len()));
        }
    }
    fraction(text)
}

fn fraction(text: &str) -> Option<(Item, usize)> {
    let mark = text.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = text[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = text[1..].chars().take_while(|&c| c == digit).count();
    let follows = text[1 + digits..].chars().next();
    if follows.is_some_and(|c| c.is_ascii_digit()) {
        return None;
    }
    Some((Item::Fraction { mark, digits, trim: digit == '9' }, 1 + digits))
}

impl Item {
    fn write(&self, time: &Zoned, out: &mut Vec<u8>) -> std::io::Result<()> {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        const DAYS: [&str; 7] =
            ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let month = || MONTHS[(time.month().clamp(1, 12) - 1) as usize];
        let day = || DAYS[time.weekday().to_monday_zero_offset().clamp(0, 6) as usize];
        match *self {
            Self::Literal(ref text) => out.write_all(text.as_bytes()),
            Self::Year => write!(out, "{:04}", time.year()),
            Self::YearOfCentury => write!(out, "{:02}", time.year().rem_euclid(100)),
            Self::MonthName => out.write_all(month().as_bytes()),
            Self::MonthShort => out.write_all(&month().as_bytes()[..3]),
            Self::Month { width } => write!(out, "{:0width$}", time.month()),
            Self::DayName => out.write_all(day().as_bytes()),
            Self::DayShort => out.write_all(&day().as_bytes()[..3]),
            Self::Day { width, blank: true } => write!(out, "{:width$}", time.day()),
            Self::Day { width, blank: false } => write!(out, "{:0width$}", time.day()),
            Self::DayOfYear { blank: true } => write!(out, "{:3}", time.day_of_year()),
            Self::DayOfYear { blank: false } => write!(out, "{:03}", time.day_of_year()),
            Self::Hour => write!(out, "{:02}", time.hour()),
            Self::Hour12 { width } => match time.hour() % 12 {
                0 => write!(out, "12"),
                hour => write!(out, "{hour:0width$}"),
            },
            Self::Minute { width } => write!(out, "{:0width$}", time.minute()),
            Self::Second { width } => write!(out, "{:0width$}", time.second()),
            Self::Half { upper } => {
                let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
                out.write_all(if time.hour() < 12 { am } else { pm }.as_bytes())
            }
            Self::ZoneName => {
                let info = time.time_zone().to_offset_info(time.timestamp());
                out.write_all(info.abbreviation().as_bytes())
            }
            Self::Offset { z, colon, depth } => offset(time, z, colon, depth, out),
            Self::Fraction { mark, digits, trim } => {
                let nanos = format!("{:09}", time.subsec_nanosecond());
                // Beyond nanoseconds there is nothing but zeros.
                let padded = format!("{nanos:0<digits$}");
                let shown = &padded[..digits];
                let shown = if trim { shown.trim_end_matches('0') } else { shown };
                if shown.is_empty() { Ok(()) } else { write!(out, "{mark}{shown}") }
            }
        }
    }
}

fn offset(
    time: &Zoned,
    z: bool,
    colon: bool,
    depth: Depth,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let seconds = time.offset().seconds();
    if z && seconds == 0 {
        return out.write_all(b"Z");
    }
    let colon = if colon { ":" } else { "" };
    let distance = seconds.unsigned_abs();
    write!(out, "{}{:02}", if seconds < 0 { '-' } else { '+' }, distance / 3600)?;
    if depth != Depth::Hours {
        write!(out, "{colon}{:02}", distance / 60 % 60)?;
    }
    if depth == Depth::Seconds {
        write!(out, "{colon}{:02}", distance % 60)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::{Offset, TimeZone};

    fn print(layout: &str, time: &Zoned) -> String {
        let mut out = Vec::new();
        Layout::new(layout).write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn berlin() -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        date(2026, 7, 5).at(3, 4, 9, 12_340_000).to_zoned(zone).unwrap()
    }

    #[test]
    fn gos_own_layouts() {
        let time = berlin();
        for (layout, expected) in [
            ("01/02 03:04:05PM '06 -0700", "07/05 03:04:09AM '26 +0200"),
            ("Mon Jan _2 15:04:05 2006", "Sun Jul  5 03:04:09 2026"),
            ("Mon Jan _2 15:04:05 MST 2006", "Sun Jul  5 03:04:09 CEST 2026"),
            ("02 Jan 06 15:04 -0700", "05 Jul 26 03:04 +0200"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Sunday, 05-Jul-26 03:04:09 CEST"),
            (Layout::RFC3339, "2026-07-05T03:04:09+02:00"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2026-07-05T03:04:09.01234+02:00"),
            ("3:04PM", "3:04AM"),
            ("Jan _2 15:04:05.000", "Jul  5 03:04:09.012"),
            ("2006-01-02 15:04:05", "2026-07-05 03:04:09"),
        ] {
            assert_eq!(print(layout, &time), expected, "{layout}");
        }
    }

    #[test]
    fn every_part() {
        let time = berlin();
        for (layout, expected) in [
            ("January 2", "July 5"),
            ("1/2/2006 4.5", "7/5/2026 4.9"),
            ("002|__2", "186|186"),
            ("_2006", "_2026"),
            ("pm", "am"),
            ("Month Janet", "Month Janet"),
            ("-07 -070000 -07:00:00 Z07", "+02 +020000 +02:00:00 +02"),
            ("05,000000", "09,012340"),
            ("05.0001", "09.0007"),
            ("05.000000000000", "09.012340000000"),
            ("größe", "größe"),
            ("", ""),
        ] {
            assert_eq!(print(layout, &time), expected, "{layout}");
        }
    }

    #[test]
    fn noon_midnight_and_offsets() {
        let at = |hour, seconds: i32| {
            let zone = Offset::from_seconds(seconds).unwrap().to_time_zone();
            date(2026, 1, 1).at(hour, 0, 0, 0).to_zoned(zone).unwrap()
        };
        assert_eq!(print("3PM", &at(0, 0)), "12AM");
        assert_eq!(print("03pm", &at(12, 0)), "12pm");
        assert_eq!(print("3PM", &at(13, 0)), "1PM");
        assert_eq!(print("Z07:00 -07:00", &at(0, 0)), "Z +00:00");
        assert_eq!(print("Z07:00", &at(0, -12_600)), "-03:30");
        assert_eq!(print("05.999|", &at(0, 0)), "00|");
    }

    #[test]
    fn only_fractions_change_within_a_second() {
        assert!(!Layout::new(Layout::RFC3339).has_fraction());
        assert!(Layout::new("05.000").has_fraction());
    }
}
