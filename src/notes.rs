//! What is to say of each command besides its options: examples, exit statuses, variables and
//! files. The help and the manual pages both show it.

use std::fmt::Write;

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

const COPROC_CONFIG: Entry =
    ("COPROC_CONFIG", "The config file where the command line names none.");
const COPROC_SOCKET: Entry = (
    "COPROC_SOCKET",
    "The control socket where --socket names none. Every process that coproc starts finds it set.",
);
const COPROC_URL: Entry = (
    "COPROC_URL, COPROC_TOKEN_FILE",
    "A port of the wrapper and the file with the token for it, where neither --socket, --url nor \
     COPROC_SOCKET names a wrapper.",
);
const COPROC_KEYS: Entry = (
    "COPROC_KEY, COPROC_TABLE__KEY",
    "A value of the config: the key in upper case, `__` between levels, `_` for each dash, such as \
     COPROC_LOG__LEVEL=debug. With `_FILE` behind its name it holds the path of a file with the value. Empty \
     variables are ignored.",
);
const NW_KEYS: Entry = (
    "NW_KEY, NW_TABLE.KEY",
    "The same in nginx-wrapper's form, such as NW_LOG.LEVEL=debug; COPROC_ variables win over them.",
);
const CONFIG_FILES: Entry = (
    "coproc.toml, nginx-wrapper.toml",
    "Read from the current directory, the first that is there, where nobody names a config file. \
     TOML, JSON and YAML are told apart by the ending of the name; see coproc.toml(5).",
);
const SOCKET_FILE: Entry =
    ("RUN_PATH/control.sock", "The control socket, unless the config moves it.");

const CONFIG_ENVIRONMENT: &[Entry] = &[COPROC_CONFIG, COPROC_KEYS, NW_KEYS];
const CLIENT_ENVIRONMENT: &[Entry] =
    &[COPROC_SOCKET, COPROC_URL, COPROC_CONFIG, COPROC_KEYS, NW_KEYS];
const CLIENT_FILES: &[Entry] = &[SOCKET_FILE, CONFIG_FILES];

const CLIENT_STATUS: &[Entry] = &[
    ("0", "Done."),
    ("1", "The wrapper refused; standard error says why."),
    ("2", "The command line, or the config that names the socket, is wrong."),
    ("3", "No wrapper answers on the control socket."),
    ("4", "The wrapper refused because of who asks: a role or a token is missing."),
];
const PRINTED: Entry = ("0", "Printed.");
const NOT_PRINTED: Entry = ("1", "Standard output cannot be written.");

const fn client(examples: &'static [Entry]) -> Notes {
    Notes { examples, status: CLIENT_STATUS, environment: CLIENT_ENVIRONMENT, files: CLIENT_FILES }
}

const fn printer(examples: &'static [Entry]) -> Notes {
    Notes { examples, status: &[PRINTED, NOT_PRINTED], environment: &[], files: &[] }
}

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

const WAIT: Notes = Notes {
    examples: &[
        ("coproc wait agent", "Until it is ready."),
        (
            "coproc wait main --timeout 30s",
            "Until the main process serves, or 30 seconds are over.",
        ),
        ("coproc wait migrate --for exited", "Until a run of it has ended, however it did."),
    ],
    status: &[
        ("0", "It is so."),
        ("1", "It cannot come to be so by itself, or the wrapper refused or left."),
        ("2", "The command line, or the config that names the socket, is wrong."),
        ("3", "No wrapper answers on the control socket."),
        ("4", "The wrapper refused because of who asks: a role or a token is missing."),
        ("124", "It was not so within --timeout."),
    ],
    environment: CLIENT_ENVIRONMENT,
    files: CLIENT_FILES,
};

const COORDINATOR: Notes = Notes {
    examples: &[
        ("coproc coordinator -n main", "Requests at http://127.0.0.1:8080/ and in /tmp/mistify."),
        ("coproc coordinator -n main -s /run/tasks -p 8090 -t 30", "In another place."),
        ("coproc coordinator -c coordinator.json", "With the config file of mistify's."),
    ],
    status: &[
        ("0", "TERM or INT came, and all that was open was answered."),
        ("1", "It cannot be served: a wrong value, or a socket or port that is taken."),
        ("2", "The command line is wrong."),
    ],
    environment: &[(
        "COPROC_COORDINATOR__KEY, COPROC_LOG__KEY",
        "A key of [coordinator] or [log], such as COPROC_COORDINATOR__LISTEN=0.0.0.0.",
    )],
    files: &[(
        "FILE",
        "With -c: service_name, socket_dir, external_port, request_timeout and log_level, as TOML, \
         JSON or YAML by the ending of its name. Options win over it.",
    )],
};

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

const RUN: Notes = Notes {
    examples: &[
        ("coproc run", "nginx, or what [main] says, with all coprocesses."),
        ("coproc run -c base.toml -c site.toml", "Two files; the later one wins."),
        ("coproc run --set log.level=debug", "One value for this run."),
        ("coproc run -- ./server --port 80", "Another main process."),
        ("coproc run --report /var/log/end.json", "Why it ended, for programs."),
    ],
    status: &[
        (
            "N",
            "The main process's own status; a code of a coprocess with on_give_up = \"shutdown\".",
        ),
        ("1", "coproc itself failed, or was told twice to stop."),
        ("2", "The config or the command line is wrong; nothing was started."),
        ("126", "A main program that cannot be executed."),
        ("127", "A main program that was not found."),
        ("128+N", "Signal N ended the main process, or stopped the wrapper before it was started."),
    ],
    environment: &[
        COPROC_CONFIG,
        COPROC_KEYS,
        NW_KEYS,
        ("TMPDIR", "The folder of the default RUN_PATH; /tmp where it is not set."),
        ("TZ", "The time zone of log lines."),
        (
            "CLICOLOR, CLICOLOR_FORCE",
            "Decide on colours if log.formatter_options.environment_override_colors is set.",
        ),
    ],
    files: &[
        CONFIG_FILES,
        SOCKET_FILE,
        (
            "RUN_PATH/coproc.pid",
            "The wrapper's pid while it runs; beside nginx RUN_PATH/nginx-wrapper.pid as well.",
        ),
        ("RUN_PATH/conf/nginx.conf", "What nginx reads, unless the config names another place."),
        (
            "/dev/termination-log",
            "What made it leave, where Kubernetes has put this file and it is empty.",
        ),
    ],
};

const EXEC: Notes = Notes {
    examples: &[
        ("coproc exec uname -a", "By the socket of [exec_socket]."),
        (
            "tar c /srv | coproc exec --socket /run/backup.sock tar x -C /backup",
            "By another one; both streams pass at once.",
        ),
    ],
    status: &[
        ("N", "The program's own status; 128+N where signal N ended it, or this command."),
        ("1", "Input or output fails here."),
        ("2", "The command line or the config is wrong."),
        ("111", "No server answers, or it leaves without a status."),
        ("126", "The server cannot execute the program, or may not."),
        ("127", "The server does not find it."),
    ],
    environment: &[
        ("COPROC_EXEC_SOCKET__PATH", "The socket where --socket and the config name none."),
        COPROC_CONFIG,
        COPROC_KEYS,
    ],
    files: &[CONFIG_FILES],
};

const EXEC_SERVER: Notes = Notes {
    examples: &[
        ("coproc exec-server /run/exec.sock", "As sockexec."),
        ("coproc exec-server -m 20 -t 5 /run/exec.sock", "Twenty at once, five seconds each."),
    ],
    status: &[
        ("0", "It was told to stop, or printed its version."),
        ("100", "The command line is wrong."),
        ("111", "The socket cannot be served."),
    ],
    environment: &[
        (
            "COPROC_EXEC_SOCKET__KEY",
            "What the options cannot say, such as COPROC_EXEC_SOCKET__TERMSIG=name.",
        ),
        ("COPROC_LOG__KEY", "The log."),
    ],
    files: &[("PATH.lock", "Held while the socket is taken, so that two servers cannot both.")],
};

const CHECK: Notes = Notes {
    examples: &[
        ("coproc check", "Validate what `coproc run` would read."),
        ("coproc check -c site.toml --set main.stop_signal=QUIT", "Files and values together."),
    ],
    status: &[
        ("0", "The config is valid. Warnings may have been printed."),
        ("2", "It is not, or the command line is wrong."),
    ],
    environment: CONFIG_ENVIRONMENT,
    files: &[CONFIG_FILES],
};

const DOCTOR: Notes = Notes {
    examples: &[
        ("coproc doctor", "What is wrong here for the config of this folder."),
        ("docker run --rm IMAGE coproc doctor -c /etc/coproc.toml", "The same in a container."),
        ("coproc doctor --format json", "For programs."),
    ],
    status: &[
        ("0", "There are no problems; there may be notes."),
        ("1", "There are problems."),
        ("2", "The command line or the config is wrong."),
    ],
    environment: CONFIG_ENVIRONMENT,
    files: &[CONFIG_FILES],
};

const IMPORT: Notes = Notes {
    examples: &[
        ("coproc import /etc/supervisor/supervisord.conf", "Print the config."),
        (
            "coproc import Procfile --output coproc.toml",
            "Write it to a file that is not there yet.",
        ),
        ("coproc import --from s6-rc /etc/s6-overlay/s6-rc.d", "The services of s6-overlay."),
    ],
    status: &[
        ("0", "The config is written. Notes may have been printed."),
        ("1", "It cannot be written, or its file is there already."),
        ("2", "The command line is wrong, or the files cannot be read."),
    ],
    environment: &[],
    files: &[],
};

const SIMULATE: Notes = Notes {
    examples: &[
        ("coproc simulate --fail main@5s", "What follows when the main process fails after 5 s."),
        (
            "coproc simulate --never-ready agent --for 2h",
            "Two hours with an agent that never serves.",
        ),
        (
            "coproc simulate --hang main --stop 10s",
            "Who is killed when, and how long a stop takes.",
        ),
        ("coproc simulate --runs migrate=30s:3", "A migration that takes 30 s and then fails."),
        (
            "coproc simulate --fail agent@5s --expect expect.toml",
            "Exit status 1 unless it comes to what expect.toml says; for CI.",
        ),
    ],
    status: &[
        ("0", "All came as expected, or nothing was expected."),
        ("1", "It came otherwise; standard error names each expectation and its place."),
        ("2", "The command line, the config or the file of expectations is wrong."),
    ],
    environment: CONFIG_ENVIRONMENT,
    files: &[CONFIG_FILES],
};

const DEBUG: Notes = Notes {
    examples: &[
        ("coproc debug", "One line a key."),
        ("coproc debug --format toml", "A config file with the same meaning."),
        (
            "coproc debug --format json",
            "For programs: {\"values\": {KEY: {\"value\", \"origin\", \"overrides\"}}}.",
        ),
    ],
    status: &[
        ("0", "The config is valid, unknown keys aside, which are listed."),
        ("2", "It is not, or the command line is wrong."),
        ("127", "nginx, which is asked for its version, was not found."),
    ],
    environment: CONFIG_ENVIRONMENT,
    files: &[CONFIG_FILES],
};

const HEALTH: Notes = Notes {
    examples: &[
        ("coproc health", "Prints a line for each that is not well."),
        ("HEALTHCHECK CMD [\"coproc\", \"health\"]", "In a Dockerfile."),
    ],
    status: &[
        ("0", "All that is meant to be up is ready."),
        (
            "1",
            "It is not, no wrapper answers, or the config or the command line is wrong. Never 2, which \
             Docker reserves.",
        ),
    ],
    environment: CLIENT_ENVIRONMENT,
    files: CLIENT_FILES,
};

const TASK: Notes = Notes {
    examples: &[
        ("coproc task Greet '{\"name\": \"you\"}'", "One task with its arguments."),
        ("coproc task Greet -a name=you -a times=2", "The same arguments one by one."),
        ("coproc task StreamEcho --stream < FILE", "With data for the provider."),
        ("coproc task --list", "All tasks with their providers, and whether each is up."),
        ("coproc task -u http://10.0.0.5:8090 Greet -a name=you", "By a coordinator elsewhere."),
        (
            "coproc task -c http://10.0.0.5:8090 -t Greet -a name=you -r :4080",
            "The same as coordinator-cli says it; its default port is not taken unasked.",
        ),
    ],
    status: &[
        ("0", "Done; the answer was printed."),
        ("1", "The request was refused, the task failed, or no answer came in time."),
        ("2", "The command line, or the config that names the coordinator, is wrong."),
        ("3", "No coordinator answers on its socket, or at its address."),
    ],
    environment: &[
        (
            "COPROC_COORDINATOR_SOCKET",
            "The coordinator's socket where --socket and --url name none. Every process that coproc \
             starts finds it set if there is a coordinator.",
        ),
        ("COPROC_COORDINATOR_TOKEN", "The token for a coordinator over HTTP that asks for one."),
        COPROC_CONFIG,
        COPROC_KEYS,
        NW_KEYS,
    ],
    files: &[
        ("SOCKET_DIR/coordinator/NAME.sock", "The coordinator's socket."),
        (
            "SOCKET_DIR/response/coproc-task-PID.sock",
            "To which the answer comes, while it is awaited.",
        ),
        CONFIG_FILES,
    ],
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

/// Where help texts are broken.
const WIDTH: usize = 100;

/// What is longer has its meaning on the next line.
const WIDEST: usize = 40;

/// The notes of a command as the end of its help.
pub fn help(command: &str) -> String {
    let mut out = String::new();
    for (heading, entries) in of(command).parts() {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{heading}:");
        let lengths = entries.iter().map(|(what, _)| what.chars().count());
        let column = lengths.filter(|length| *length <= WIDEST).max().unwrap_or(8);
        for (what, meaning) in entries {
            let mut lead = format!("  {what:column$}  ");
            for line in broken(meaning, WIDTH - column - 4) {
                if lead.trim_end().chars().count() > column + 2 {
                    let _ = writeln!(out, "{}", lead.trim_end());
                    lead.clear();
                }
                let _ = writeln!(out, "{lead:width$}{line}", width = column + 4);
                lead.clear();
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The text in lines of at most `width` characters.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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

    #[test]
    fn help_fits_its_width() {
        let text = help("man");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("\n  0  Printed or written.\n"), "{text}");
    }
}
