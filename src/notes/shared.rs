//! What several commands have in common: variables, files and exit statuses.

use super::{Entry, Notes};

pub(super) const COPROC_CONFIG: Entry =
    ("COPROC_CONFIG", "The config file where the command line names none.");

pub(super) const COPROC_SOCKET: Entry = (
    "COPROC_SOCKET",
    "The control socket where --socket names none. Every process that coproc starts finds it set.",
);

pub(super) const COPROC_URL: Entry = (
    "COPROC_URL, COPROC_TOKEN_FILE",
    "A port of the wrapper and the file with the token for it, where neither --socket, --url nor \
     COPROC_SOCKET names a wrapper.",
);

pub(super) const COPROC_KEYS: Entry = (
    "COPROC_KEY, COPROC_TABLE__KEY",
    "A value of the config: the key in upper case, `__` between levels, `_` for each dash, such as \
     COPROC_LOG__LEVEL=debug. With `_FILE` behind its name it holds the path of a file with the value. Empty \
     variables are ignored.",
);

pub(super) const NW_KEYS: Entry = (
    "NW_KEY, NW_TABLE.KEY",
    "The same in nginx-wrapper's form, such as NW_LOG.LEVEL=debug; COPROC_ variables win over them.",
);

pub(super) const CONFIG_FILES: Entry = (
    "coproc.toml, nginx-wrapper.toml",
    "Read from the current directory, the first that is there, where nobody names a config file. \
     TOML, JSON and YAML are told apart by the ending of the name; see coproc.toml(5).",
);

pub(super) const SOCKET_FILE: Entry =
    ("RUN_PATH/control.sock", "The control socket, unless the config moves it.");

pub(super) const CONFIG_ENVIRONMENT: &[Entry] = &[COPROC_CONFIG, COPROC_KEYS, NW_KEYS];

pub(super) const CLIENT_ENVIRONMENT: &[Entry] =
    &[COPROC_SOCKET, COPROC_URL, COPROC_CONFIG, COPROC_KEYS, NW_KEYS];

pub(super) const CLIENT_FILES: &[Entry] = &[SOCKET_FILE, CONFIG_FILES];

pub(super) const CLIENT_STATUS: &[Entry] = &[
    ("0", "Done."),
    ("1", "The wrapper refused; standard error says why."),
    ("2", "The command line, or the config that names the socket, is wrong."),
    ("3", "No wrapper answers on the control socket."),
    ("4", "The wrapper refused because of who asks: a role or a token is missing."),
];

pub(super) const PRINTED: Entry = ("0", "Printed.");

pub(super) const NOT_PRINTED: Entry = ("1", "Standard output cannot be written.");

pub(super) const fn client(examples: &'static [Entry]) -> Notes {
    Notes { examples, status: CLIENT_STATUS, environment: CLIENT_ENVIRONMENT, files: CLIENT_FILES }
}

pub(super) const fn printer(examples: &'static [Entry]) -> Notes {
    Notes { examples, status: &[PRINTED, NOT_PRINTED], environment: &[], files: &[] }
}
