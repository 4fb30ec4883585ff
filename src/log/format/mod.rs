//! The shape of a line: logrus's text, its coloured form for terminals, JSON, or the line as it is.

mod json;
mod merged;
mod plain;
mod stamp;
mod terminal;
mod text;

pub(super) use json::base64;

use std::time::SystemTime;

use coproc_core::output::{Form, Line};
use jiff::tz::TimeZone;

use super::config::{Options, TextOptions};
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
pub struct Format {
    form: Form,
    options: Options,
    around: Surroundings,
    /// By form, each made when the first line needs it.
    shapes: [Option<Shape>; Form::COUNT],
}

#[derive(Debug)]
enum Shape {
    Text { quotes: text::Quotes, stamp: Option<Stamp> },
    Terminal { levels: terminal::Levels, when: When },
    Json { layout: json::Layout, stamp: Option<Stamp>, data_key: Option<String> },
    Raw,
    Prefix { stamp: Option<Stamp>, terminal: bool },
    Merged { stamp: Option<Stamp> },
}

impl Format {
    /// The form that the config asks for, and others for lines that have their own.
    pub fn new(form: Form, options: &Options, around: &Surroundings) -> Self {
        let (options, around) = (options.clone(), around.clone());
        Self { form, options, around, shapes: Default::default() }
    }

    /// Appends a line with its newline to `out`.
    pub fn line(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        let Self { form, options, around, shapes } = self;
        let form = line.form.unwrap_or(*form);
        match shapes[form as usize].get_or_insert_with(|| Shape::new(form, options, around)) {
            Shape::Text { quotes, stamp } => text::line(line, stamp.as_mut(), *quotes, out),
            Shape::Terminal { levels, when } => terminal::line(line, *levels, when, out),
            Shape::Json { layout, stamp, data_key } => {
                json::line(line, stamp.as_mut(), data_key.as_deref(), *layout, out);
            }
            Shape::Raw => plain::raw(line, out),
            Shape::Prefix { stamp, terminal } => {
                plain::prefix(line, stamp.as_mut(), *terminal, out);
            }
            Shape::Merged { stamp } => merged::line(line, stamp.as_mut(), out),
        }
    }

    /// How many lines end in `bytes`.
    pub fn count(&self, bytes: &[u8]) -> u64 {
        let ends = memchr::memchr_iter(b'\n', bytes);
        match self.options.json.pretty_print {
            false => ends.count() as u64,
            // What goes on with an object begins with a blank, and its last line with a brace.
            true => {
                ends.filter(|&at| !matches!(bytes.get(at + 1), Some(b' ' | b'}'))).count() as u64
            }
        }
    }
}

impl Shape {
    fn new(form: Form, options: &Options, around: &Surroundings) -> Self {
        let Options { text, json } = options;
        let stamp = |disabled: bool, layout: Option<&str>, encode| {
            (!disabled).then(|| Stamp::new(layout, around.zone.clone(), encode))
        };
        let json_stamp =
            || stamp(json.disable_timestamp, json.timestamp_format.as_deref(), json::time);
        match form {
            Form::Text if coloured(text, around) => {
                let layout = text.timestamp_format.as_deref();
                let when = match (text.disable_timestamp, text.full_timestamp) {
                    (true, _) => When::Never,
                    (false, false) => When::Since(around.start),
                    (false, true) => When::Full(Stamp::new(layout, around.zone.clone(), bare)),
                };
                Self::Terminal { levels: terminal::Levels::new(text), when }
            }
            Form::Text => {
                let encode = if text.force_quote { text::quoted_time } else { text::time };
                let layout = text.timestamp_format.as_deref();
                let stamp = stamp(text.disable_timestamp, layout, encode);
                Self::Text { quotes: text::Quotes::new(text), stamp }
            }
            Form::Json => {
                let layout = json::Layout::new(json.pretty_print);
                Self::Json { layout, stamp: json_stamp(), data_key: json.data_key.clone() }
            }
            Form::Raw => Self::Raw,
            Form::Prefix => {
                let layout = json.timestamp_format.as_deref().unwrap_or(plain::MILLIS);
                let stamp = stamp(json.disable_timestamp, Some(layout), bare);
                Self::Prefix { stamp, terminal: around.terminal }
            }
            Form::Merged => Self::Merged { stamp: json_stamp() },
        }
    }
}

/// A time without any quotes.
fn bare(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text);
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
