//! Of the commands that ask a running wrapper, and leave with more than "done" and "refused".

use super::Notes;
use super::shared::*;

pub(super) const WAIT: Notes = Notes {
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

pub(super) const HEALTH: Notes = Notes {
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

pub(super) const EXEC: Notes = Notes {
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

pub(super) const TASK: Notes = Notes {
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
