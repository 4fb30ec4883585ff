//! What a provider has to know: its name, the folder of sockets, priorities and times. Read from the
//! flags and the file of mistify's providers, or said in code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coproc_acomm::Url;
use serde::Deserialize;

use crate::error::Error;

/// The folder of sockets where nobody says otherwise.
const SOCKET_DIR: &str = "/tmp/mistify";
/// The priority where nobody says otherwise.
const PRIORITY: i64 = 50;
/// How long the answer to a request of one's own may take where nobody says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The flags, long and short.
const FLAGS: [(&str, &str); 7] = [
    ("config_file", "c"),
    ("service_name", "n"),
    ("socket_dir", "s"),
    ("default_priority", "p"),
    ("coordinator_url", "u"),
    ("log_level", "l"),
    ("request_timeout", "t"),
];

/// What a provider has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of sockets.
    pub socket_dir: PathBuf,
    /// The provider's name, which its sockets bear: of its own among the providers of a task.
    pub service_name: String,
    /// The priority of its tasks; of several providers the one with the smallest number is asked.
    pub priority: i64,
    /// How long a handler may take; no limit where it is `None`.
    pub timeout: Option<Duration>,
    /// What is different for single tasks, by their names.
    pub tasks: BTreeMap<String, TaskConfig>,
    /// The coordinator's socket for requests of the provider's own.
    pub coordinator: Option<PathBuf>,
    /// How long the answer to a request of the provider's own may take.
    pub request_timeout: Duration,
}

/// What is different for one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskConfig {
    /// In place of the provider's.
    pub priority: Option<i64>,
    /// In place of the provider's; zero is no limit.
    pub timeout: Option<Duration>,
}

/// The file: what the flags say, and what only it can say.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    service_name: Option<String>,
    socket_dir: Option<String>,
    default_priority: Option<i64>,
    coordinator_url: Option<String>,
    request_timeout: Option<u64>,
    default_timeout: Option<u64>,
    tasks: BTreeMap<String, FileTask>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FileTask {
    priority: Option<i64>,
    timeout: Option<u64>,
}

impl Config {
    /// A provider of this name below this folder; all else as it is by default.
    pub fn new(socket_dir: impl Into<PathBuf>, service_name: impl Into<String>) -> Self {
        Self {
            socket_dir: socket_dir.into(),
            service_name: service_name.into(),
            priority: PRIORITY,
            timeout: None,
            tasks: BTreeMap::new(),
            coordinator: None,
            request_timeout: REQUEST_TIMEOUT,
        }
    }

    /// Reads the command line of this process, as [`Config::parse`] does.
    ///
    /// # Errors
    /// As there.
    pub fn from_args() -> Result<Self, Error> {
        Self::parse(std::env::args_os().skip(1))
    }

    /// Reads flags: `-n NAME`, `-nNAME`, `--service_name NAME` or `--service_name=NAME`.
    ///
    /// | flag | short | default |
    /// |---|---|---|
    /// | `service_name` | `-n` | has to be there |
    /// | `socket_dir` | `-s` | `/tmp/mistify` |
    /// | `default_priority` | `-p` | 50 |
    /// | `coordinator_url` | `-u` | none: no requests of its own |
    /// | `request_timeout` | `-t` | 0, which is 60 s; in seconds |
    /// | `config_file` | `-c` | none |
    /// | `log_level` | `-l` | taken and passed over |
    ///
    /// The file is JSON with the same keys, and with `default_timeout` (seconds a handler may take; 0
    /// is no limit) and `tasks.NAME.priority` and `tasks.NAME.timeout`. Flags win over the file.
    ///
    /// # Errors
    /// For a flag that is not known or has no value, a file that cannot be read, and a value that
    /// cannot be used.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let flags = flags(arguments)?;
        let file = match flags.get("config_file") {
            Some(path) => read(Path::new(path))?,
            None => File::default(),
        };
        let text = |key: &str, of_file: Option<String>| flags.get(key).cloned().or(of_file);
        let number = |key: &'static str| -> Result<Option<i64>, Error> {
            let wrong = |text: &String| {
                Error::Config(format!("`{key}` is `{text}`, expected a whole number"))
            };
            flags.get(key).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
        };
        let socket_dir = text("socket_dir", file.socket_dir);
        let socket_dir = socket_dir.unwrap_or_else(|| SOCKET_DIR.to_owned());
        let service_name = text("service_name", file.service_name).unwrap_or_default();
        if socket_dir.is_empty() {
            return Err(Error::Config("missing socket_dir".into()));
        }
        if service_name.is_empty() {
            return Err(Error::Config("missing service_name".into()));
        }
        let coordinator =
            text("coordinator_url", file.coordinator_url).filter(|url| !url.is_empty());
        let coordinator = coordinator.as_deref().map(socket_of).transpose()?;
        // Whatever is not above zero is the default, as in the original.
        let flag = number("request_timeout")?.map(|seconds| u64::try_from(seconds).unwrap_or(0));
        let request_timeout = seconds(flag.or(file.request_timeout)).unwrap_or(REQUEST_TIMEOUT);
        let tasks = file.tasks.into_iter().map(|(name, task)| {
            let timeout = task.timeout.map(Duration::from_secs);
            (name, TaskConfig { priority: task.priority, timeout })
        });
        Ok(Self {
            priority: number("default_priority")?.or(file.default_priority).unwrap_or(PRIORITY),
            timeout: seconds(file.default_timeout),
            tasks: tasks.collect(),
            coordinator,
            request_timeout,
            ..Self::new(socket_dir, service_name)
        })
    }

    /// The priority of a task.
    pub(crate) fn priority_of(&self, task: &str) -> i64 {
        self.tasks.get(task).and_then(|task| task.priority).unwrap_or(self.priority)
    }

    /// How long the handler of a task may take.
    pub(crate) fn timeout_of(&self, task: &str) -> Option<Duration> {
        let own = self.tasks.get(task).and_then(|task| task.timeout);
        own.or(self.timeout).filter(|limit| !limit.is_zero())
    }
}

/// A number of seconds; none and zero are no time at all.
fn seconds(number: Option<u64>) -> Option<Duration> {
    number.filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

fn flags(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<BTreeMap<&'static str, String>, Error> {
    let mut flags = BTreeMap::new();
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        let word = word.to_string_lossy().into_owned();
        let unknown = || Error::Config(format!("`{word}` is no flag of a provider"));
        let (name, value) = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                (FLAGS.iter().find(|(flag, _)| *flag == name).ok_or_else(unknown)?.0, value)
            }
            (None, Some(short)) => {
                let (name, value) = short.split_at(short.chars().next().map_or(0, char::len_utf8));
                let value = value.strip_prefix('=').unwrap_or(value);
                let name = FLAGS.iter().find(|(_, flag)| *flag == name).ok_or_else(unknown)?.0;
                (name, Some(value.to_owned()).filter(|value| !value.is_empty()))
            }
            (None, None) => return Err(unknown()),
        };
        let value = match value {
            Some(value) => value,
            None => words
                .next()
                .map(|value| value.to_string_lossy().into_owned())
                .ok_or_else(|| Error::Config(format!("`{word}` lacks its value")))?,
        };
        flags.insert(name, value);
    }
    Ok(flags)
}

fn read(path: &Path) -> Result<File, Error> {
    let wrong = |why: String| Error::Config(format!("`{}`: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// The socket of a coordinator: a path, or a URL of one.
fn socket_of(text: &str) -> Result<PathBuf, Error> {
    let wrong = || {
        let expected = "expected `unix:///PATH` or an absolute path";
        Error::Config(format!("`coordinator_url` is `{text}`, {expected}"))
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    match url.scheme.as_str() {
        "" if text.starts_with('/') => Ok(text.into()),
        "unix" if url.host.is_empty() && url.path.starts_with('/') => Ok(url.socket()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Config, String> {
        Config::parse(words.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_in_every_form() {
        let expected = Config { priority: 7, ..Config::new("/s", "n") };
        for words in [
            &["-n", "n", "-s", "/s", "-p", "7"][..],
            &["-nn", "-s=/s", "-p7"],
            &["--service_name=n", "--socket_dir", "/s", "--default_priority", "7"],
        ] {
            assert_eq!(parse(words).unwrap(), expected, "{words:?}");
        }
        let url = parse(&["-n", "n", "-u", "unix:///a%20b.sock", "-t", "0"]).unwrap();
        assert_eq!(url.coordinator, Some("/a b.sock".into()));
        assert_eq!(url.request_timeout, REQUEST_TIMEOUT);
        assert_eq!(url.socket_dir, Path::new(SOCKET_DIR));
        assert_eq!(parse(&["-n", "n", "-u", "/a b"]).unwrap().coordinator, Some("/a b".into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, complaint) in [
            (&["-s", "/s"][..], "missing service_name"),
            (&["-n", "n", "-s", ""], "missing socket_dir"),
            (&["-n"], "`-n` lacks its value"),
            (&["-x", "1"], "`-x` is no flag of a provider"),
            (&["n"], "`n` is no flag of a provider"),
            (&["-n", "n", "-p", "x"], "`default_priority` is `x`, expected a whole number"),
        ] {
            assert_eq!(parse(words).unwrap_err(), complaint);
        }
        for url in ["http://h:1", "relative", "unix://host/x"] {
            assert!(parse(&["-n", "n", "-u", url]).unwrap_err().contains(url), "{url}");
        }
    }

    #[test]
    fn the_file_is_below_the_flags() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        let text = r#"{"service_name": "file", "socket_dir": "/f", "default_timeout": 9,
            "tasks": {"A": {"priority": 60, "timeout": 1}, "B": {"timeout": 0}}}"#;
        std::fs::write(&path, text).unwrap();
        let config = parse(&["-c", path.to_str().unwrap(), "-n", "flag"]).unwrap();
        assert_eq!((config.service_name.as_str(), config.priority), ("flag", 50));
        assert_eq!((config.priority_of("A"), config.priority_of("B")), (60, 50));
        let second = Some(Duration::from_secs(1));
        assert_eq!((config.timeout_of("A"), config.timeout_of("B")), (second, None));
        assert_eq!(config.timeout_of("C"), Some(Duration::from_secs(9)));
        assert!(parse(&["-c", "/none.json"]).unwrap_err().starts_with("`/none.json`: "));
    }
}
