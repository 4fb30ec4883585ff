//! What the `[log]` table says, checked and with defaults filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use coproc_core::output::{Form, Level};

/// The settings of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// Lines below it are not written.
    pub level: Level,
    /// Where lines go.
    pub destination: Destination,
    /// The form of a line, unless its process has one of its own.
    pub form: Form,
    /// The options of all forms.
    pub options: Options,
    /// The longest piece of a child's line in bytes; longer lines are split and marked.
    pub max_line: usize,
    /// How much of each child's output `coproc logs` can look back on, in bytes.
    pub history: usize,
    /// How many of coproc's own lines may wait for a slow destination.
    pub queue: usize,
    /// How long the end of a process waits for the end of its output, which a stranger may hold open.
    pub drain_timeout: Duration,
    /// When a log file is put aside.
    pub rotation: Option<Rotation>,
    /// Where lines go as well.
    pub forward: Vec<ForwardConfig>,
}

/// A place that lines are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardConfig {
    /// The name of its table.
    pub name: String,
    /// Where it is, and what is spoken there.
    pub target: Target,
    /// Lines below it are not forwarded.
    pub level: Level,
    /// How many lines may wait.
    pub queue: usize,
    /// The facility of syslog.
    pub facility: u8,
    /// The attributes of OTLP's resource.
    pub resource: BTreeMap<String, String>,
    /// Fields of the heads of OTLP's requests.
    pub headers: BTreeMap<String, String>,
}

/// Where lines are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A syslog daemon.
    Syslog(Way),
    /// A collector that speaks OTLP over HTTP.
    Otlp(Collector),
}

/// The way to a syslog daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A socket for datagrams.
    Unix(PathBuf),
    /// `HOST:PORT`, in datagrams.
    Udp(String),
    /// `HOST:PORT`, as a stream.
    Tcp(String),
}

/// A collector that speaks OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// `HOST:PORT`.
    pub authority: String,
    /// The path, with its slash.
    pub path: String,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The wrapper's standard output.
    Stdout,
    /// The wrapper's standard error.
    Stderr,
    /// A file, created with mode 0640 and appended to.
    File(PathBuf),
}

/// Rotation of a log file by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file that would grow beyond this many bytes is put aside.
    pub max_size: u64,
    /// How many files that were put aside are kept.
    pub keep: u32,
}

/// What changes the forms. The time's options of JSON count for those forms too that nginx-wrapper has
/// not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Of `TextFormatter`.
    pub text: TextOptions,
    /// Of `JSONFormatter`.
    pub json: JsonOptions,
}

/// The options of nginx-wrapper's text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Colours even where the destination is no terminal.
    pub force_colors: bool,
    /// Never colours.
    pub disable_colors: bool,
    /// Every value in quotes.
    pub force_quote: bool,
    /// `CLICOLOR` and `CLICOLOR_FORCE` decide on colours.
    pub environment_override_colors: bool,
    /// No time.
    pub disable_timestamp: bool,
    /// On a terminal the full time in place of the seconds since the start.
    pub full_timestamp: bool,
    /// Kept for old files: coproc's fields have one order.
    pub disable_sorting: bool,
    /// On a terminal the whole level word in place of its first four letters.
    pub disable_level_truncation: bool,
    /// On a terminal the level is padded to seven letters.
    pub pad_level_text: bool,
    /// Quotes around an empty value.
    pub quote_empty_fields: bool,
    /// Go's layout of the time.
    pub timestamp_format: Option<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            force_colors: false,
            disable_colors: false,
            force_quote: false,
            environment_override_colors: false,
            disable_timestamp: false,
            full_timestamp: true,
            disable_sorting: false,
            disable_level_truncation: false,
            pad_level_text: true,
            quote_empty_fields: false,
            timestamp_format: None,
        }
    }
}

/// The options of nginx-wrapper's JSON form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// Two blanks of indentation.
    pub pretty_print: bool,
    /// No time.
    pub disable_timestamp: bool,
    /// Go's layout of the time.
    pub timestamp_format: Option<String>,
    /// An empty object under this key, as nginx-wrapper had it.
    pub data_key: Option<String>,
}
