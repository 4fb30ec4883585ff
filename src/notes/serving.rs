//! Of the commands that serve until they are told to stop.

use super::Notes;
use super::shared::*;

pub(super) const RUN: Notes = Notes {
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

pub(super) const EXEC_SERVER: Notes = Notes {
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

pub(super) const COORDINATOR: Notes = Notes {
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
