//! The shape of a line: logrus's text, its coloured form for terminals, or JSON.

mod json;
mod stamp;
mod terminal;
mod text;

use std::time::SystemTime;

use coproc_core::output::Line;
use jiff::tz::TimeZone;
use memchr::memmem;

use super::config::{Formatter, TextOptions};
use stamp::Stamp;
use terminal::When;

/// What a line's shape depends on beside the config.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Is the destination a terminal?
    pub terminal: bool,
    /// The zone of the times.
    pub zone: TimeZone,
    /// When coproc started.
    pub start: SystemTime,
    /// The variable `CLICOLOR`.
    pub clicolor: Option<String>,
    /// The variable `CLICOLOR_FORCE`.
    pub clicolor_force: Option<String>,
}

/// Turns lines into bytes.
#[derive(Debug)]
pub struct Format(Shape);

#[derive(Debug)]
enum Shape {
    Text { quotes: text::Quotes, stamp: Option<Stamp> },
    Terminal { levels: terminal::Levels, when: When },
    Json { layout: json::Layout, stamp: Option<Stamp>, data_key: Option<String> },
}

impl Format {
    /// The shape that the config asks for.
    pub fn new(formatter: &Formatter, around: &Surroundings) -> Self {
        let zone = around.zone.clone();
        Self(match formatter {
            Formatter::Text(options) if coloured(options, around) => {
                let layout = options.timestamp_format.as_deref();
                let when = match (options.disable_timestamp, options.full_timestamp) {
                    (true, _) => When::Never,
                    (false, false) => When::Since(around.start),
                    (false, true) => When::Full(Stamp::new(layout, zone, |text, out| {
                        out.extend_from_slice(text);
                    })),
                };
                Shape::Terminal { levels: terminal::Levels::new(options), when }
            }
            Formatter::Text(options) => {
                let encode = if options.force_quote { text::quoted_time } else { text::time };
                let layout = options.timestamp_format.as_deref();
                let stamp = (!options.disable_timestamp).then(|| Stamp::new(layout, zone, encode));
                Shape::Text { quotes: text::Quotes::new(options), stamp }
            }
            Formatter::Json(options) => {
                let layout = options.timestamp_format.as_deref();
                let stamp =
                    (!options.disable_timestamp).then(|| Stamp::new(layout, zone, json::time));
                let layout = json::Layout::new(options.pretty_print);
                Shape::Json { layout, stamp, data_key: options.data_key.clone() }
            }
        })
    }

    /// Appends a line with its newline to `out`.
    pub fn line(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        match &mut self.0 {
            Shape::Text { quotes, stamp } => text::line(line, stamp.as_mut(), *quotes, out),
            Shape::Terminal { levels, when } => terminal::line(line, *levels, when, out),
            Shape::Json { layout, stamp, data_key } => {
                json::line(line, stamp.as_mut(), data_key.as_deref(), *layout, out);
            }
        }
    }

    /// How many lines end in `bytes`.
    pub fn count(&self, bytes: &[u8]) -> u64 {
        let end = match &self.0 {
            Shape::Json { layout, .. } => layout.close(),
            Shape::Text { .. } | Shape::Terminal { .. } => b"\n",
        };
        memmem::find_iter(bytes, end).count() as u64
    }
}

/// logrus's rule.
fn coloured(options: &TextOptions, around: &Surroundings) -> bool {
    let mut coloured = options.force_colors || around.terminal;
    if options.environment_override_colors {
        let off = |variable: &Option<String>| variable.as_deref() == Some("0");
        coloured = match &around.clicolor_force {
            Some(force) => force != "0",
            None if off(&around.clicolor) => false,
            None => coloured,
        };
    }
    coloured && !options.disable_colors
}

#[cfg(test)]
mod tests;
