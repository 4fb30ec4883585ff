//! The arguments of commands that a running wrapper answers.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use coproc_control::request::Until;
use coproc_core::duration::GoDuration;
use coproc_core::name::Name;
use coproc_core::signal::Signal;

use super::ConfigArgs;

/// How a wrapper is found.
#[derive(Clone, Debug, Default, Args)]
pub struct Client {
    /// The control socket of the wrapper, in place of the one that the config names.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// A port of the wrapper, `http://HOST:PORT`, in place of its socket.
    #[arg(long, value_name = "URL", conflicts_with = "socket")]
    pub url: Option<String>,

    /// The file with the token that is shown there.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub token_file: Option<PathBuf>,

    /// The config, as `run` reads it.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `coproc status`.
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The form.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,

    /// A coprocess, the name that its replicas share, or `main`; without it, all.
    #[arg(value_parser = process_name)]
    pub name: Option<String>,
}

/// The forms of `coproc status`, `coproc why` and `coproc stop --plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// Plain text, for people.
    Text,
    /// JSON, for programs.
    Json,
}

/// `coproc why`.
#[derive(Clone, Debug, Args)]
pub struct Why {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The form.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,

    /// A coprocess, `main`, or a key of the config, such as `shutdown_timeout` or `log.level`.
    pub name: Option<String>,
}

/// `coproc events`.
#[derive(Clone, Debug, Args)]
pub struct Events {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// Stay, and show events as they happen.
    #[arg(long)]
    pub follow: bool,

    /// Begin after the event of this number.
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
}

/// `coproc logs`.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// Stay, and show lines as they come.
    #[arg(long)]
    pub follow: bool,

    /// How many lines to begin with.
    #[arg(short = 'n', value_name = "N")]
    pub lines: Option<usize>,

    /// A coprocess, the name that its replicas share, or `main`; without it, all.
    pub name: Option<String>,
}

/// A command about one coprocess.
#[derive(Clone, Debug, Args)]
pub struct OneName {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The name; of coprocesses, one that replicas share stands for all of them.
    #[arg(value_parser = process_name)]
    pub name: String,
}

/// `coproc top`.
#[cfg(feature = "top")]
#[derive(Clone, Debug, Args)]
pub struct Top {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// How often processor time and memory are asked for, at least 100ms.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub interval: GoDuration,
}

/// `coproc wait`.
#[derive(Clone, Debug, Args)]
pub struct Wait {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// What is waited for: `started`, its program runs; `ready`, it serves; `exited`, a run of it has
    /// ended and none is under way; `stopped`, it is down and stays so unless an order or an event
    /// starts it; `failed`, it was given up.
    #[arg(long = "for", value_name = "WHAT", default_value = "ready")]
    #[arg(value_parser = PossibleValuesParser::new(Until::WORDS.split('|')))]
    pub until: String,

    /// How long it may take, such as 30s; without it, and with 0, as long as it takes.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<GoDuration>,

    /// The name of the coprocess, or `main`; the one that replicas share is for all of them.
    #[arg(value_parser = process_name)]
    pub name: String,
}

/// `coproc stop`.
#[derive(Clone, Debug, Args)]
pub struct Stop {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// Tell what a stop of all would be like, and stop nothing.
    #[arg(long, conflicts_with = "name")]
    pub plan: bool,

    /// The form of the plan.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    #[arg(requires = "plan", conflicts_with = "name")]
    pub format: StatusFormat,

    /// The name.
    #[arg(value_parser = process_name, required_unless_present = "plan")]
    pub name: Option<String>,
}

/// What `coproc reload --config` is taken for where no file follows; no file can have that name.
pub(super) const ANEW: &str = "-";

/// `coproc reload`.
#[derive(Clone, Debug, Args)]
pub struct Reload {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// Read coproc's own config anew; with FILE, a config file that tells where the wrapper is.
    #[arg(
        id = "config",
        long = "config",
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = ANEW,
        help_heading = "Config"
    )]
    pub config: Vec<PathBuf>,

    /// Tell what reading the config anew would change, and change nothing.
    #[arg(long)]
    pub plan: bool,

    /// The form of what is told.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
}

impl Reload {
    /// Whether it is about coproc's own config.
    pub fn is_of_config(&self) -> bool {
        self.plan || self.config.iter().any(|file| file.as_os_str() == ANEW)
    }
}

/// `coproc set`.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The name of the coprocess.
    #[arg(value_parser = process_name)]
    pub name: String,

    /// What to change.
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment)]
    pub changes: Vec<(String, String)>,
}

/// `coproc signal`.
#[derive(Clone, Debug, Args)]
pub struct SendSignal {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The name of the coprocess, or `main`; the one that replicas share is for all of them.
    #[arg(value_parser = process_name)]
    pub name: String,

    /// Such as `TERM`, `SIGTERM` or `15`.
    #[arg(value_name = "SIG")]
    pub signal: Signal,
}

/// Refuses what can be no name, `main` aside.
fn process_name(text: &str) -> Result<String, String> {
    match text.parse::<Name>() {
        Ok(_) | Err(coproc_core::name::NameError::Taken) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected `KEY=VALUE`")?;
    Ok((key.to_owned(), value.to_owned()))
}
