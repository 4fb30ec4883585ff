//! Of the commands that look at a config, or write one, and ask no wrapper.

use super::Notes;
use super::shared::*;

pub(super) const CHECK: Notes = Notes {
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

pub(super) const DEBUG: Notes = Notes {
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

pub(super) const SIMULATE: Notes = Notes {
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

pub(super) const DOCTOR: Notes = Notes {
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

pub(super) const IMPORT: Notes = Notes {
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
