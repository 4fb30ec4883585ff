//! `coproc coordinator`: a coordinator and nothing else, with the options, the config file and the exit
//! codes of mistify's.
//!
//! It is a config with one table and no main process, run by the same tree as any other.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use coproc_core::scalar::printable;
use serde_json::json;

use crate::config::{self, ConfigErrors, Origin, Problem, Sources};
use crate::console::complain;
use crate::wrapper::{self, Manner};

/// A coordinator that cannot be started.
const FAILURE: u8 = 1;
/// A wrong command line.
const USAGE: u8 = 2;

const MANNER: Manner =
    Manner { complaint: failure, usage: FAILURE, failure: FAILURE, run_path: false, record: false };

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

/// A value, by the name of its option.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    name: String,
    text: String,
    /// Who said it: an option as it was written, or a file.
    by: String,
}

/// What the command line lacks or has too much of; nothing where it asks for help.
type Wrong = Option<String>;

/// Does what the words after `coordinator` ask for.
pub fn coordinator(words: &[OsString]) -> ExitCode {
    let flags = match read(words) {
        Ok(flags) => flags,
        Err(why) => {
            let why = why.map_or_else(String::new, |why| format!("error: {why}\n"));
            complain(&format!("{why}{}", usage()));
            return ExitCode::from(USAGE);
        }
    };
    let folder = std::env::current_dir().unwrap_or_default();
    let failed = |why: String| {
        complain(&failure(&why));
        ExitCode::from(FAILURE)
    };
    let values = match values(&folder, flags) {
        Ok(values) => values,
        Err(why) => return failed(why),
    };
    for warning in unknown(&values) {
        complain(&line("warning", &warning));
    }
    let set = match settings(&values) {
        Ok(set) => set,
        Err(why) => return failed(why),
    };
    let sources = Sources::alone("coordinator", set);
    // What is wrong is told by the options and the file that the user knows.
    match config::load(&sources) {
        Ok(_) => wrapper::run(&sources, MANNER, None),
        Err(errors) => {
            let sentences = errors.problems().iter().map(|problem| sentence(problem, &values));
            failed(sentences.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// A problem with the key as the user knows it, in one line.
fn sentence(problem: &Problem, values: &[Value]) -> String {
    let key = problem.key();
    let key = key.strip_prefix("coordinator.").unwrap_or(key);
    let by = match problem.origin() {
        Some(Origin::Flag { .. }) => {
            let value = values.iter().rev().find(|value| value.name == key);
            value.map(|value| value.by.clone())
        }
        Some(Origin::Env { variable, .. }) => Some(variable.clone()),
        Some(Origin::File(_) | Origin::Default) | None => None,
    };
    let by = by.map_or_else(String::new, |by| format!(" (by {by})"));
    format!("{key}{by}: {}", problem.sentence())
}

fn usage() -> String {
    let mut out = "Usage of coproc coordinator:\n".to_owned();
    for (letter, name, value) in OPTIONS {
        out.push_str(&format!("  -{}, --{name} {value}\n", char::from(letter)));
    }
    out
}

/// The last lines of the log, as the original ends: one for each line of `why`, and that it was that.
fn failure(why: &str) -> String {
    let mut out: String = why.lines().map(|why| line("error", why)).collect();
    out.push_str(&line("fatal", "encountered an error during startup"));
    out
}

/// A line of the log.
fn line(level: &str, msg: &str) -> String {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    format!("{}\n", json!({ "level": level, "msg": msg, "time": time }))
}

/// All values: those of the file that the flags name, and then the flags'.
fn values(folder: &Path, flags: Vec<Value>) -> Result<Vec<Value>, String> {
    let file = last(&flags, "config_file").filter(|file| !file.is_empty());
    let Some(file) = file.map(str::to_owned) else { return Ok(flags) };
    let told = |problem: &Problem| format!("{}: {}", problem.key(), problem.sentence());
    let told =
        |errors: ConfigErrors| errors.problems().iter().map(told).collect::<Vec<_>>().join("\n");
    let values = config::top_level_values(folder, Path::new(&file)).map_err(told)?;
    let value = |(name, text)| Value { name, text, by: file.clone() };
    Ok(values.into_iter().map(value).chain(flags).collect())
}

/// Sentences about what is no option's name; the original passes it over without a word.
fn unknown(values: &[Value]) -> Vec<String> {
    let names = || OPTIONS.iter().map(|(_, name, _)| *name);
    let unknown = values.iter().filter(|value| !names().any(|name| name == value.name));
    let told = |value: &Value| {
        let near = config::nearest(&value.name, names());
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("`{}` in {} is passed over: unknown key{near}", printable(&value.name), value.by)
    };
    unknown.map(told).collect()
}

fn last<'a>(values: &'a [Value], name: &str) -> Option<&'a str> {
    values.iter().rev().find(|value| value.name == name).map(|value| value.text.as_str())
}

/// Settings as `--set` writes them.
fn settings(values: &[Value]) -> Result<Vec<String>, String> {
    let value = |name: &str| last(values, name);
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
        set.extend(value(name).map(|text| format!("coordinator.{name}={text}")));
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
/// word. Words that are no options are passed over.
fn read(words: &[OsString]) -> Result<Vec<Value>, Wrong> {
    let mut values = Vec::new();
    let shown = |word: &str| printable(&word.chars().take(80).collect::<String>());
    let no_text = |word: &OsString| Some(format!("`{}` is not UTF-8 text", word.display()));
    let mut words = words.iter().map(|word| word.to_str().ok_or_else(|| no_text(word)));
    while let Some(word) = words.next() {
        let word = word?;
        let (by, option, attached) = if word == "--" {
            break;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let option = OPTIONS.iter().find(|(_, own, _)| *own == name);
            (format!("--{name}"), option, value)
        } else if let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut letters = rest.chars();
            let letter = letters.next().unwrap_or_default();
            let rest = letters.as_str();
            let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest));
            let option = OPTIONS.iter().find(|(own, ..)| char::from(*own) == letter);
            (format!("-{letter}"), option, value)
        } else {
            continue;
        };
        let Some((_, name, kind)) = option else {
            let asks = matches!(by.as_str(), "-h" | "--help");
            return Err((!asks).then(|| format!("unknown option `{}`", shown(&by))));
        };
        let text = match attached {
            Some(text) => text,
            None => words.next().ok_or_else(|| Some(format!("`{by}` lacks its {kind}")))??,
        };
        let text = match *kind {
            "PORT" | "SECONDS" => {
                let wrong = |_| format!("`{by}`: `{}` is not a whole number", shown(text));
                text.parse::<u32>().map_err(wrong).map_err(Some)?.to_string()
            }
            _ => text.to_owned(),
        };
        values.push(Value { name: (*name).to_owned(), text, by });
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Result<String, Wrong> {
        let words = text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let values = read(&words)?;
        let pairs = values.iter().map(|value| format!("{}={}", value.name, value.text));
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
        for (text, why) in [
            ("-p abc", Some("`-p`: `abc` is not a whole number")),
            ("-h", None),
            ("--help", None),
            ("-n", Some("`-n` lacks its NAME")),
            ("-r bogus", Some("unknown option `-r`")),
            ("-ü", Some("unknown option `-ü`")),
            ("--name c", Some("unknown option `--name`")),
            ("-p -1", Some("`-p`: `-1` is not a whole number")),
            ("--request_timeout=1s", Some("`--request_timeout`: `1s` is not a whole number")),
        ] {
            assert_eq!(flags(text), Err(why.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn keys_that_are_none_are_told_of() {
        let value =
            |name: &str| Value { name: name.into(), text: String::new(), by: "c.json".into() };
        let told = unknown(&[value("service_name"), value("socketdir"), value("x\ny")]);
        assert_eq!(
            told,
            [
                "`socketdir` in c.json is passed over: unknown key; did you mean `socket_dir`?",
                "`x\\ny` in c.json is passed over: unknown key",
            ]
        );
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
            let value = |(name, text): &(&str, &str)| Value {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
                by: "-o".to_owned(),
            };
            let values = values(folder.path(), flags.iter().map(value).collect())?;
            settings(&values)
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
