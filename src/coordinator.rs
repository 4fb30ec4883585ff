//! `coproc coordinator`: a coordinator and nothing else, with the options, the config file and the exit
//! codes of mistify's.
//!
//! It is a config with one table and no main process, run by the same tree as any other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::json;

use crate::config::{self, Sources};
use crate::console::complain;
use crate::wrapper::{self, Manner};

/// A coordinator that cannot be started.
const FAILURE: u8 = 1;
/// A wrong command line.
const USAGE: u8 = 2;

const MANNER: Manner = Manner {
    complaint: "encountered an error during startup: ",
    usage: FAILURE,
    failure: FAILURE,
    run_path: false,
};

/// The options: letter, name, and what their value is.
const OPTIONS: [(u8, &str, &str); 6] = [
    (b'c', "config_file", "FILE"),
    (b'p', "external_port", "PORT"),
    (b'l', "log_level", "LEVEL"),
    (b't', "request_timeout", "SECONDS"),
    (b'n', "service_name", "NAME"),
    (b's', "socket_dir", "DIR"),
];

/// The log's form, as mistify's. The coordinator's own `stop_timeout` bounds its end.
const SETTINGS: [&str; 2] = ["log.formatter_name=json", "shutdown_timeout=24h"];

/// Values by the names of their options; later ones win.
type Values = Vec<(String, String)>;

/// Does what the words after `coordinator` ask for.
pub fn coordinator(words: &[OsString]) -> ExitCode {
    let Ok(flags) = read(words) else {
        complain(&usage());
        return ExitCode::from(USAGE);
    };
    let folder = std::env::current_dir().unwrap_or_default();
    let set = match settings(&folder, flags) {
        Ok(set) => set,
        Err(why) => {
            complain(&failure(&why));
            return ExitCode::from(FAILURE);
        }
    };
    wrapper::run(&Sources::alone("coordinator", set), MANNER)
}

fn usage() -> String {
    let mut out = "Usage of coproc coordinator:\n".to_owned();
    for (letter, name, value) in OPTIONS {
        out.push_str(&format!("  -{}, --{name} {value}\n", char::from(letter)));
    }
    out
}

/// Two lines of the log, as the original ends.
fn failure(why: &str) -> String {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let first = json!({ "level": "error", "msg": why, "time": time });
    let second =
        json!({ "level": "fatal", "msg": "encountered an error during startup", "time": time });
    format!("{first}\n{second}\n")
}

/// Settings as `--set` writes them, from the file that the flags name and from the flags.
fn settings(folder: &Path, flags: Values) -> Result<Vec<String>, String> {
    let mut values = Values::new();
    let last = |values: &Values, name: &str| {
        values.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    if let Some(file) = last(&flags, "config_file").filter(|file| !file.is_empty()) {
        values = config::top_level_values(folder, &PathBuf::from(file))
            .map_err(|errors| errors.to_string().trim().to_owned())?;
    }
    values.extend(flags);
    let value = |name: &str| last(&values, name);
    // In the original's order and words.
    if value("socket_dir").is_some_and(|dir| dir.is_empty()) {
        return Err("missing socket_dir".to_owned());
    }
    if value("service_name").unwrap_or_default().is_empty() && !is_set("SERVICE_NAME") {
        return Err("missing service_name".to_owned());
    }
    if value("external_port").is_some_and(|port| port == "0") {
        return Err("missing external_port".to_owned());
    }
    let level = match value("log_level").unwrap_or_default().to_ascii_lowercase().as_str() {
        "" => (!is_log_level_set()).then_some("warn"),
        "panic" | "fatal" | "error" => Some("error"),
        "warn" | "warning" => Some("warn"),
        "info" => Some("info"),
        "debug" => Some("debug"),
        other => return Err(format!("not a valid log_level: {other:?}")),
    };
    let mut set = SETTINGS.map(str::to_owned).to_vec();
    set.extend(level.map(|level| format!("log.level={level}")));
    for name in ["socket_dir", "service_name", "external_port", "request_timeout"] {
        set.extend(value(name).map(|value| format!("coordinator.{name}={value}")));
    }
    Ok(set)
}

fn is_set(key: &str) -> bool {
    std::env::var_os(format!("COPROC_COORDINATOR__{key}")).is_some_and(|value| !value.is_empty())
}

fn is_log_level_set() -> bool {
    std::env::var_os("COPROC_LOG__LEVEL").is_some_and(|value| !value.is_empty())
}

/// Reads options as Go's pflag does: a letter or a name, the value attached, after an `=`, or the next
/// word. Words that are no options are passed over. The error is a wrong command line.
fn read(words: &[OsString]) -> Result<Values, ()> {
    let mut values = Values::new();
    let mut words = words.iter().map(|word| word.to_str().ok_or(()));
    while let Some(word) = words.next() {
        let word = word?;
        let (option, attached) = if word == "--" {
            break;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            (OPTIONS.iter().find(|(_, own, _)| *own == name), value)
        } else if let Some((letter, rest)) =
            word.strip_prefix('-').and_then(|rest| rest.split_at_checked(1))
        {
            let letter = letter.as_bytes()[0];
            let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
            (OPTIONS.iter().find(|(own, ..)| *own == letter), value)
        } else {
            continue;
        };
        let (_, name, kind) = option.ok_or(())?;
        let value = match attached {
            Some(value) => value,
            None => words.next().ok_or(())??,
        };
        let value = match *kind {
            "PORT" | "SECONDS" => value.parse::<u32>().map_err(|_| ())?.to_string(),
            _ => value.to_owned(),
        };
        values.push(((*name).to_owned(), value));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Result<String, ()> {
        let words = text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let values = read(&words)?;
        let pairs = values.iter().map(|(key, value)| format!("{key}={value}"));
        Ok(pairs.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_in_every_form_of_pflag() {
        for text in
            ["-n coord", "-ncoord", "-n=coord", "--service_name coord", "--service_name=coord"]
        {
            assert_eq!(flags(text).unwrap(), "service_name=coord", "{text}");
        }
        let all = "-c f -p 8081 -l info -t 3 -n a -s /run/x word -n b -- -n c";
        let expected = "config_file=f external_port=8081 log_level=info request_timeout=3 \
                        service_name=a socket_dir=/run/x service_name=b";
        assert_eq!(flags(all).unwrap(), expected);
        assert_eq!(flags("-s ").unwrap(), "socket_dir=");
    }

    #[test]
    fn c55_wrong_command_lines() {
        for text in ["-p abc", "-h", "--help", "-n", "-x 1", "--name c", "-p -1", "-t 1s"] {
            assert!(flags(text).is_err(), "{text}");
        }
    }

    #[test]
    fn c56_flags_go_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            r#"{"Service_Name": "file", "external_port": 81, "request_timeout": -1, "x": 1}"#;
        std::fs::write(folder.path().join("c.json"), text).unwrap();
        std::fs::write(folder.path().join("c.yaml"), "service_name: yaml\nlog_level: info\n")
            .unwrap();
        let given = |flags: &[(&str, &str)]| {
            let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            settings(folder.path(), flags)
        };
        let set = given(&[("config_file", "c.json"), ("service_name", "flag")]).unwrap();
        for expected in [
            "coordinator.service_name=flag",
            "coordinator.external_port=81",
            "coordinator.request_timeout=-1",
            "log.level=warn",
        ] {
            assert!(set.iter().any(|set| set == expected), "{expected}: {set:?}");
        }
        let set = given(&[("config_file", "c.yaml")]).unwrap();
        assert!(set.iter().any(|set| set == "coordinator.service_name=yaml"), "{set:?}");
        assert!(set.iter().any(|set| set == "log.level=info"), "{set:?}");
        assert_eq!(given(&[]), Err("missing service_name".into()));
        let bogus = given(&[("service_name", "c"), ("log_level", "bogus")]);
        assert_eq!(bogus, Err("not a valid log_level: \"bogus\"".into()));
        assert!(given(&[("config_file", "none.json")]).unwrap_err().contains("does not exist"));
        assert!(given(&[("config_file", "c")]).is_err());
    }
}
