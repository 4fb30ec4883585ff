//! The command line, exactly as it was typed: nothing in here looks at a file or the environment.

mod alone;
mod asking;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use self::alone::{
    Completions, Coordinator, Debug, DebugFormat, Exec, ExecServer, Man, Run, SchemaArgs, Task,
};
use self::asking::ANEW;
#[cfg(feature = "top")]
pub use self::asking::Top;
pub use self::asking::{
    Client, Events, Logs, OneName, Reload, SendSignal, Set, Status, StatusFormat, Stop, Wait, Why,
};
use crate::doctor::Doctor;
use crate::import::Import;
use crate::keys::Keys;
use crate::notes;
use crate::simulate::Simulate;

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
    after_help = "`coproc help COMMAND` says more about one, with examples and exit statuses."
)]
pub struct Cli {
    /// A config file, as `-c` of a command names one.
    #[arg(long = "config", value_name = "FILE", global = true, help_heading = "Config")]
    pub config: Vec<PathBuf>,

    /// What to do; without one, the help is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What may stand behind `coproc run`. Whatever is not understood here is read with all commands at hand.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct OfRun {
    #[arg(long)]
    config: Vec<PathBuf>,

    #[command(flatten)]
    run: Run,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the main process and its coprocesses until the main process ends.
    ///
    /// Without [main] in the config and without MAIN, the main process is nginx. The config is read
    /// and checked first: a wrong one is refused with every problem, and nothing is started. Then
    /// `pre-start` is published, the main process started when all that waits for it is done, and
    /// the log written to where log.destination says.
    ///
    /// TERM and INT stop the main process, then all coprocesses; a second one kills all. QUIT lets
    /// nginx finish its requests. HUP and USR2 reload, USR1 opens the log files anew, any other
    /// signal goes to the main process.
    Run(Run),
    /// Run a program over an exec socket, as if it were run here.
    ///
    /// No shell is run: `coproc exec sh -c '...'` asks for one. Standard input is passed on until
    /// it ends, a terminal's too; in the background of a terminal use </dev/null.
    ///
    /// The first INT or TERM closes the connection, at which the server ends the program, with TERM
    /// and in the end KILL. What has come already is still written. The second one leaves at once.
    Exec(Exec),
    /// Serve one exec socket and nothing else, with the options of sockexec.
    ///
    ///   -v          print the version
    ///   -d          log every run with its arguments
    ///   -q queue    how many clients may wait to be accepted (100)
    ///   -M mode     the mode of the socket's file (0660)
    ///   -m max      how many connections are served at once (100)
    ///   -t seconds  how long a connection may last, 0 is for ever (60)
    ///   -k seconds  how long a program has between TERM and KILL (10)
    #[command(
        disable_help_flag = true,
        verbatim_doc_comment,
        override_usage = "coproc exec-server [-v] [-d] [-q queue] [-M mode] [-m max] [-t seconds] [-k seconds] PATH"
    )]
    ExecServer(ExecServer),
    /// Serve as a coordinator of tasks and nothing else, with the options of mistify's.
    ///
    /// Requests for tasks come in over HTTP and a Unix socket, and go to providers that are found
    /// by their sockets.
    ///
    /// The options are -n, --service_name NAME (required); -s, --socket_dir DIR (/tmp/mistify); -p,
    /// --external_port PORT (8080); -t, --request_timeout SECONDS (60); -l, --log_level LEVEL
    /// (warning); and -c, --config_file FILE.
    #[command(disable_help_flag = true)]
    Coordinator(Coordinator),
    /// Validate the config: every problem at once, with its place and what was expected.
    ///
    /// Nothing is started, and nothing is looked at but the config files and those that the gateway
    /// reads when it starts: neither programs nor users have to exist here.
    #[command(alias = "validate")]
    Check(ConfigArgs),
    /// Print the effective config: each value, who said it and what it overrides.
    ///
    /// Where the main process is nginx, it is asked for its version and modules path (nginx -V).
    /// Nothing else is started. Values whose names look secret are masked.
    Debug(Debug),
    /// Try a config on a clock of its own; nothing is started.
    ///
    /// The wrapper is the real one, with all its decisions; only its programs are imagined. Its clock
    /// leaps to the next moment at which something can happen, so a month takes milliseconds.
    ///
    /// A coprocess in the foreground ends with 0 after 100ms, a stop command and a check after 10ms, and
    /// every other program runs until it is told to end. It is ready at once, and ends at the first TERM,
    /// INT or QUIT: nginx with 0, others by the signal. The options say what is otherwise. NAME is
    /// `main`, a coprocess, `stop-NAME` for its stop command, or `check` for what precedes a reload.
    ///
    /// With --expect a file says what is to come of it, and may have a [scenario] with the same options as
    /// keys, such as `never_ready = ["agent"]`.
    Simulate(Simulate),
    /// Say what this machine or container allows the wrapper, and what to change.
    ///
    /// Looks for the programs and users that the config names, at privileges and limits, at the folders
    /// that are written to, PID 1, cgroups, and how long a stop may take. Each line is `ok`, a `note`, or a
    /// `problem`, with what to do. Nothing is started and nothing is written.
    ///
    /// Run it where the wrapper is to run, such as with `docker run --rm IMAGE coproc doctor`.
    Doctor(Doctor),
    /// Write a config that does what another supervisor's files say.
    ///
    /// Reads supervisord.conf with what it includes, a Procfile, a source directory of s6-rc, or a file of
    /// nginx-wrapper's, which needs no change. Whatever has no equal, or not quite, is told of on standard
    /// error and in comments of the config, with its place.
    Import(Import),
    /// Print the JSON Schema of the config files.
    ///
    /// It describes every key, with its default and examples. Editors that know JSON Schema
    /// complete and check config files by it. With --openapi it is the description of the control
    /// API instead, as a wrapper serves it at /openapi.json.
    Schema(SchemaArgs),
    /// Print a shell's completion script.
    ///
    /// In bash and zsh `coproc` is a reserved word; the scripts for both complete `command coproc
    /// ...` as well.
    Completions(Completions),
    /// Print a manual page, or write all of them to a folder.
    Man(Man),
    /// Print the version, the commit and the time of the build.
    Version,
    /// Show the main process and the coprocesses of a running wrapper.
    ///
    /// The main process comes first, then the coprocesses in the order of the config file. States
    /// are waiting, starting, running, backoff, stopping, stopped and failed. With NAME it is about that one
    /// alone.
    #[command(alias = "ps")]
    Status(Status),
    /// Say why each process is in the state that it is in.
    ///
    /// Without NAME there is a line for each that is not as it is wanted, or `all is as wanted`. A line
    /// says what is waited for and who holds it, what a probe last answered and when it is asked
    /// again, when a pause ends and after which exit it began, after what it was given up, and who
    /// stopped it.
    ///
    /// A key of the config in place of NAME, such as log.level, tells its value, who said it and what
    /// it overrides; no wrapper is asked for that.
    Why(Why),
    /// Show what happened in a running wrapper, one JSON object a line.
    ///
    /// Each object has `seq`, `time`, `event` and the event's own fields.
    Events(Events),
    /// Show the latest output of the main process or of a coprocess.
    ///
    /// The wrapper remembers as much of each as log.history says.
    Logs(Logs),
    /// Look at a running wrapper on the whole screen: processes, events and logs.
    ///
    /// What happens is shown as it happens. Processor time and memory are asked for each --interval, as
    /// long as this is open. Of a process that has children, they are those of the first one alone.
    ///
    /// Keys: r restarts what is chosen, s stops or starts it, b lets events go on without it or has
    /// them wait again, l shows its log alone, / searches, ? tells all keys, q leaves. Where NO_COLOR is
    /// set there are no colours.
    #[cfg(feature = "top")]
    Top(Top),
    /// Wait until a process is ready, or as --for says.
    ///
    /// What is so already is not waited for. A process that was given up does not become ready by
    /// itself: that ends the waiting with 1. Replicas are waited for by the name that they share until all of
    /// them are so at once, with --for failed until one of them is.
    Wait(Wait),
    /// Start a coprocess.
    ///
    /// Waits until it is ready, or has ended. One that runs already is left alone. A schedule begins again, with a
    /// run at once.
    Start(OneName),
    /// Stop a coprocess, with its stop command.
    ///
    /// Runs stop_exec, then sends TERM, INT and KILL to the whole process group, each followed by
    /// at most stop_timeout. Waits until it is gone. If it has a schedule, that ends as well.
    ///
    /// With --plan nothing is stopped: it tells who would get which signal, and by when at the latest,
    /// if the wrapper itself were told to stop now.
    Stop(Stop),
    /// Stop a coprocess and start it again.
    Restart(OneName),
    /// Change settings of a running coprocess.
    ///
    /// The keys are restarts, time_between_restarts and background, with values as in the config.
    /// The config file stays as it is: the next `coproc run` begins with its values.
    Set(Set),
    /// Let events go on without waiting for a coprocess.
    ///
    /// As `coproc set NAME background=true`. An event that it holds right now is let go.
    Background(OneName),
    /// Let events wait for a coprocess to end.
    ///
    /// As `coproc set NAME background=false`.
    Foreground(OneName),
    /// Send a signal to a coprocess or to the main process.
    ///
    /// A coprocess's whole process group gets it, of the main process the first process only. What
    /// follows from it is as after any other exit: `restarts` decides.
    Signal(SendSignal),
    /// Make the main process read its configuration again, or coproc its own.
    ///
    /// Publishes pre-reload, renders templates, checks the new configuration (`nginx -t`, or
    /// main.check), sends main.reload_signal, and waits for the outcome. What is refused is put
    /// back, and the main process serves on as before.
    ///
    /// With --config and no FILE after it coproc reads its own config anew, from where `run` had it. A
    /// config that `coproc check` refuses changes nothing. Else exactly what differs is carried out:
    /// coprocesses that are gone from it stop, with their stop command, then changed ones restart, or
    /// run on where their program need not know, and new ones start if their event has happened. All
    /// others are not touched. --plan tells what would happen, and does nothing.
    Reload(Reload),
    /// Publish the event custom.NAME.
    Emit(OneName),
    /// Say whether all that is meant to be up is ready: exit status 0 or 1.
    ///
    /// Prints a line for each that is not well: the main process, a coprocess that is starting, not
    /// ready, waiting to be started again after a failure, or given up by its restart policy.
    Health(Client),
    /// Have a task done by a provider, and print what comes of it.
    ///
    /// The request goes to the coordinator, which finds a provider of the task. The result is printed
    /// as one line of JSON; a stream is copied to standard output as it comes. An error in place of an
    /// answer goes to standard error.
    ///
    /// Arguments are said in JSON, or one by one with -a: whole numbers and booleans are taken as
    /// such, all else is text, and dots in the key nest. Without any, the task gets null.
    Task(Task),
    /// List, show, add, set and delete the keys of a running wrapper's gateway.
    ///
    /// A key stands for a session: which APIs may be used, how often, and until when. Keys and sessions
    /// are kept in the gateway's store.
    Keys(Keys),
}

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

impl Cli {
    /// The definition with all that its help says. Parsing needs nothing of it, and most of the time
    /// nobody asks for help.
    pub fn described() -> clap::Command {
        let bare = Self::command();
        let names: Vec<_> = bare.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let root = bare.after_long_help(notes::help(notes::ROOT));
        names.iter().fold(root, |root, name| {
            root.mut_subcommand(name, |command| command.after_long_help(notes::help(name)))
        })
    }

    /// Reads a command line. `coproc run` is read without all other commands if it can be: a wrapper is not
    /// to take its time with what they are called.
    ///
    /// # Errors
    /// Where it is wrong, and where it asks for help or the version.
    pub fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        if let [_, command, rest @ ..] = arguments
            && command == "run"
            && let Ok(OfRun { config, run }) = OfRun::try_parse_from(rest)
        {
            return Ok(Self { config, command: Some(Command::Run(run)) });
        }
        Self::try_parse_from(arguments)
    }

    /// The config files in the order of the command line: `--config` first, then `-c`.
    pub fn files(&self, args: &ConfigArgs) -> Vec<PathBuf> {
        let all = self.config.iter().chain(&args.files);
        match &self.command {
            // Its own `--config` may stand without a file, and clap may have passed it up or not.
            Some(Command::Reload(reload)) => {
                let mut files: Vec<PathBuf> = Vec::new();
                for file in self.config.iter().chain(&reload.config).chain(&args.files) {
                    if file.as_os_str() != ANEW && !files.contains(file) {
                        files.push(file.clone());
                    }
                }
                files
            }
            _ => all.cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::described().debug_assert();
    }

    #[test]
    fn run_by_itself_is_read_as_among_all_commands() {
        let mut by_itself = 0;
        for words in [
            "run",
            "run -c a -c b --config c --set x=1 --report r",
            "run --config=a -ca -- b --config c",
            "run -- --help",
            "run --set -c",
            "run a",
            "run help",
            "run --help",
            "run -h",
            "run --version",
            "run -V",
            "run --nothing",
            "run --report",
            "run --report a --report b",
            "run --conf a",
            "run -cd",
            "--config a run",
            "check run",
            "running",
            "",
        ] {
            let words = ["coproc"].into_iter().chain(words.split_whitespace());
            let words = words.map(OsString::from).collect::<Vec<_>>();
            let read = Cli::read(&words).map_err(|error| error.to_string());
            let among_all = Cli::try_parse_from(&words).map_err(|error| error.to_string());
            assert_eq!(format!("{read:?}"), format!("{among_all:?}"), "{words:?}");
            by_itself += usize::from(OfRun::try_parse_from(words.iter().skip(2)).is_ok());
        }
        assert!(by_itself > 0);
    }

    #[test]
    fn names_that_hands_know_from_elsewhere() {
        let command = |word| Cli::try_parse_from(["coproc", word]).unwrap().command;
        assert!(matches!(command("validate"), Some(Command::Check(_))));
        assert!(matches!(command("ps"), Some(Command::Status(_))));
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
    fn reload_takes_config_with_a_file_and_without() {
        let parse = |args: &[&str]| {
            let cli = Cli::try_parse_from(args).unwrap();
            let Some(Command::Reload(reload)) = &cli.command else { panic!("a reload") };
            (reload.is_of_config(), cli.files(&reload.client.config))
        };
        let file = || vec![PathBuf::from("a")];
        assert_eq!(parse(&["coproc", "reload"]), (false, vec![]));
        assert_eq!(parse(&["coproc", "reload", "--config"]), (true, vec![]));
        assert_eq!(parse(&["coproc", "reload", "--config", "--plan"]), (true, vec![]));
        assert_eq!(parse(&["coproc", "reload", "--config", "-c", "a"]), (true, file()));
        assert_eq!(parse(&["coproc", "reload", "--config", "a"]), (false, file()));
        assert_eq!(parse(&["coproc", "--config", "a", "reload"]), (false, file()));
        // The later one of both counts; `-c` names the file.
        assert_eq!(parse(&["coproc", "--config", "a", "reload", "--config"]), (true, vec![]));
    }

    #[test]
    fn all_after_two_dashes_is_the_main_program() {
        let cli = Cli::try_parse_from(["coproc", "run", "--", "server", "-c", "x"]).unwrap();
        let Some(Command::Run(run)) = cli.command else { panic!("a run") };
        assert_eq!(run.main, ["server", "-c", "x"]);
    }
}
