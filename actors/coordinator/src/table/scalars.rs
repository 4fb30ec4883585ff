//! The values of the table that are no other's.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use coproc_acomm::Url;
use coproc_core::count::Positive;
use coproc_core::scalar::{self, NOUN, Scalar, printable, refuse};
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::allow::{Allow, Host};
use crate::router::Order;
use crate::unix_hooks::UnixHooks;

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

coproc_core::impl_choice!(Order, "Order", "an order of priorities", {
    "number" => Number, or "text" => Text
});

coproc_core::impl_choice!(UnixHooks, "UnixHooks", "a choice of Unix sockets", {
    "any" => Any, or "socket_dir" => SocketDir
});

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
