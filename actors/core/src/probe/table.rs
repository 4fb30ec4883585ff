//! The `ready` and `live` tables as they are written, and what they resolve to.

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{Address, HttpTarget, Kind, Pattern, Probe, TcpAddress};
use crate::count::Count;
use crate::duration::Span;
use crate::flag::Flag;
use crate::refusal::Refusal;
use crate::scalar::{Scalar, printable};
use crate::words::Words;

/// How a process is asked whether it is ready or alive: exactly one of `exec`, `http`, `tcp`,
/// `unix`, `log`, `file`, `fd` and `notify`, and how often.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ProbeTable {
    /// A program that is run, as the user of the process; status 0 is good. `${name}` is replaced.
    #[schemars(example = ["/usr/local/bin/agent", "ping"])]
    pub exec: Option<Words>,
    /// A URL to ask, `http://HOST:PORT/PATH` or `unix:///SOCKET:/PATH`; a status of 2xx or 3xx is
    /// good.
    #[schemars(example = &"http://127.0.0.1:8080/healthz")]
    pub http: Option<HttpTarget>,
    /// `HOST:PORT` that takes a connection.
    #[schemars(example = &"127.0.0.1:8080")]
    pub tcp: Option<TcpAddress>,
    /// The path of a stream socket that takes a connection. `${name}` is replaced.
    #[schemars(example = &"${run_path}/agent.sock")]
    pub unix: Option<String>,
    /// A regular expression that a line of the process's own output matches. For `ready` only.
    #[schemars(example = &"listening on port [0-9]+")]
    pub log: Option<Pattern>,
    /// The path of a file that is there. `${name}` is replaced.
    #[schemars(example = &"${run_path}/agent.ready")]
    pub file: Option<String>,
    /// The number of a descriptor to which the process writes a newline, as services of s6 do. For
    /// `ready` only.
    #[schemars(example = 3)]
    pub fd: Option<Descriptor>,
    /// Whether the process says it with sd_notify(3), on NOTIFY_SOCKET: `READY=1` for `ready`; for
    /// `live` `WATCHDOG=1`, which may stay away for `interval` times `failures` (WATCHDOG_USEC).
    #[schemars(example = true)]
    pub notify: Option<Flag>,
    /// The time from one try to the next. Default: `100ms` for `file`, else `1s`.
    #[schemars(example = &"10s")]
    pub interval: Option<Span>,
    /// How long one try may take.
    #[schemars(example = &"3s", extend("default" = TIMEOUT.to_string()))]
    pub timeout: Option<Span>,
    /// The pause before the first try.
    #[schemars(example = &"500ms", extend("default" = DELAY.to_string()))]
    pub delay: Option<Span>,
    /// How many good answers in a row mean yes.
    #[schemars(example = 2, extend("default" = SUCCESSES))]
    pub successes: Option<Count>,
    /// How many bad answers in a row mean no.
    #[schemars(example = 5, extend("default" = FAILURES))]
    pub failures: Option<Count>,
    /// By when it has to be ready, counted from its start; if it is not, it is stopped. For `ready`
    /// only. Default: no limit.
    #[schemars(example = &"30s")]
    pub within: Option<Span>,
}

const TIMEOUT: Span = Span::from_secs(1);
const DELAY: Span = Span::from_secs(0);
const SUCCESSES: u32 = 1;
const FAILURES: u32 = 3;

/// What a probe is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whether the process serves.
    Ready,
    /// Whether it is still alive.
    Live,
}

impl Role {
    /// The key of its table.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Live => "live",
        }
    }
}

/// The number of a descriptor beyond the three standard ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub i32);

/// A number above it may not be open to the program.
const HIGHEST_DESCRIPTOR: i32 = 255;

impl Scalar for Descriptor {
    const NOUN: &'static str = "the number of a descriptor";
    const EXPECTED: &'static str = "a number from 3 to 255";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        let number = Count::read(text)?.0.try_into().ok()?;
        (3..=HIGHEST_DESCRIPTOR).contains(&number).then_some(Self(number))
    }
}

crate::impl_scalar!(Descriptor, "Descriptor", {
    "anyOf": [
        { "type": "integer", "minimum": 3, "maximum": 255 },
        { "type": "string", "pattern": "^[0-9]+$" }
    ]
});

impl Scalar for TcpAddress {
    const NOUN: &'static str = "an address";
    const EXPECTED: &'static str = "`HOST:PORT`, such as `127.0.0.1:8080` or `[::1]:8080`";

    fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => return None,
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0)?;
        (!host.is_empty() && host.chars().all(plain)).then(|| Self { host: host.to_owned(), port })
    }
}

crate::impl_scalar!(TcpAddress, "TcpAddress", { "type": "string", "pattern": "^.+:[0-9]+$" });

impl Scalar for HttpTarget {
    const NOUN: &'static str = "an HTTP URL that can be asked";
    const EXPECTED: &'static str = "`http://HOST:PORT/PATH` or `unix:///SOCKET:/PATH`";

    fn read(text: &str) -> Option<Self> {
        // It goes into a request as it is.
        if !text.chars().all(|c| c.is_ascii_graphic()) || text.contains('#') {
            return None;
        }
        if let Some(rest) = text.strip_prefix("unix://") {
            let (socket, path) = match rest.find(":/") {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, "/"),
            };
            let address = Address::Unix(socket.to_owned());
            return (socket.len() > 1 && (socket.starts_with('/') || socket.starts_with("${")))
                .then(|| Self { address, path: path.to_owned() });
        }
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = if has_port { "" } else { ":80" };
        let address = Address::Tcp(TcpAddress::read(&format!("{authority}{port}"))?);
        Some(Self { address, path: format!("{slash}{path}") })
    }
}

crate::impl_scalar!(HttpTarget, "HttpTarget", {
    "type": "string",
    "pattern": "^(http://[^/]+|unix://[^:]+)"
});

impl Scalar for Pattern {
    const NOUN: &'static str = "a regular expression";
    const EXPECTED: &'static str = "a regular expression, such as `listening on port \\d+`";

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { None } else { Regex::new(text).ok().map(Self) }
    }

    fn complaint(text: &str) -> String {
        match Regex::new(text) {
            // The last line says what is wrong, those above it show where.
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                format!("`{}` is not {}: {why}", printable(text), Self::NOUN)
            }
            Ok(_) => "is blank: every line would match".to_owned(),
        }
    }
}

crate::impl_scalar!(Pattern, "Pattern", { "type": "string", "format": "regex", "minLength": 1 });

const KINDS: &str = "`exec`, `http`, `tcp`, `unix`, `log`, `file`, `fd` and `notify`";

impl ProbeTable {
    /// Checks what single values cannot show, and fills the defaults in. `report` is false where a
    /// value of the table is known to be wrong, so that it does not count as missing.
    pub fn resolve(self, role: Role, report: bool, refusals: &mut Vec<Refusal>) -> Option<Probe> {
        let before = refusals.len();
        let mut refuse = |key: Option<&'static str>, what: String, expected: &str| {
            let refusal = Refusal::wrong(role.key(), what).expected(expected);
            refusals.push(match key {
                Some(key) => refusal.below(key),
                None => refusal,
            });
        };
        for (key, value) in [("interval", self.interval), ("timeout", self.timeout)] {
            if value.is_some_and(|value| value.get().is_zero()) {
                refuse(Some(key), "leaves no time".into(), "a duration above zero");
            }
        }
        for (key, value) in [("successes", self.successes), ("failures", self.failures)] {
            if value.is_some_and(|count| count.0 == 0) {
                refuse(Some(key), "would be true before the first try".into(), "at least 1");
            }
        }
        if role == Role::Live && self.within.is_some() {
            let what = "says when a process has to be ready, and this is `live`";
            refuse(Some("within"), what.into(), "`within` in `ready`");
        }
        if self
            .exec
            .as_ref()
            .is_some_and(|words| words.0.first().is_none_or(|w| w.trim().is_empty()))
        {
            refuse(Some("exec"), "names no program".into(), "a program and its arguments");
        }
        for (key, path) in [("unix", &self.unix), ("file", &self.file)] {
            if path.as_ref().is_some_and(|path| path.trim().is_empty()) {
                refuse(Some(key), "is blank".into(), "a path");
            }
        }
        let is_file = self.file.is_some();
        let kinds = [
            ("exec", self.exec.map(|words| Kind::Exec(words.0))),
            ("http", self.http.map(Kind::Http)),
            ("tcp", self.tcp.map(Kind::Tcp)),
            ("unix", self.unix.map(Kind::Unix)),
            ("log", self.log.map(Kind::Log)),
            ("file", self.file.map(Kind::File)),
            ("fd", self.fd.map(|number| Kind::Fd(number.0))),
            ("notify", self.notify.filter(|flag| flag.0).map(|_| Kind::Notify)),
        ];
        let mut given = kinds.into_iter().filter_map(|(key, kind)| Some((key, kind?)));
        let first = given.next();
        let others: Vec<_> = given.map(|(key, _)| key).collect();
        match &first {
            None if report => {
                refuse(None, "says nothing to look at".into(), &format!("one of {KINDS}"));
            }
            Some((key, _)) if !others.is_empty() => {
                let all: Vec<_> = [*key].into_iter().chain(others).collect();
                let last = all.len() - 1;
                let list = format!("`{}` and `{}`", all[..last].join("`, `"), all[last]);
                refuse(None, format!("{list} exclude each other"), &format!("one of {KINDS}"));
            }
            Some((key, Kind::Log(_) | Kind::Fd(_))) if role == Role::Live => {
                let what = "is said once and shows no life after it";
                refuse(Some(key), what.into(), "`exec`, `http`, `tcp`, `unix`, `file` or `notify`");
            }
            _ => {}
        }
        let (_, kind) = first.filter(|_| refusals.len() == before)?;
        let interval = Span::from_millis(if is_file { 100 } else { 1000 });
        Some(Probe {
            kind,
            interval: self.interval.unwrap_or(interval).get(),
            timeout: self.timeout.unwrap_or(TIMEOUT).get(),
            delay: self.delay.unwrap_or(DELAY).get(),
            successes: self.successes.map_or(SUCCESSES, |count| count.0),
            failures: self.failures.map_or(FAILURES, |count| count.0),
            within: self.within.map(Span::get),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn resolve(role: Role, json: &str) -> Result<Probe, Vec<String>> {
        let table: ProbeTable =
            serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
        let mut refusals = Vec::new();
        table
            .resolve(role, true, &mut refusals)
            .ok_or_else(|| refusals.into_iter().map(|refusal| refusal.what).collect())
    }

    #[test]
    fn defaults() {
        let probe = resolve(Role::Ready, r#"{"tcp": "localhost:80"}"#).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!((probe.interval, probe.timeout, probe.delay), (second, second, Duration::ZERO));
        assert_eq!((probe.successes, probe.failures, probe.within), (1, 3, None));
        let probe = resolve(Role::Live, r#"{"file": "/x"}"#).unwrap();
        assert_eq!(probe.interval, Duration::from_millis(100));
    }

    #[test]
    fn exactly_one_of_the_eight() {
        let refused = |role, json| resolve(role, json).unwrap_err();
        assert_eq!(refused(Role::Ready, "{}"), ["says nothing to look at"]);
        assert_eq!(refused(Role::Ready, r#"{"notify": false}"#), ["says nothing to look at"]);
        assert_eq!(
            refused(Role::Ready, r#"{"file": "/x", "fd": 3, "exec": "true"}"#),
            ["`exec`, `file` and `fd` exclude each other"]
        );
        assert_eq!(
            refused(Role::Live, r#"{"fd": 3, "within": "1s"}"#),
            [
                "says when a process has to be ready, and this is `live`",
                "is said once and shows no life after it"
            ]
        );
        assert!(resolve(Role::Ready, r#"{"log": "up$"}"#).is_ok());
    }

    #[test]
    fn urls() {
        let read = |text: &str| HttpTarget::read(text).map(|target| target.to_string());
        for (text, shown) in [
            ("http://127.0.0.1:9000/ready", Some("127.0.0.1:9000/ready")),
            ("http://localhost", Some("localhost:80/")),
            ("http://[::1]:80?x=1", Some("[::1]:80/?x=1")),
            ("http://[::1]/", Some("[::1]:80/")),
            ("unix:///run/a.sock:/health", Some("unix:///run/a.sock:/health")),
            ("unix:///run/a.sock", Some("unix:///run/a.sock:/")),
            ("https://localhost/", None),
            ("http://user@localhost/", None),
            ("http:///x", None),
            ("http://a:0/", None),
            ("http://a:99999/", None),
            ("http://a/\r\nX: y", None),
            ("unix://run/a.sock", None),
            ("localhost:80", None),
        ] {
            assert_eq!(read(text).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn addresses_patterns_and_numbers() {
        assert_eq!(TcpAddress::read("[::1]:80").unwrap().host, "::1");
        for text in ["80", ":80", "::1:80", "a:", "a:+1", "a b:1"] {
            assert_eq!(TcpAddress::read(text), None, "{text}");
        }
        assert!(Pattern::complaint("a(").starts_with("`a(` is not a regular expression: "));
        for (text, number) in [("3", Some(3)), ("255", Some(255)), ("2", None), ("256", None)] {
            assert_eq!(Descriptor::read(text).map(|d| d.0), number);
        }
    }
}
