//! What the sections say that are no programs: the daemon's own and its socket's.

use super::super::draft::{Draft, text};
use super::ini::{Entry, Section, pairs};

/// What programs have of the daemon.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    pub(super) environment: Vec<(String, String)>,
    /// `user`, `directory` and `umask`, for those that do not say them.
    pub(super) settings: Vec<Entry>,
}

impl Inherited {
    /// Reads the daemon's own section.
    pub(super) fn take(&mut self, section: &Section, draft: &mut Draft) {
        for entry in &section.entries {
            let Entry { key, value, place } = entry;
            match key.as_str() {
                "environment" => match pairs(value) {
                    Some(all) => self.environment.extend(all),
                    None => draft.remark(place, key, "it is not of the form A=\"1\",B=\"2\""),
                },
                // As whom coproc itself is started, that is the container's to say.
                "user" if value == "root" => {}
                "user" | "directory" | "umask" => {
                    self.settings.retain(|other| other.key != *key);
                    self.settings.push(entry.clone());
                }
                _ => of_supervisord(entry, draft),
            }
        }
    }
}

/// A key of the daemon's own section that programs have nothing of.
fn of_supervisord(entry: &Entry, draft: &mut Draft) {
    let Entry { key, value, place } = entry;
    let why = match key.as_str() {
        "nodaemon" | "pidfile" | "identifier" | "nocleanup" | "silent" => return,
        "loglevel" => {
            let level = match value.to_lowercase().as_str() {
                "blather" | "trace" => "trace",
                "debug" => "debug",
                "warn" => "warn",
                "error" | "critical" => "error",
                _ => "info",
            };
            draft.top = vec![("log.level", text(level))];
            return;
        }
        "logfile" => "the log, with the output of all programs, goes to log.destination",
        "logfile_maxbytes" | "logfile_backups" => {
            "say log.max_size and log.keep with log.destination"
        }
        "minfds" => "say limits = { nofile = N } for each coprocess",
        "minprocs" => "say limits = { nproc = N } for each coprocess",
        "childlogdir" => "output goes to the wrapper's log, with the names of the programs",
        _ => "there is no equal",
    };
    draft.remark(place, key, why);
}

pub(super) fn of_socket(section: &Section, draft: &mut Draft) {
    for Entry { key, place, .. } in &section.entries {
        let why = match key.as_str() {
            "file" => "the control socket is RUN_PATH/control.sock, or control.socket",
            "chmod" => "say control.mode",
            _ => "who may connect is said by the socket's mode, 0600",
        };
        draft.remark(place, key, why);
    }
}
