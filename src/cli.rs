//! The command line, exactly as it was typed: nothing in here looks at a file or the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use coproc_core::name::Name;
use coproc_core::signal::Signal;

/// Runs a main process together with its coprocesses under one supervision tree.
///
/// coproc starts helpers (coprocesses) on the life-cycle events of a main process, nginx or any
/// other, restarts them, logs them, and stops them with it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "coproc",
    version,
    max_term_width = 100,
    disable_help_subcommand = false,
    arg_required_else_help = false,
    after_help = ROOT_NOTES
)]
pub struct Cli {
    /// A config file, as `-c` of a command names one.
    #[arg(long = "config", value_name = "FILE", global = true, help_heading = "Config")]
    pub config: Vec<PathBuf>,

    /// What to do; without one, the help is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const ROOT_NOTES: &str = "\
Where the config comes from:
  Without -c and COPROC_CONFIG, coproc.toml in the current directory is read, else nginx-wrapper.toml.
  A value of `--set` wins over the environment (COPROC_LOG__LEVEL=debug), which wins over the files.

Examples:
  coproc check                                   validate the config, with every problem at once
  coproc run                                     run nginx and its coprocesses
  coproc run -c agents.toml -- ./server --port 80
  COPROC_LOG__LEVEL=debug coproc run --set main.stop_signal=QUIT

In a shell:
  coproc is a reserved word of bash and zsh: type `command coproc ...` there, or `\\coproc ...`.

Exit status:
  0    success; `run` exits as the main process does, and with 128+N where signal N ended it
  1    coproc itself failed
  2    the config or the command line is wrong; nothing was started
  3    no wrapper answers on the control socket
  126  the main program cannot be executed
  127  the main program was not found";

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the main process and its coprocesses until the main process ends.
    #[command(after_help = RUN_NOTES)]
    Run(Run),
    /// Run a program over an exec socket, as if it were run here.
    #[command(after_help = EXEC_NOTES)]
    Exec(Exec),
    /// Serve one exec socket and nothing else, with the options of sockexec.
    #[command(disable_help_flag = true, after_help = EXEC_SERVER_NOTES)]
    ExecServer(ExecServer),
    /// Validate the config: every problem at once, with its place and what was expected.
    #[command(after_help = CHECK_NOTES)]
    Check(ConfigArgs),
    /// Print the effective config: each value, who said it and what it overrides.
    Debug(Debug),
    /// Print the JSON Schema of the config files.
    Schema,
    /// Print the version, the commit and the time of the build.
    Version,
    /// Show the main process and the coprocesses of a running wrapper.
    Status(Status),
    /// Show what happened in a running wrapper, one JSON object a line.
    Events(Events),
    /// Show the latest output of the main process or of a coprocess.
    Logs(Logs),
    /// Start a coprocess.
    Start(OneName),
    /// Stop a coprocess, with its stop command.
    Stop(OneName),
    /// Stop a coprocess and start it again.
    Restart(OneName),
    /// Change settings of a running coprocess.
    #[command(after_help = SET_NOTES)]
    Set(Set),
    /// Let events go on without waiting for a coprocess.
    Background(OneName),
    /// Let events wait for a coprocess to end.
    Foreground(OneName),
    /// Send a signal to a coprocess or to the main process.
    Signal(SendSignal),
    /// Make the main process read its configuration again.
    Reload(Client),
    /// Publish the event custom.NAME.
    Emit(OneName),
    /// Say whether all that is meant to be up is ready: exit status 0 or 1.
    #[command(after_help = HEALTH_NOTES)]
    Health(Client),
}

const RUN_NOTES: &str = "\
Examples:
  coproc run
  coproc run -c base.toml -c site.toml --set coprocess.consul.user=consul
  coproc run -- ./server --port 80

Exit status: that of the main process, 128+N where signal N ended it; 1 where coproc itself failed; \
2 for a wrong config; 126 or 127 where the main program cannot be executed or was not found.";

const EXEC_NOTES: &str = "\
The socket is that of [exec_socket] in the config, or of COPROC_EXEC_SOCKET__PATH, or of --socket. No \
shell is run: `coproc exec sh -c '...'` asks for one.

Standard input is passed on until it ends, a terminal's too; in the background of a terminal, use \
</dev/null.

The first INT or TERM closes the connection, at which the server ends the program: with TERM, and in \
the end KILL. What has come already is still written. The second one leaves at once.

Exit status: that of the program, 128+N where signal N ended it or this command; 127 or 126 where the \
server does not find it or cannot execute it; 111 where no server answers or it leaves without a \
status; 2 for a wrong command line or config; 1 where input or output fails here.

Examples:
  coproc exec uname -a
  tar c /srv | coproc exec --socket /run/backup.sock tar x -C /backup";

const EXEC_SERVER_NOTES: &str = "\
Usage: coproc exec-server [-v] [-d] [-q queue] [-M mode] [-m max] [-t seconds] [-k seconds] PATH

  -v          print the version
  -d          log every run with its arguments
  -q queue    how many clients may wait to be accepted (100)
  -M mode     the mode of the socket's file (0660)
  -m max      how many connections are served at once (100)
  -t seconds  how long a connection may last, 0 is for ever (60)
  -k seconds  how long a program has between TERM and KILL (10)

Exit status: 0 after TERM or INT, 100 for a wrong command line, 111 where the socket cannot be served.";

const CHECK_NOTES: &str = "\
Nothing is started and nothing but the config files is looked at.

Exit status: 0 if the config is valid, 2 if it is not.";

const HEALTH_NOTES: &str = "\
Prints a line for each that is not well: the main process, a coprocess that is starting, not ready, \
waiting to be started again after a failure, or given up by its restart policy. Made for containers:
  HEALTHCHECK CMD [\"coproc\", \"health\"]

Exit status: 0 if all is well, 1 if not, or if no wrapper answers. Never 2, which Docker reserves.";

const SET_NOTES: &str = "\
Keys: restarts, time_between_restarts, background.

Example:
  coproc set consul restarts=unlimited time_between_restarts=5s";

/// Where the config comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// A config file; may be repeated, later files win.
    #[arg(short = 'c', value_name = "FILE", help_heading = "Config")]
    pub files: Vec<PathBuf>,

    /// A value of a dotted key, such as `coprocess.web.restarts=never`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Config")]
    pub set: Vec<String>,
}

/// `coproc run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,

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
    pub words: Vec<std::ffi::OsString>,
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

/// How a wrapper is found.
#[derive(Clone, Debug, Default, Args)]
pub struct Client {
    /// The control socket of the wrapper, in place of the one that the config names.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

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
}

/// The forms of `coproc status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// A table, for people.
    Text,
    /// JSON, for programs.
    Json,
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

    /// A coprocess, or `main`; without it, all.
    pub name: Option<String>,
}

/// A command about one coprocess.
#[derive(Clone, Debug, Args)]
pub struct OneName {
    /// The wrapper.
    #[command(flatten)]
    pub client: Client,

    /// The name.
    #[arg(value_parser = process_name)]
    pub name: String,
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

    /// The name of the coprocess, or `main`.
    #[arg(value_parser = process_name)]
    pub name: String,

    /// Such as `TERM`, `SIGTERM` or `15`.
    #[arg(value_name = "SIG")]
    pub signal: Signal,
}

impl Cli {
    /// The config files in the order of the command line: `--config` first, then `-c`.
    pub fn files(&self, args: &ConfigArgs) -> Vec<PathBuf> {
        self.config.iter().chain(&args.files).cloned().collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn config_stands_before_or_after_the_command() {
        let files = |args: &[&str]| {
            let cli = Cli::try_parse_from(args).unwrap();
            let Some(Command::Check(args)) = &cli.command else { panic!("a check") };
            cli.files(args)
        };
        assert_eq!(files(&["coproc", "--config", "a", "check"]), [PathBuf::from("a")]);
        assert_eq!(files(&["coproc", "check", "--config=a"]), [PathBuf::from("a")]);
        assert_eq!(
            files(&["coproc", "check", "-c", "a", "-c", "b"]),
            [PathBuf::from("a"), PathBuf::from("b")]
        );
    }

    #[test]
    fn all_after_two_dashes_is_the_main_program() {
        let cli = Cli::try_parse_from(["coproc", "run", "--", "server", "-c", "x"]).unwrap();
        let Some(Command::Run(run)) = cli.command else { panic!("a run") };
        assert_eq!(run.main, ["server", "-c", "x"]);
    }
}
