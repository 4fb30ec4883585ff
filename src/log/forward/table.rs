//! One table of `[log.forward.NAME]` as it is written, and what it resolves to.

use std::collections::BTreeMap;
use std::fmt;

use coproc_core::count::Positive;
use coproc_core::output::Level;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::{Scalar, printable};
use coproc_core::text::Text;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::log::config::{Collector, ForwardConfig, Target, Way};
use crate::log::level::LevelWord;

/// A place that all lines are forwarded to, beside the log's own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ForwardTable {
    /// Where to. syslog (RFC 5424) is spoken to `unix:///PATH` and `udp://HOST:PORT` in datagrams and
    /// to `tcp://HOST:PORT` with lengths before the messages; OTLP, as JSON, to
    /// `http://HOST:PORT/PATH`.
    #[schemars(required, example = &"udp://logs.example.test:514")]
    pub to: Option<Target>,
    /// Lines below it are not forwarded. Default: `log.level`.
    #[schemars(example = &"warn")]
    pub level: Option<LevelWord>,
    /// How many lines may wait. Further ones are dropped and counted.
    #[schemars(example = 1024, extend("default" = QUEUE))]
    pub queue: Option<Positive>,
    /// syslog: what kind of program the messages come from. Default: `daemon`.
    #[schemars(example = &"local0")]
    pub facility: Option<Facility>,
    /// OTLP: the attributes of the resource. Default: `service.name` is `coproc`.
    #[schemars(example = serde_json::json!({ "service.name": "shop" }))]
    pub resource: Option<BTreeMap<String, Text>>,
    /// OTLP: fields of the requests' heads. Default: none.
    #[schemars(example = serde_json::json!({ "Authorization": "Bearer s3cret" }))]
    pub headers: Option<BTreeMap<String, Text>>,
}

const QUEUE: u32 = 8192;

impl Scalar for Target {
    const NOUN: &'static str = "a place to forward lines to";
    const EXPECTED: &'static str = "`unix:///PATH`, `udp://HOST:PORT`, `tcp://HOST:PORT` or `http://HOST:PORT/PATH`, without TLS";

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        match scheme {
            "unix" if rest.starts_with('/') => Some(Self::Syslog(Way::Unix(rest.into()))),
            "udp" => is_place(rest).then(|| Self::Syslog(Way::Udp(rest.to_owned()))),
            "tcp" => is_place(rest).then(|| Self::Syslog(Way::Tcp(rest.to_owned()))),
            "http" => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                // Where the protocol says that logs are taken.
                let path = if path.is_empty() { "v1/logs" } else { path };
                let visible = path.bytes().all(|byte| byte.is_ascii_graphic());
                (is_place(authority) && visible).then(|| {
                    let path = format!("/{path}");
                    Self::Otlp(Collector { authority: authority.to_owned(), path })
                })
            }
            _ => None,
        }
    }

    /// Credentials are not shown.
    fn complaint(text: &str) -> String {
        let shown = match text.rsplit_once('@') {
            Some((_, place)) => format!("…@{}", printable(place)),
            None => printable(text),
        };
        format!("`{shown}` is not {}", Self::NOUN)
    }

    fn remedy(text: &str) -> &'static str {
        if text.contains('@') {
            return "a place without credentials; OTLP takes them as `headers = { Authorization = \"…\" }`";
        }
        match text.starts_with("https:") {
            true => {
                "`http://HOST:PORT/PATH`: TLS is not spoken here, but by a collector or relay beside coproc"
            }
            false => Self::EXPECTED,
        }
    }
}

/// `HOST:PORT`.
fn is_place(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare =
        !host.contains(['/', '@', ' ', ':']) || (host.starts_with('[') && host.ends_with(']'));
    let ascii = host.bytes().all(|byte| byte.is_ascii_graphic());
    !host.is_empty() && bare && ascii && port.parse::<u16>().is_ok_and(|port| port > 0)
}

coproc_core::impl_scalar!(Target, "Target", {
    "type": "string",
    "pattern": "^(unix:///.+|(udp|tcp)://.+:[0-9]+|http://[^/]+:[0-9]+(/.*)?)$"
});

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syslog(Way::Unix(path)) => write!(f, "unix://{}", path.display()),
            Self::Syslog(Way::Udp(place)) => write!(f, "udp://{place}"),
            Self::Syslog(Way::Tcp(place)) => write!(f, "tcp://{place}"),
            Self::Otlp(Collector { authority, path }) => write!(f, "http://{authority}{path}"),
        }
    }
}

/// A facility of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub u8);

const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Scalar for Facility {
    const NOUN: &'static str = "a facility of syslog";
    const EXPECTED: &'static str = "`daemon`, `user`, `local0` to `local7`, `auth`, `authpriv`, `cron`, \
        `ftp`, `kern`, `lpr`, `mail`, `news`, `syslog` or `uucp`";

    fn read(text: &str) -> Option<Self> {
        FACILITIES.iter().find(|(name, _)| *name == text).map(|&(_, number)| Self(number))
    }
}

coproc_core::impl_scalar!(Facility, "Facility", {
    "enum": ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]
});

impl ForwardTable {
    /// Checks what single values cannot show, and fills the defaults in. `report` says whether a `to`
    /// that is not there is told of.
    pub(in crate::log) fn resolve(
        self,
        name: &str,
        level: Level,
        report: bool,
        refusals: &mut Vec<Refusal>,
    ) -> Option<ForwardConfig> {
        let mut wrong = |key: &'static str, what: String, expected: &str| {
            let refusal = Refusal::wrong("forward", what).below(name.to_owned()).below(key);
            refusals.push(refusal.expected(expected));
        };
        let Some(target) = self.to else {
            if report {
                wrong("to", "is required".to_owned(), Target::EXPECTED);
            }
            return None;
        };
        let syslog = matches!(target, Target::Syslog(_));
        let expected =
            if syslog { "a `to` that is `http://`, or no such key" } else { "no `facility`" };
        for (key, set, of) in [
            ("facility", self.facility.is_some() && !syslog, "syslog"),
            ("resource", self.resource.is_some() && syslog, "OTLP"),
            ("headers", self.headers.is_some() && syslog, "OTLP"),
        ] {
            if set {
                wrong(key, format!("is a key of {of} alone"), expected);
            }
        }
        let texts = |table: Option<BTreeMap<String, Text>>| -> BTreeMap<String, String> {
            table.unwrap_or_default().into_iter().map(|(name, Text(text))| (name, text)).collect()
        };
        let headers = texts(self.headers);
        for (name, value) in &headers {
            let token = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            if !token || value.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7F) {
                let what = format!("`{}` cannot be a field of a head", printable(name));
                wrong(
                    "headers",
                    what,
                    "a name of letters, digits and hyphens, and a value of one line",
                );
            }
        }
        let mut resource = texts(self.resource);
        resource.entry("service.name".to_owned()).or_insert_with(|| "coproc".to_owned());
        Some(ForwardConfig {
            name: name.to_owned(),
            target,
            level: self.level.map_or(level, |word| word.0),
            queue: self.queue.map_or(QUEUE, |count| count.0) as usize,
            facility: self.facility.unwrap_or(Facility(3)).0,
            resource,
            headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, shown) in [
            ("unix:///dev/log", Some("unix:///dev/log")),
            ("udp://logs:514", Some("udp://logs:514")),
            ("tcp://[::1]:601", Some("tcp://[::1]:601")),
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/logs")),
            ("http://c:4318/", Some("http://c:4318/v1/logs")),
            ("http://c:4318/otlp/v1/logs?x=1", Some("http://c:4318/otlp/v1/logs?x=1")),
            ("unix://dev/log", None),
            ("udp://logs", None),
            ("udp://:514", None),
            ("udp://logs:0", None),
            ("udp://a b:514", None),
            ("tcp://::1:601", None),
            ("http://u:p@c:4318/", None),
            ("https://c:4318/", None),
            ("logs:514", None),
        ] {
            assert_eq!(Target::read(text).map(|to| to.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn who_asks_for_tls_is_told_who_speaks_it() {
        assert!(Target::remedy("https://c:4318/").contains("TLS is not spoken here"));
        assert_eq!(Target::remedy("ftp://c"), Target::EXPECTED);
    }

    #[test]
    fn credentials_are_not_shown_again() {
        let complaint = Target::complaint("http://user:s3cret@c:4318/");
        assert_eq!(complaint, "`…@c:4318/` is not a place to forward lines to");
        assert!(Target::remedy("http://user:s3cret@c:4318/").starts_with("a place without"));
    }
}
