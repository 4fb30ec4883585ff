//! The arguments of commands that ask no running wrapper, and of those that ask one for its tasks.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use coproc_core::duration::GoDuration;

use super::ConfigArgs;

/// `coproc run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Write to this file at the end, as JSON, what made the wrapper leave, with which status, and the
    /// last lines of who did.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// The main program and its arguments.
    #[arg(last = true, value_name = "MAIN")]
    pub main: Vec<String>,
}

/// `coproc exec`.
#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// The name of one of several sockets in the config, or the path of any socket, with a slash.
    #[arg(long, value_name = "NAME|PATH")]
    pub socket: Option<OsString>,

    /// The config, as `run` reads it.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub words: Vec<OsString>,
}

/// `coproc exec-server`.
#[derive(Clone, Debug, Args)]
pub struct ExecServer {
    /// Options and the path.
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub words: Vec<OsString>,
}

/// `coproc coordinator`.
#[derive(Clone, Debug, Args)]
pub struct Coordinator {
    /// The options, which are mistify's.
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// `coproc debug`.
#[derive(Clone, Debug, Args)]
pub struct Debug {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// The form; without it, one aligned line a key.
    #[arg(long, value_enum)]
    pub format: Option<DebugFormat>,
}

/// The forms of `coproc debug` besides the plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DebugFormat {
    /// TOML, with the origin of each value as a comment.
    Toml,
    /// JSON, for programs.
    Json,
}

/// `coproc schema`.
#[derive(Clone, Copy, Debug, Args)]
pub struct SchemaArgs {
    /// Print the description of the control API in OpenAPI 3.1.
    #[arg(long)]
    pub openapi: bool,
}

/// `coproc completions`.
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `coproc man`.
#[derive(Clone, Debug, Args)]
pub struct Man {
    /// A command, or `coproc.toml` for the page about config files; without one, coproc(1).
    #[arg(value_name = "PAGE", conflicts_with = "dir")]
    pub page: Option<String>,

    /// Write all pages to the folders man1 and man5 in this one, and print none.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `coproc task`.
#[derive(Clone, Debug, Default, Args)]
pub struct Task {
    /// The socket of the coordinator, in place of the one that the config names.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub socket: Option<PathBuf>,

    /// The address of the coordinator, `http://HOST:PORT` or `unix://PATH`. -c may name it too.
    #[arg(short, long, value_name = "URL")]
    pub url: Option<String>,

    /// Where the answer of a coordinator over HTTP is listened for; without it at a free port of the
    /// address from which it is reached.
    #[arg(short, long, value_name = "HOST:PORT")]
    pub response_address: Option<String>,

    /// The config, as `run` reads it.
    #[command(flatten)]
    pub config: ConfigArgs,

    /// The name of the task, in place of TASK.
    #[arg(short, long, value_name = "TASK")]
    pub task: Option<String>,

    /// An argument, or several with commas between them; may be repeated.
    #[arg(short = 'a', long = "arg", value_name = "KEY=VALUE")]
    pub args: Vec<String>,

    /// An argument whose value is text, whatever it looks like; may be repeated.
    #[arg(long = "raw-string", value_name = "KEY=VALUE")]
    pub texts: Vec<String>,

    /// Offer standard input to the provider as a stream.
    #[arg(short, long)]
    pub stream: bool,

    /// How long the answer may take, such as 90s. Without it, and with 0, as long as the config's
    /// request_timeout, or 60s where the coordinator is named by its socket or address.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<GoDuration>,

    /// Print the tasks that are offered and their providers, and ask for none.
    #[arg(long, conflicts_with_all = ["name", "task", "json", "args", "texts", "stream", "timeout"])]
    pub list: bool,

    /// The name of the task.
    #[arg(value_name = "TASK")]
    pub name: Option<String>,

    /// Its arguments, or `-` to read them from standard input.
    #[arg(value_name = "JSON")]
    pub json: Option<String>,
}

impl Task {
    /// The name of the task, whichever way it was said.
    pub fn task_name(&self) -> Option<&str> {
        self.task.as_deref().or(self.name.as_deref())
    }

    /// How long the answer may take, if that was said.
    pub fn limit(&self) -> Option<std::time::Duration> {
        self.timeout.map(|limit| limit.pause()).filter(|limit| !limit.is_zero())
    }
}
