//! The `[coordinator]` table as it is written, and what it resolves to.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use coproc_acomm::{MAX_MESSAGE, Url};
use coproc_core::count::{Bytes, Positive};
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::mode::Mode;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::{self, NOUN, Scalar, printable, refuse};
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::allow::{Allow, Host};
use crate::config::Coordinator;
use crate::exec_task::ExecTaskTable;
use crate::nats::table::NatsTable;
use crate::router::{MAX_NAME, Order, is_name};

/// The coordinator of tasks: requests come in over HTTP and a Unix socket, and go to providers that
/// are found by their sockets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct CoordinatorTable {
    /// The folder of the sockets of coordinators and providers. `${name}` is replaced.
    #[schemars(example = &"/run/mistify")]
    pub socket_dir: Option<String>,
    /// Its name, by which its two sockets are called.
    #[schemars(required, example = &"coordinator")]
    pub service_name: Option<Text>,
    /// The port for requests over HTTP.
    #[schemars(example = 8090)]
    pub external_port: Option<Port>,
    /// The address of that port; `0.0.0.0` is all of this machine's, `none` is no port at all.
    #[schemars(example = &"0.0.0.0")]
    pub listen: Option<Listen>,
    /// How long a response may take, in seconds or as a duration; `0` is `60s`.
    #[schemars(example = &"2m")]
    pub request_timeout: Option<Seconds>,
    /// How long a requester may take to send its request.
    #[schemars(example = &"5s")]
    pub read_timeout: Option<Span>,
    /// How long a provider may take to say that it takes a request, or not.
    #[schemars(example = &"2s")]
    pub ack_timeout: Option<Span>,
    /// How long a response hook, or the source of a stream, may take to answer.
    #[schemars(example = &"10s")]
    pub hook_timeout: Option<Span>,
    /// How long a stream may stand still before it is broken off.
    #[schemars(example = &"5m")]
    pub stream_timeout: Option<Span>,
    /// How long the address of a stream is good for.
    #[schemars(example = &"1h")]
    pub stream_ttl: Option<Span>,
    /// How long open requests may take to be answered when the coordinator stops.
    #[schemars(example = &"10s")]
    pub stop_timeout: Option<Span>,
    /// What the addresses of streams begin with for clients outside. Default: `http://`, the
    /// address at which a request came in, and the port.
    #[schemars(example = &"https://tasks.example.test/api")]
    pub public_url: Option<PublicUrl>,
    /// The largest message.
    #[schemars(example = &"1MiB")]
    pub max_message: Option<Bytes>,
    /// How many requests may wait for their response.
    #[schemars(example = 1000)]
    pub max_inflight: Option<Positive>,
    /// How many connections are served at once, on the port and on each socket; further ones wait.
    #[schemars(example = 64)]
    pub max_clients: Option<Positive>,
    /// Where responses may be sent: `*`, names, addresses and networks. `*` is every host, without
    /// addresses that are local to a link, such as `169.254.169.254`.
    #[schemars(example = ["10.0.0.0/8", "hooks.example.test"])]
    pub hook_allow: Option<Hosts>,
    /// Whence streams may be fetched over HTTP, likewise.
    #[schemars(example = ["10.0.0.0/8"])]
    pub stream_allow: Option<Hosts>,
    /// Whether requests over HTTP may name Unix sockets, to which providers then connect.
    #[schemars(example = true)]
    pub allow_unix_hooks_from_http: Option<Flag>,
    /// Whether providers see the requester's id. Otherwise they see one that the coordinator made,
    /// so that nobody can answer a request who was not asked.
    #[schemars(example = true)]
    pub keep_ids: Option<Flag>,
    /// How the priorities of providers compare: as `number`, or as `text` as mistify's did.
    #[schemars(example = &"text")]
    pub priority_order: Option<Order>,
    /// Whether providers of equal priority take turns. Otherwise the first by name is asked first.
    #[schemars(example = true)]
    pub rotate: Option<Flag>,
    /// Whether HTTP answers to what is no request have a status of 400 or 413. Otherwise all have
    /// 200.
    #[schemars(example = true)]
    pub strict_http: Option<Flag>,
    /// Texts of which requests over HTTP have to bear one, as `Authorization: Bearer TEXT`.
    /// Default: none has to.
    #[schemars(example = ["a-long-random-text"])]
    pub tokens: Option<Words>,
    /// The mode of its sockets, in octal digits and in quotes.
    #[schemars(example = &"0666")]
    pub socket_mode: Option<Mode>,
    /// The mode of the folders that it makes, in octal digits and in quotes.
    #[schemars(example = &"0755")]
    pub dir_mode: Option<Mode>,
    /// The group that its sockets and folders are given to, by name or number. Default: the
    /// wrapper's own.
    #[schemars(example = &"adm")]
    pub group: Option<Text>,
    /// Offers the task `exec`, which runs programs. Default: it is not offered.
    #[schemars(example = serde_json::json!({ "allow": ["/usr/bin/uptime"] }))]
    pub exec: Option<ExecTaskTable>,
    /// Whether the task `coprocess` is offered, which tells the status of the coprocesses and starts,
    /// stops and restarts them.
    #[schemars(example = true)]
    pub coprocess: Option<Flag>,
    /// The NATS server through which tasks are shared with other coordinators. Default: none are.
    #[schemars(example = serde_json::json!({ "url": "nats://10.0.0.5:4222" }))]
    pub nats: Option<NatsTable>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 23] = [
    ("socket_dir", SOCKET_DIR),
    ("external_port", "8080"),
    ("listen", "127.0.0.1"),
    ("request_timeout", "60s"),
    ("read_timeout", "10s"),
    ("ack_timeout", "5s"),
    ("hook_timeout", "30s"),
    ("stream_timeout", "1m"),
    ("stream_ttl", "10m"),
    ("stop_timeout", "30s"),
    ("max_message", "16MiB"),
    ("max_inflight", "16384"),
    ("max_clients", "256"),
    ("hook_allow", "*"),
    ("stream_allow", "*"),
    ("allow_unix_hooks_from_http", "false"),
    ("keep_ids", "false"),
    ("priority_order", "number"),
    ("rotate", "false"),
    ("strict_http", "false"),
    ("socket_mode", "0660"),
    ("dir_mode", "0750"),
    ("coprocess", "false"),
];

/// The default of `socket_dir`, as that of the original.
pub const SOCKET_DIR: &str = "/tmp/mistify";

/// How long a response may take where nobody says it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest path that a socket's address has room for.
const MAX_PATH: usize = 107;

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl Scalar for Port {
    const NOUN: &'static str = "a port";
    const EXPECTED: &'static str = "a number from 1 to 65535";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Positive::read(text)?.0.try_into().ok().map(Self)
    }

    fn complaint(text: &str) -> String {
        match text.is_empty() || text.bytes().any(|byte| byte != b'0') {
            false => "missing external_port".to_owned(),
            true => format!("`{}` is not {}", printable(text), Self::NOUN),
        }
    }
}

coproc_core::impl_scalar!(Port, "Port", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 65535 },
        { "type": "string", "pattern": "^0*[1-9][0-9]{0,4}$" }
    ]
});

/// The address of a port, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<IpAddr>);

impl Scalar for Listen {
    const NOUN: &'static str = "an address to listen on";
    const EXPECTED: &'static str = "an IP address, such as `127.0.0.1` or `::`, or `none`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self(None)),
            text => text.trim_matches(['[', ']']).parse().ok().map(|ip| Self(Some(ip))),
        }
    }
}

coproc_core::impl_scalar!(Listen, "Listen", { "type": "string" });

/// A duration, or a number of seconds. What is not above zero is nothing said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Option<Duration>);

impl Scalar for Seconds {
    const NOUN: &'static str = "a number of seconds";
    const EXPECTED: &'static str = "a whole number of seconds, or a duration such as `1m30s`";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        let time = match text.parse::<i64>() {
            // Longer than anybody waits, and short enough to be added to a time.
            Ok(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 32)),
            Err(_) => coproc_core::duration::GoDuration::read(text)?.pause(),
        };
        Some(Self(Some(time).filter(|time| !time.is_zero())))
    }
}

coproc_core::impl_scalar!(Seconds, "Seconds", {
    "anyOf": [{ "type": "integer" }, { "type": "string" }]
});

/// What addresses begin with: a URL of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(pub Url);

impl Scalar for PublicUrl {
    const NOUN: &'static str = "a URL of HTTP";
    const EXPECTED: &'static str = "`http://HOST`, with a port and a path if need be";

    fn read(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain = !url.user && url.raw_query.is_empty() && url.fragment.is_empty();
        (url.is_http() && !url.host.is_empty() && plain).then_some(Self(url))
    }
}

coproc_core::impl_scalar!(PublicUrl, "PublicUrl", { "type": "string", "pattern": "^https?://." });

impl Scalar for Order {
    const NOUN: &'static str = "an order of priorities";
    const EXPECTED: &'static str = "`number` or `text`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "number" => Some(Self::Number),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

coproc_core::impl_scalar!(Order, "Order", { "enum": ["number", "text"] });

/// Hosts: an array of texts, or one text with blanks between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts(pub Allow);

const HOSTS: &str = "`*`, names, addresses or networks such as `10.0.0.0/8`";

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Words(words) = Words::deserialize(deserializer)?;
        let read = |word: &String| {
            let wrong = || refuse(format_args!("`{}` is not a host", printable(word)), HOSTS);
            Host::read(word).ok_or_else(wrong)
        };
        words.iter().map(read).collect::<Result<_, _>>().map(|hosts| Self(Allow(hosts)))
    }
}

impl JsonSchema for Hosts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Hosts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" } },
                { "type": "string" }
            ],
            NOUN: "hosts",
            scalar::EXPECTED: HOSTS
        })
    }
}

impl CoordinatorTable {
    /// Checks what single values cannot show, and fills the defaults in. `refused` names the keys
    /// whose values are known to be wrong, so that they do not count as missing.
    ///
    /// # Errors
    /// Everything that is wrong, in the original's order and words where it had some.
    pub fn resolve(self, refused: &[String]) -> Result<Coordinator, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let is_refused = |key: &str| refused.iter().any(|refused| refused == key);
        let socket_dir = self.socket_dir.unwrap_or_else(|| SOCKET_DIR.to_owned());
        if socket_dir.is_empty() && !is_refused("socket_dir") {
            refusals.push(
                Refusal::wrong("socket_dir", "missing socket_dir").expected("the path of a folder"),
            );
        }
        let service_name = self.service_name.map(|Text(name)| name).unwrap_or_default();
        if service_name.is_empty() {
            if !is_refused("service_name") {
                let mut refusal =
                    Refusal::missing("service_name", "service_name = \"coordinator\"");
                refusal.what = "missing service_name".to_owned();
                refusals.push(refusal);
            }
        } else if !is_name(&service_name) {
            let what = format!("`{}` is not the name of a service", printable(&service_name));
            refusals.push(Refusal::wrong("service_name", what).expected(format!(
                "1 to {MAX_NAME} bytes without `/`, which do not begin with a dot"
            )));
        } else if !socket_dir.contains("${") {
            let length = socket_dir.len() + "/coordinator/.sock".len() + service_name.len();
            if length > MAX_PATH {
                refusals.push(
                    Refusal::wrong("socket_dir", format!("its socket's path has {length} bytes"))
                        .expected(format!("at most {MAX_PATH} bytes")),
                );
            }
        }
        let missing = !is_refused("exec");
        let exec = self.exec.and_then(|table| table.resolve(missing, &mut refusals));
        let nats = match self.nats.map(NatsTable::resolve).transpose() {
            Ok(nats) => nats,
            Err(more) => {
                refusals.extend(more);
                None
            }
        };
        for (key, time) in [
            ("ack_timeout", self.ack_timeout),
            ("hook_timeout", self.hook_timeout),
            ("stream_ttl", self.stream_ttl),
        ] {
            if time.is_some_and(|time| time.get().is_zero()) {
                let refusal = Refusal::wrong(key, "no time at all is too short for anything");
                refusals.push(refusal.expected("a duration above zero"));
            }
        }
        if self.max_message.is_some_and(|most| most.0 == 0) {
            let refusal = Refusal::wrong("max_message", "no message is so short");
            refusals.push(refusal.expected("a number of bytes above zero"));
        }
        if self.tokens.iter().flat_map(|Words(tokens)| tokens).any(String::is_empty) {
            let refusal = Refusal::wrong("tokens", "an empty token lets nobody in");
            refusals.push(refusal.expected("texts that requesters send"));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let time = |set: Option<Span>, seconds| set.map_or(Duration::from_secs(seconds), Span::get);
        let flag = |set: Option<Flag>| set.is_some_and(|flag| flag.0);
        let size = |bytes: Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
        let number = |set: Option<Positive>, default| set.map_or(default, |set| set.0 as usize);
        let hosts = |set: Option<Hosts>| set.map_or(Allow(vec![Host::Any]), |Hosts(allow)| allow);
        Ok(Coordinator {
            socket_dir: PathBuf::from(socket_dir),
            service_name,
            listen: match self.listen {
                Some(Listen(address)) => address,
                None => Some(Ipv4Addr::LOCALHOST.into()),
            },
            external_port: self.external_port.map_or(8080, |port| port.0),
            request_timeout: self
                .request_timeout
                .and_then(|Seconds(time)| time)
                .unwrap_or(REQUEST_TIMEOUT),
            read_timeout: time(self.read_timeout, 10),
            ack_timeout: time(self.ack_timeout, 5),
            hook_timeout: time(self.hook_timeout, 30),
            stream_timeout: time(self.stream_timeout, 60),
            stream_ttl: time(self.stream_ttl, 600),
            stop_timeout: time(self.stop_timeout, 30),
            public_url: self.public_url.map(|PublicUrl(url)| url),
            max_message: self.max_message.map_or(MAX_MESSAGE, size),
            max_inflight: number(self.max_inflight, 16384),
            max_connections: number(self.max_clients, 256),
            hook_allow: hosts(self.hook_allow),
            stream_allow: hosts(self.stream_allow),
            allow_unix_hooks_from_http: flag(self.allow_unix_hooks_from_http),
            keep_ids: flag(self.keep_ids),
            priority_order: self.priority_order.unwrap_or_default(),
            rotate: flag(self.rotate),
            strict_http: flag(self.strict_http),
            tokens: self.tokens.map(|Words(tokens)| tokens).unwrap_or_default(),
            socket_mode: self.socket_mode.map_or(0o660, |mode| mode.0),
            dir_mode: self.dir_mode.map_or(0o750, |mode| mode.0),
            group: self.group.map(|Text(group)| group),
            exec,
            coprocess: flag(self.coprocess),
            nats,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<Coordinator, Vec<String>> {
        let table: CoordinatorTable =
            serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
        let whats = |refusals: Vec<Refusal>| refusals.into_iter().map(|r| r.what).collect();
        table.resolve(&[]).map_err(whats)
    }

    #[test]
    fn texts_of_the_original_in_its_order() {
        assert_eq!(resolve("{}").unwrap_err(), ["missing service_name"]);
        let both = resolve(r#"{"socket_dir": "", "service_name": ""}"#).unwrap_err();
        assert_eq!(both, ["missing socket_dir", "missing service_name"]);
        let port = resolve(r#"{"service_name": "c", "external_port": 0}"#).unwrap_err();
        assert!(port[0].starts_with("missing external_port"), "{port:?}");
        assert!(resolve(r#"{"service_name": "c", "external_port": 65536}"#).is_err());
        assert!(resolve(r#"{"service_name": "c", "unknown": 1}"#).is_err());
    }

    #[test]
    fn k31_a_service_has_a_name_that_is_one_component() {
        for name in ["../../x", "/x", ".x", "a/b"] {
            assert!(resolve(&format!(r#"{{"service_name": "{name}"}}"#)).is_err(), "{name}");
        }
        let long = format!(r#"{{"service_name": "c", "socket_dir": "/{}"}}"#, "x".repeat(100));
        assert!(resolve(&long).is_err());
    }

    #[test]
    fn times_are_seconds_or_durations_and_zero_is_a_minute() {
        let timeout = |value: &str| {
            let json = format!(r#"{{"service_name": "c", "request_timeout": {value}}}"#);
            resolve(&json).map(|config| config.request_timeout.as_millis())
        };
        for (value, expected) in [
            ("0", 60_000),
            ("-5", 60_000),
            ("3", 3000),
            ("\"3\"", 3000),
            ("\"1m30s\"", 90_000),
            ("\"250ms\"", 250),
            ("\"0s\"", 60_000),
        ] {
            assert_eq!(timeout(value), Ok(expected), "{value}");
        }
        assert!(timeout("\"soon\"").is_err());
    }

    #[test]
    fn what_could_never_work_is_refused() {
        for (set, why) in [
            (r#""ack_timeout": "0s""#, "no time at all is too short for anything"),
            (r#""hook_timeout": "0""#, "no time at all is too short for anything"),
            (r#""stream_ttl": "0ms""#, "no time at all is too short for anything"),
            (r#""max_message": 0"#, "no message is so short"),
            (r#""tokens": ["a", ""]"#, "an empty token lets nobody in"),
            (r#""exec": {"allow": []}"#, "nothing is allowed"),
        ] {
            let refused = resolve(&format!(r#"{{"service_name": "c", {set}}}"#)).unwrap_err();
            assert_eq!(refused, [why], "{set}");
        }
    }

    #[test]
    fn defaults_are_those_that_are_shown() {
        let plain = resolve(r#"{"service_name": "c"}"#).unwrap();
        let mut said = serde_json::json!({ "service_name": "c" });
        for (key, value) in DEFAULTS {
            said[key] = (*value).into();
        }
        let said = resolve(&said.to_string()).unwrap();
        assert_eq!(format!("{plain:?}"), format!("{said:?}"));
    }
}
