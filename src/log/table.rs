//! The `[log]` table as it is written, and what it resolves to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use coproc_core::count::{Bytes, Count};
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::output::{Form, Level};
use coproc_core::refusal::Refusal;
use coproc_core::scalar::Scalar;
use coproc_core::text::Text;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::config::{Destination, JsonOptions, LogConfig, Options, Rotation, TextOptions};
use super::forward::table::ForwardTable;
use super::level::LevelWord;

/// The log: coproc's own lines, and those of the main process and of all coprocesses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct LogTable {
    /// Lines below it are not written.
    #[schemars(example = &"debug")]
    pub level: Option<LevelWord>,
    /// `STDOUT`, `STDERR` or the path of a file, which is created with mode 0640 and appended to.
    #[schemars(example = &"/var/log/coproc.log")]
    pub destination: Option<String>,
    /// The shape of a line: `TextFormatter` or `JSONFormatter`, or in short `text` or `json`; `raw` is
    /// the line as it was written, `prefix` the same behind a time and a name, and `merged` JSON in
    /// which a process's own JSON object is no text.
    #[schemars(example = &"json")]
    pub formatter_name: Option<Form>,
    /// Options of the formatter, by nginx-wrapper's names in snake case or title case. Those of
    /// other formatters have no effect. Default: `full_timestamp` and `pad_level_text` are on.
    #[schemars(example = serde_json::json!({ "force_colors": true }))]
    pub formatter_options: Option<FormatterOptions>,
    /// The longest piece of a child's line, in bytes; a longer line is split. At least 64.
    #[schemars(example = &"64KiB")]
    pub max_line: Option<Bytes>,
    /// How much of each child's output `coproc logs` can look back on, in bytes.
    #[schemars(example = &"1MiB")]
    pub history: Option<Bytes>,
    /// How many of coproc's own lines may wait for a slow destination. Further ones are dropped and
    /// counted; children wait instead.
    #[schemars(example = 1024)]
    pub queue: Option<Count>,
    /// How long the end of a process waits for the end of its output, which something that it left
    /// behind may hold open.
    #[schemars(example = &"5s")]
    pub drain_timeout: Option<Span>,
    /// The size in bytes at which a log file is put aside as `FILE.1`. Default: never.
    #[schemars(example = &"10MB")]
    pub max_size: Option<Bytes>,
    /// How many files that were put aside are kept.
    #[schemars(example = 10)]
    pub keep: Option<Count>,
    /// Where lines go as well, each place under a name of its own. Default: nowhere.
    #[schemars(example = serde_json::json!({ "siem": { "to": "tcp://logs.example.test:601" } }))]
    pub forward: Option<BTreeMap<String, ForwardTable>>,
}

/// The options of both formatters, and what they do.
pub const OPTIONS: [(&str, &str); 13] = [
    ("force_colors", "Text: colours even where the destination is no terminal."),
    ("disable_colors", "Text: never colours."),
    ("force_quote", "Text: every value in quotes."),
    (
        "environment_override_colors",
        "Text: the variables `CLICOLOR` and `CLICOLOR_FORCE` decide on colours.",
    ),
    ("disable_timestamp", "No time."),
    (
        "full_timestamp",
        "Text, on a terminal: the full time in place of the seconds since the start.",
    ),
    ("disable_sorting", "Has no effect: coproc's fields have one order."),
    (
        "disable_level_truncation",
        "Text, on a terminal: the whole word of the level in place of its first four letters, where \
         it is not padded.",
    ),
    ("pad_level_text", "Text, on a terminal: the level is padded to seven letters."),
    ("quote_empty_fields", "Text: quotes around an empty value."),
    (
        "timestamp_format",
        "The time in a layout of Go's time package, such as `2006-01-02 15:04:05`.",
    ),
    ("pretty_print", "JSON: indented by two blanks."),
    ("data_key", "JSON: an empty object under this key, as nginx-wrapper had it."),
];

/// The options that are on where nobody says anything.
pub const OPTIONS_ON: [&str; 2] = ["full_timestamp", "pad_level_text"];

/// Options of a formatter, by names that [`option_name`] knows, and perhaps others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct FormatterOptions(pub BTreeMap<String, Text>);

impl JsonSchema for FormatterOptions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FormatterOptions".into()
    }

    // By their first names; other spellings pass as well.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let properties = OPTIONS.iter().map(|(name, what)| {
            let is_text = ["timestamp_format", "data_key"].contains(name);
            let mut schema = match is_text {
                true => generator.subschema_for::<Text>(),
                false => generator.subschema_for::<Flag>(),
            };
            schema.insert("description".to_owned(), (*what).into());
            if !is_text {
                schema.insert("default".to_owned(), OPTIONS_ON.contains(name).into());
            }
            ((*name).to_owned(), schema.to_value())
        });
        let properties = properties.collect::<serde_json::Map<_, _>>();
        let mut schema = generator.subschema_for::<BTreeMap<String, Text>>();
        schema.insert("properties".to_owned(), properties.into());
        schema
    }
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 8] = [
    ("destination", "STDOUT"),
    ("drain_timeout", "1s"),
    ("formatter_name", "TextFormatter"),
    ("history", "16KiB"),
    ("keep", "5"),
    ("level", "INFO"),
    ("max_line", "16KiB"),
    ("queue", "8192"),
];

const PIECE: u64 = 16 * 1024;

/// The least length of a piece: a smaller one could not hold a line's own head.
const SHORTEST_PIECE: u64 = 64;

/// The snake case name of an option that is written in any case, with underscores or without.
pub fn option_name(text: &str) -> Option<&'static str> {
    let bare = |text: &str| text.replace('_', "").to_ascii_lowercase();
    OPTIONS.into_iter().map(|(name, _)| name).find(|name| bare(name) == bare(text))
}

impl LogTable {
    /// Checks what single values cannot show, and fills the defaults in. Warnings are about
    /// options that no formatter has. `misdirected` are the names of places whose `to` is known to be
    /// wrong, so that it does not count as missing.
    pub fn resolve(self, misdirected: &[&str]) -> Result<(LogConfig, Vec<String>), Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut warnings = Vec::new();
        let options = self.formatter_options.unwrap_or_default().0;
        let options = options
            .into_iter()
            .filter_map(|(key, value)| match option_name(&key) {
                Some(name) => Some((name, value.0)),
                None => {
                    warnings
                        .push(format!("log.formatter_options.{key}: no formatter has this option"));
                    None
                }
            })
            .collect();
        let form = self.formatter_name.unwrap_or_default();
        // Options of a form that is not the log's have no effect on it, not even a wrong one.
        let (mut of_text, mut of_json) = (Vec::new(), Vec::new());
        let options = Options {
            text: text_options(&options, &mut of_text),
            json: json_options(&options, &mut of_json),
        };
        refusals.append(if form == Form::Text { &mut of_text } else { &mut of_json });
        let max_line = self.max_line.map_or(PIECE, |bytes| bytes.0);
        if max_line < SHORTEST_PIECE {
            refusals.push(
                Refusal::wrong("max_line", format!("`{max_line}` bytes are too few"))
                    .expected("at least `64` bytes"),
            );
        }
        let queue = self.queue.map_or(8192, |count| count.0);
        if queue == 0 {
            refusals.push(
                Refusal::wrong("queue", "`0` lines leave no room for any").expected("at least `1`"),
            );
        }
        if self.max_size.is_some_and(|bytes| bytes.0 == 0) {
            refusals.push(
                Refusal::wrong("max_size", "`0` bytes hold no line")
                    .expected("a size, or no `max_size` for no rotation"),
            );
        }
        let level = self.level.map_or(Level::Info, |word| word.0);
        let forward = self.forward.unwrap_or_default().into_iter();
        let forward = forward
            .filter_map(|(name, table)| {
                table.resolve(&name, level, !misdirected.contains(&name.as_str()), &mut refusals)
            })
            .collect();
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let keep = self.keep.map_or(5, |count| count.0);
        let config = LogConfig {
            level,
            destination: destination(self.destination.as_deref().unwrap_or("STDOUT")),
            form,
            options,
            max_line: usize::try_from(max_line).unwrap_or(usize::MAX),
            history: self
                .history
                .map_or(PIECE as usize, |bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX)),
            queue: queue as usize,
            drain_timeout: self.drain_timeout.unwrap_or(Span::from_secs(1)).get(),
            rotation: self.max_size.map(|bytes| Rotation { max_size: bytes.0, keep }),
            forward,
        };
        Ok((config, warnings))
    }
}

fn destination(text: &str) -> Destination {
    match text.to_ascii_uppercase().as_str() {
        "" | "STDOUT" => Destination::Stdout,
        "STDERR" => Destination::Stderr,
        _ => Destination::File(text.into()),
    }
}

type Said = BTreeMap<&'static str, String>;

fn flag(options: &Said, name: &'static str, default: bool, refusals: &mut Vec<Refusal>) -> bool {
    let Some(text) = options.get(name) else { return default };
    Flag::read(text).map_or_else(
        || {
            refusals.push(
                Refusal::wrong("formatter_options", Flag::complaint(text))
                    .below(name)
                    .expected(Flag::EXPECTED),
            );
            default
        },
        |flag| flag.0,
    )
}

fn text_options(options: &Said, refusals: &mut Vec<Refusal>) -> TextOptions {
    let default = TextOptions::default();
    let mut flag = |name: &'static str, default| flag(options, name, default, refusals);
    TextOptions {
        force_colors: flag("force_colors", default.force_colors),
        disable_colors: flag("disable_colors", default.disable_colors),
        force_quote: flag("force_quote", default.force_quote),
        environment_override_colors: flag(
            "environment_override_colors",
            default.environment_override_colors,
        ),
        disable_timestamp: flag("disable_timestamp", default.disable_timestamp),
        full_timestamp: flag("full_timestamp", default.full_timestamp),
        disable_sorting: flag("disable_sorting", default.disable_sorting),
        disable_level_truncation: flag(
            "disable_level_truncation",
            default.disable_level_truncation,
        ),
        pad_level_text: flag("pad_level_text", default.pad_level_text),
        quote_empty_fields: flag("quote_empty_fields", default.quote_empty_fields),
        timestamp_format: options.get("timestamp_format").cloned().filter(|t| !t.is_empty()),
    }
}

fn json_options(options: &Said, refusals: &mut Vec<Refusal>) -> JsonOptions {
    JsonOptions {
        pretty_print: flag(options, "pretty_print", false, refusals),
        disable_timestamp: flag(options, "disable_timestamp", false, refusals),
        timestamp_format: options.get("timestamp_format").cloned().filter(|t| !t.is_empty()),
        data_key: options.get("data_key").cloned().filter(|t| !t.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<(LogConfig, Vec<String>), Vec<Refusal>> {
        serde_json::from_str::<LogTable>(json).unwrap().resolve(&[])
    }

    #[test]
    fn options_in_both_spellings_and_defaults_that_stay() {
        let (log, warnings) = resolve(
            r#"{"formatter_options": {"ForceColors": true, "disable_colors": "1", "zzz": 1}}"#,
        )
        .unwrap();
        assert_eq!(log.form, Form::Text);
        let options = log.options.text;
        assert!(options.force_colors && options.disable_colors);
        assert!(options.full_timestamp && options.pad_level_text);
        assert_eq!(warnings, ["log.formatter_options.zzz: no formatter has this option"]);
    }

    #[test]
    fn destinations_in_any_case() {
        assert_eq!(destination("stderr"), Destination::Stderr);
        assert_eq!(destination("Stdout"), Destination::Stdout);
        assert_eq!(destination("/var/log/x"), Destination::File("/var/log/x".into()));
    }
}
