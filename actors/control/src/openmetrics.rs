//! The text format of OpenMetrics 1.0: families with their samples, escaped and in order. Pure.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How the text is labelled in an answer's head.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A text that is being written.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

/// What the samples of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A sum that only goes up; its samples are called `NAME_total`.
    Counter,
    /// How many values fell below each bound; its samples are buckets, their count and their sum.
    Histogram,
    /// One of several states; the label of a state is the family's name.
    StateSet,
    /// Labels that stand for themselves; its sample is called `NAME_info`.
    Info,
}

/// What a family's values count, which ends its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Bytes,
}

/// A value in its family's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Seconds(Duration),
}

/// A family whose samples come next.
pub(crate) struct Family<'page> {
    page: &'page mut Page,
    name: String,
    kind: Kind,
}

impl Page {
    /// Begins a family. `name` is without what its unit and its kind add.
    pub(crate) fn family(
        &mut self,
        name: &str,
        kind: Kind,
        unit: Option<Unit>,
        help: &str,
    ) -> Family<'_> {
        let (word, unit) = match unit {
            None => (name.to_owned(), None),
            Some(unit) => (format!("{name}_{}", unit.as_str()), Some(unit)),
        };
        let _ = writeln!(self.0, "# TYPE {word} {}", kind.as_str());
        if let Some(unit) = unit {
            let _ = writeln!(self.0, "# UNIT {word} {}", unit.as_str());
        }
        let _ = writeln!(self.0, "# HELP {word} {}", escape(help));
        Family { page: self, name: word, kind }
    }

    /// The whole text.
    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        let suffix = match self.kind {
            Kind::Gauge | Kind::StateSet => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Histogram => "_count",
        };
        self.line(suffix, labels, value.into());
    }

    /// Adds a histogram: for each bound how many values are in the bucket below it, the last one's having
    /// none; and the sum of all values, in microseconds as the bounds.
    pub(crate) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        bounds_us: &[u64],
        buckets: &[u64],
        sum_us: u64,
    ) {
        let mut count = 0;
        // A bound without a fraction is written with one.
        let bounds = bounds_us.iter().map(|us| format!("{:?}", *us as f64 / 1e6));
        for (bucket, bound) in buckets.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            count += bucket;
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.line("_bucket", &labels, count.into());
        }
        self.line("_count", labels, count.into());
        self.line("_sum", labels, Duration::from_micros(sum_us).into());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: Number) {
        let _ = write!(self.page.0, "{}{suffix}", self.name);
        for (at, (key, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.page.0, "{before}{key}=\"{}\"", escape(value));
        }
        if !labels.is_empty() {
            self.page.0.push('}');
        }
        let _ = match value {
            Number::Whole(value) => writeln!(self.page.0, " {value}"),
            Number::Seconds(value) => {
                writeln!(self.page.0, " {}.{:03}", value.as_secs(), value.subsec_millis())
            }
        };
    }

    /// Adds a sample unless there is nothing to tell.
    pub(crate) fn known(&mut self, labels: &[(&str, &str)], value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    /// Adds a sample for each of the states: 1 for the one that is, 0 for all others.
    pub(crate) fn states(&mut self, labels: &[(&str, &str)], all: &[&str], now: &str) {
        let name = self.name.clone();
        for state in all {
            let labels = [labels, &[(name.as_str(), *state)]].concat();
            self.sample(&labels, *state == now);
        }
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::StateSet => "stateset",
            Self::Info => "info",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<Duration> for Number {
    fn from(value: Duration) -> Self {
        Self::Seconds(value)
    }
}

/// The seconds since 1970.
impl From<SystemTime> for Number {
    fn from(time: SystemTime) -> Self {
        Self::Seconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// A label's value, or a help text.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_all_kinds() {
        let mut page = Page::default();
        page.family("a", Kind::Info, None, "Who.").sample(&[("version", "1")], 1u64);
        page.family("b", Kind::Counter, None, "How \\ \"often\".")
            .sample(&[("x", "1\\2\n\"3\""), ("y", "ü")], 7u64);
        let mut waited = page.family("c_wait", Kind::Gauge, Some(Unit::Seconds), "How long.");
        waited.sample(&[], Duration::from_millis(1_005));
        waited.known(&[("x", "y")], None::<u64>);
        page.family("d_size", Kind::Gauge, Some(Unit::Bytes), "How much.").sample(&[], u64::MAX);
        page.family("e", Kind::StateSet, None, "What.").states(&[("x", "y")], &["p", "q"], "q");
        page.family("f_time", Kind::Gauge, Some(Unit::Seconds), "When.").sample(&[], UNIX_EPOCH);
        assert_eq!(
            page.finish(),
            "# TYPE a info\n# HELP a Who.\na_info{version=\"1\"} 1\n\
             # TYPE b counter\n# HELP b How \\\\ \\\"often\\\".\n\
             b_total{x=\"1\\\\2\\n\\\"3\\\"\",y=\"ü\"} 7\n\
             # TYPE c_wait_seconds gauge\n# UNIT c_wait_seconds seconds\n\
             # HELP c_wait_seconds How long.\nc_wait_seconds 1.005\n\
             # TYPE d_size_bytes gauge\n# UNIT d_size_bytes bytes\n# HELP d_size_bytes How much.\n\
             d_size_bytes 18446744073709551615\n\
             # TYPE e stateset\n# HELP e What.\ne{x=\"y\",e=\"p\"} 0\ne{x=\"y\",e=\"q\"} 1\n\
             # TYPE f_time_seconds gauge\n# UNIT f_time_seconds seconds\n\
             # HELP f_time_seconds When.\nf_time_seconds 0.000\n# EOF\n"
        );
    }
}
