//! What is to say of each command besides its options: examples, exit statuses, variables and
//! files. The help and the manual pages both show it.

mod asking;
mod config;
mod help;
mod serving;
mod shared;

use asking::{EXEC, HEALTH, TASK, WAIT};
use config::{CHECK, DEBUG, DOCTOR, IMPORT, SIMULATE};
use serving::{COORDINATOR, EXEC_SERVER, RUN};
use shared::{CLIENT_ENVIRONMENT, CONFIG_FILES, SOCKET_FILE, client, printer};

pub use help::help;

/// A command line and what it does, or a status, a variable or a file and what it means.
pub type Entry = (&'static str, &'static str);

/// What is to say of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notes {
    /// Command lines.
    pub examples: &'static [Entry],
    /// Exit statuses.
    pub status: &'static [Entry],
    /// Variables of the environment that it reads.
    pub environment: &'static [Entry],
    /// Files that it reads or writes.
    pub files: &'static [Entry],
}

/// The name under which [`of`] finds what concerns the program as a whole.
pub const ROOT: &str = "coproc";

/// What is to say of the command, or of the program as a whole under the name [`ROOT`].
pub fn of(command: &str) -> Notes {
    match command {
        "run" => RUN,
        "exec" => EXEC,
        "exec-server" => EXEC_SERVER,
        "coordinator" => COORDINATOR,
        "check" => CHECK,
        "simulate" => SIMULATE,
        "import" => IMPORT,
        "doctor" => DOCTOR,
        "debug" => DEBUG,
        "status" => client(&[
            ("coproc status", "A table of the main process and all coprocesses."),
            ("coproc status --format json", "The same for programs."),
        ]),
        "why" => client(&[
            ("coproc why", "What is not as it is wanted, and why."),
            ("coproc why agent", "Why one coprocess is in its state."),
            ("coproc why coprocess.agent.restarts", "Who said the value of a key."),
        ]),
        "events" => client(&[
            ("coproc events", "The last 1024 events."),
            ("coproc events --follow --since 12", "All after event 12, and what comes."),
        ]),
        "logs" => client(&[
            ("coproc logs", "The last 100 lines of all."),
            ("coproc logs --follow -n 10 agent", "Ten lines of one coprocess, and what comes."),
            ("coproc logs web", "Of web-1, web-2 and web-3 together, where web has replicas = 3."),
        ]),
        "top" => client(&[
            ("coproc top", "The wrapper that the config names."),
            (
                "coproc top --url http://127.0.0.1:9090 --token-file token",
                "One at a port, for the role of the token.",
            ),
        ]),
        "wait" => WAIT,
        "start" => client(&[
            ("coproc start agent", "Starts it, whatever its event."),
            (
                "coproc start backup",
                "With a schedule: a run at once, and the schedule from then on.",
            ),
        ]),
        "stop" => client(&[
            ("coproc stop agent", "Stops it until an event or a command starts it."),
            ("coproc stop --plan", "What a stop of all would be like."),
        ]),
        "restart" => client(&[
            ("coproc restart agent", "A new run, with a new count of restarts."),
            (
                "coproc restart web",
                "Its replicas one after another, each once the one before is ready.",
            ),
        ]),
        "set" => client(&[(
            "coproc set agent restarts=unlimited time_between_restarts=5s",
            "Two settings at once.",
        )]),
        "background" => {
            client(&[("coproc background migrate", "The event that waits for it goes on.")])
        }
        "foreground" => client(&[("coproc foreground migrate", "The next start holds its event.")]),
        "signal" => client(&[
            ("coproc signal agent HUP", "To one coprocess."),
            ("coproc signal main USR1", "To the main process."),
        ]),
        "reload" => client(&[
            ("coproc reload", "As HUP to the wrapper, and says what came of it."),
            ("coproc reload --config --plan", "What a changed config would start and stop."),
            ("coproc reload --config", "Does that, and nothing if the config is wrong."),
        ]),
        "emit" => {
            client(&[("coproc emit backup", "Starts what has exec_event = \"custom.backup\".")])
        }
        "health" => HEALTH,
        "task" => TASK,
        "keys" => client(&[
            ("coproc keys list", "All keys."),
            (
                "coproc keys add --api orders --rate 100 --per 60 --quota 10000 --quota-period 86400",
                "A new key for one API, which is printed.",
            ),
            ("coproc keys set KEY --json - < session.json", "A session from a file."),
            ("coproc keys delete KEY", "Nobody is let in by it any more."),
        ]),
        "schema" => printer(&[
            ("coproc schema > coproc.schema.json", "For an editor."),
            ("coproc schema --openapi > coproc.openapi.json", "For a client of the control API."),
        ]),
        "version" => printer(&[("coproc version", "Version, commit and time of the build.")]),
        "completions" => printer(&[
            ("coproc completions bash > /etc/bash_completion.d/coproc", "For all users of bash."),
            ("coproc completions zsh > /usr/local/share/zsh/site-functions/_coproc", "For zsh."),
            ("coproc completions fish > ~/.config/fish/completions/coproc.fish", "For fish."),
        ]),
        "man" => MAN,
        _ => WHOLE,
    }
}

const WHOLE: Notes = Notes {
    examples: &[
        ("coproc check", "Validate coproc.toml, with every problem at once."),
        ("coproc run", "Run nginx and its coprocesses."),
        ("coproc run -- ./server --port 80", "Run another main process; no file is needed."),
        ("coproc status", "Ask a running wrapper."),
        (
            "command coproc run",
            "In bash and zsh, where coproc is a reserved word; \\coproc does as well.",
        ),
    ],
    status: &[
        ("0", "Success. `run` exits as the main process does."),
        ("1", "coproc itself failed, or a wrapper refused what it was asked for."),
        ("2", "The config or the command line is wrong; nothing was started."),
        ("3", "No wrapper answers on the control socket."),
        ("4", "A wrapper refused because of who asks."),
        ("126", "The main program cannot be executed."),
        ("127", "The main program was not found."),
        ("128+N", "Signal N ended the main process."),
    ],
    environment: CLIENT_ENVIRONMENT,
    files: &[CONFIG_FILES, SOCKET_FILE],
};

const MAN: Notes = Notes {
    examples: &[
        ("coproc man | man -l -", "Read coproc(1)."),
        ("coproc man run | man -l -", "Read coproc-run(1)."),
        ("coproc man coproc.toml | man -l -", "Read coproc.toml(5)."),
        ("coproc man --dir /usr/local/share/man", "Install all pages."),
    ],
    status: &[
        ("0", "Printed or written."),
        ("1", "Standard output or a file cannot be written."),
        ("2", "There is no such page."),
    ],
    environment: &[],
    files: &[
        ("DIR/man1/coproc.1, DIR/man1/coproc-COMMAND.1", "The commands."),
        ("DIR/man5/coproc.toml.5", "The config files."),
    ],
};

impl Notes {
    /// The parts that are there, with their headings.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &'static [Entry])> {
        [
            ("Examples", self.examples),
            ("Exit status", self.status),
            ("Environment", self.environment),
            ("Files", self.files),
        ]
        .into_iter()
        .filter(|(_, entries)| !entries.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn every_command_has_notes_of_its_own() {
        for command in Cli::command().get_subcommands() {
            assert_ne!(of(command.get_name()), WHOLE, "{}", command.get_name());
        }
    }

    #[test]
    fn every_example_is_a_command_line() {
        let commands = Cli::command();
        let names = commands.get_subcommands().map(|command| command.get_name());
        for name in names.chain([ROOT]) {
            for (example, _) in of(name).examples {
                let mut words = shell_words::split(example).unwrap();
                let end = words.iter().position(|word| [">", "<", "|"].contains(&word.as_str()));
                words.truncate(end.unwrap_or(words.len()));
                if words[0] == "command" {
                    words.remove(0);
                }
                if words[0] == "coproc" {
                    Cli::try_parse_from(&words).unwrap_or_else(|why| panic!("{example}: {why}"));
                }
            }
        }
    }
}
