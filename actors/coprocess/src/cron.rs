//! Times of the calendar in the five fields of crontab(5), and which of them comes next. Pure.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// How far ahead a time is looked for: the 29th of February may be eight years away.
const HORIZON: i64 = 9 * 366 * 24 * 3600;

/// The longest leap of a clock that is put forward, in minutes.
const LONGEST_GAP: i64 = 24 * 60;

/// The times that a crontab line names: minute, hour, day of the month, month, day of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The values of one field, one bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether it begins with `*`, and so says nothing about which days are meant.
    star: bool,
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & (1 << value) != 0)
    }
}

struct Kind {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the values, from the least on.
    names: &'static [&'static str],
}

const KINDS: [Kind; 5] = [
    Kind { name: "minute", least: 0, most: 59, names: &[] },
    Kind { name: "hour", least: 0, most: 23, names: &[] },
    Kind { name: "day of the month", least: 1, most: 31, names: &[] },
    Kind {
        name: "month",
        least: 1,
        most: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    // Both 0 and 7 are Sunday.
    Kind {
        name: "day of the week",
        least: 0,
        most: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

const SHORT: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Cron {
    /// Reads five fields, or one of the short forms such as `@daily`; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let short = SHORT.iter().find(|(name, _)| text.trim().eq_ignore_ascii_case(name));
        let words = short.map_or(text, |(_, long)| long).split_ascii_whitespace();
        let words = words.collect::<Vec<_>>();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(match words.len() {
                1 => "there is 1 field and not five".to_owned(),
                count => format!("there are {count} fields and not five"),
            });
        };
        let mut weekdays = field(weekday, &KINDS[4])?;
        weekdays.bits |= weekdays.bits >> 7 & 1;
        let cron = Self {
            text: text.to_owned(),
            minutes: field(minute, &KINDS[0])?,
            hours: field(hour, &KINDS[1])?,
            days: field(day, &KINDS[2])?,
            months: field(month, &KINDS[3])?,
            weekdays,
        };
        match cron.after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(cron),
            None => Err("there is no such day in any year".to_owned()),
        }
    }

    /// The first of its times after `now`, on clocks of this zone.
    ///
    /// Where a clock is put forward, times that it leaps over come at the end of the leap. Where it is
    /// put back, times come once, unless the hour is left open: then they come in both passes.
    pub fn after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = now.as_second().div_euclid(60) * 60 + 60;
        let mut second = start;
        while second - start <= HORIZON {
            let at = Timestamp::from_second(second).ok()?;
            let clock = zone.to_datetime(at);
            if self.matches(clock) && !self.came_before(clock, at, zone)
                || self.was_leapt_over(clock, at, zone)
            {
                return Some(at);
            }
            second = self.skip(clock, at, zone)?;
        }
        None
    }

    fn is_day(&self, clock: DateTime) -> bool {
        let of_month = self.days.has(clock.day());
        let of_week = self.weekdays.has(clock.weekday().to_sunday_zero_offset());
        // Where both are named, either will do.
        match self.days.star || self.weekdays.star {
            true => of_month && of_week,
            false => of_month || of_week,
        }
    }

    fn matches(&self, clock: DateTime) -> bool {
        self.months.has(clock.month())
            && self.is_day(clock)
            && self.hours.has(clock.hour())
            && self.minutes.has(clock.minute())
    }

    /// Whether a clock that was put back has shown this time before, and once is enough.
    fn came_before(&self, clock: DateTime, at: Timestamp, zone: &TimeZone) -> bool {
        match zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Fold { after, .. } => !self.hours.star && zone.to_offset(at) == after,
            _ => false,
        }
    }

    /// Whether the clock leapt to this time over one of its times.
    fn was_leapt_over(&self, clock: DateTime, at: Timestamp, zone: &TimeZone) -> bool {
        // An open hour has the same minutes again soon.
        if self.hours.star {
            return false;
        }
        let Ok(before) = at.checked_sub(SignedDuration::from_secs(60)) else { return false };
        let last = zone.to_datetime(before);
        let leap = clock.duration_since(last).as_mins().min(LONGEST_GAP);
        let mut leapt = (1..leap)
            .filter_map(|minutes| last.checked_add(SignedDuration::from_mins(minutes)).ok());
        leapt.any(|clock| self.matches(clock))
    }

    /// The next second that is worth a look: nothing before it can be one of the times.
    fn skip(&self, clock: DateTime, at: Timestamp, zone: &TimeZone) -> Option<i64> {
        let second = at.as_second();
        let day_is_wrong = !self.months.has(clock.month()) || !self.is_day(clock);
        if day_is_wrong {
            let tomorrow = clock.date().tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight());
            // The first moment of it, also where its midnight is leapt over.
            let begins = zone.to_ambiguous_timestamp(tomorrow).compatible().ok()?;
            return Some(begins.as_second().max(second + 60));
        }
        Some(match self.hours.has(clock.hour()) {
            // An hour of the clock may be cut short by a leap of half an hour: halves are safe.
            false => second + (30 - i64::from(clock.minute()) % 30) * 60,
            true => second + 60,
        })
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn field(text: &str, kind: &Kind) -> Result<Field, String> {
    let mut bits = 0;
    for part in text.split(',') {
        let wrong = || format!("`{}` is no {}", part.escape_debug(), kind.name);
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<u32>().ok().filter(|step| *step > 0);
                (range, Some(step.ok_or_else(wrong)?))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (kind.least, kind.most),
            Some((from, to)) => {
                (value(from, kind).ok_or_else(wrong)?, value(to, kind).ok_or_else(wrong)?)
            }
            None => {
                let from = value(range, kind).ok_or_else(wrong)?;
                (from, if step.is_some() { kind.most } else { from })
            }
        };
        if from > to {
            return Err(wrong());
        }
        for value in (from..=to).step_by(step.unwrap_or(1) as usize) {
            bits |= 1 << value;
        }
    }
    Ok(Field { bits, star: text.starts_with('*') })
}

fn value(text: &str, kind: &Kind) -> Option<u32> {
    let named = kind.names.iter().position(|name| text.eq_ignore_ascii_case(name));
    let value = match named {
        Some(place) => kind.least + u32::try_from(place).ok()?,
        None if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        None => text.parse().ok()?,
    };
    (kind.least..=kind.most).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe's rule: an hour forward in March, an hour back in October.
    const EUROPE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    /// Half an hour, on an island.
    const LORD_HOWE: &str = "LHST-10:30LHDT-11,M10.1.0,M4.1.0";

    /// The times after `from`, as the zone's clocks show them.
    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::posix(zone).unwrap();
        let cron = Cron::parse(cron).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        (0..count)
            .map(|_| {
                at = cron.after(at, &zone).unwrap();
                at.to_zoned(zone.clone()).strftime("%m-%d %H:%M %z").to_string()
            })
            .collect()
    }

    fn utc(cron: &str, from: &str, count: usize) -> Vec<String> {
        let times = times(cron, "UTC0", from, count);
        times.iter().map(|time| time.trim_end_matches(" +0000").to_owned()).collect()
    }

    #[test]
    fn fields_of_every_form() {
        let from = "2026-01-01T00:00:00Z";
        assert_eq!(utc("*/20 * * * *", from, 3), ["01-01 00:20", "01-01 00:40", "01-01 01:00"]);
        assert_eq!(
            utc("5,50-52/2 3 * * *", from, 3),
            ["01-01 03:05", "01-01 03:50", "01-01 03:52"]
        );
        assert_eq!(utc("0 22/1 * * *", from, 3), ["01-01 22:00", "01-01 23:00", "01-02 22:00"]);
        assert_eq!(utc("0 0 * Feb-MAR mon", from, 2), ["02-02 00:00", "02-09 00:00"]);
        assert_eq!(utc("0 0 * * 7", from, 1), utc("0 0 * * sun", from, 1));
        assert_eq!(utc("@Weekly", from, 1), ["01-04 00:00"]);
        assert_eq!(utc("@hourly", "2026-01-01T00:59:59.5Z", 1), ["01-01 01:00"]);
        assert_eq!(utc("0 0 29 2 *", "2026-03-01T00:00:00Z", 1), ["02-29 00:00"]);
    }

    #[test]
    fn of_two_kinds_of_days_either_will_do() {
        let from = "2026-01-01T00:00:00Z";
        assert_eq!(utc("0 0 13 * fri", from, 3), ["01-02 00:00", "01-09 00:00", "01-13 00:00"]);
        assert_eq!(utc("0 0 */2 * fri", from, 2), ["01-09 00:00", "01-23 00:00"], "a star is open");
    }

    #[test]
    fn a_time_is_never_now() {
        assert_eq!(utc("0 0 * * *", "2026-01-01T00:00:00Z", 1), ["01-02 00:00"]);
    }

    #[test]
    fn what_is_leapt_over_comes_at_the_end_of_the_leap() {
        let from = "2026-03-28T12:00:00Z";
        assert_eq!(
            times("30 2 * * *", EUROPE, from, 2),
            ["03-29 03:00 +0200", "03-30 02:30 +0200"]
        );
        assert_eq!(
            times("*/30 1-3 * * *", EUROPE, "2026-03-29T00:10:00Z", 3),
            ["03-29 01:30 +0100", "03-29 03:00 +0200", "03-29 03:30 +0200"]
        );
        assert_eq!(
            times("15 2 * * *", LORD_HOWE, "2026-10-03T00:00:00Z", 2),
            ["10-04 02:30 +1100", "10-05 02:15 +1100"]
        );
    }

    #[test]
    fn what_a_clock_shows_twice_comes_once_unless_the_hour_is_open() {
        let from = "2026-10-25T00:00:00Z";
        assert_eq!(
            times("30 2 * * *", EUROPE, from, 2),
            ["10-25 02:30 +0200", "10-26 02:30 +0100"]
        );
        assert_eq!(
            times("30 * * * *", EUROPE, from, 3),
            ["10-25 02:30 +0200", "10-25 02:30 +0100", "10-25 03:30 +0100"]
        );
    }

    #[test]
    fn what_is_no_line_is_told() {
        for (text, what) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("* * * * * *", "6 fields"),
            ("60 * * * *", "`60` is no minute"),
            ("* 24 * * *", "`24` is no hour"),
            ("* * 0 * *", "`0` is no day of the month"),
            ("* * * 13 *", "`13` is no month"),
            ("* * * * 8", "`8` is no day of the week"),
            ("* * * * mo", "`mo` is no day of the week"),
            ("*/0 * * * *", "`*/0` is no minute"),
            ("5-1 * * * *", "`5-1` is no minute"),
            ("1, * * * *", "`` is no minute"),
            ("+1 * * * *", "`+1` is no minute"),
            ("0 0 30 2 *", "no such day"),
            ("@reboot", "is 1 field and"),
        ] {
            let why = Cron::parse(text).unwrap_err();
            assert!(why.contains(what), "{text}: {why}");
        }
    }
}
