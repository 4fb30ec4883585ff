//! The `[gateway.limits]` table.

use coproc_core::count::{Bytes, Count, Positive};
use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Limits;

/// What clients and upstreams may ask of the gateway.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct LimitsTable {
    /// Connections of clients at once; one more is closed at once.
    #[schemars(example = 100)]
    pub max_connections: Option<Positive>,
    /// Requests that are answered at once; one more is answered with 503.
    #[schemars(example = 100)]
    pub max_in_flight: Option<Positive>,
    /// Requests at once on one HTTP/2 connection.
    #[schemars(example = 32)]
    pub max_streams: Option<Positive>,
    /// The size of a request's line and headers, or of a response's; one that has more is
    /// refused.
    #[schemars(example = &"64KiB")]
    pub max_header_bytes: Option<Bytes>,
    /// How many headers a request or a response may have.
    #[schemars(example = 64)]
    pub max_headers: Option<Positive>,
    /// The size of a request's body, however it passes; `0` is any.
    #[schemars(example = &"10MiB")]
    pub max_body: Option<Bytes>,
    /// The size of a body that a hook wants whole; one that is larger is answered with 413.
    #[schemars(example = &"1MiB")]
    pub max_buffered_body: Option<Bytes>,
    /// The size of all bodies together that are held whole at once, requests' and responses'; one that
    /// finds no room is answered with 503, and may be asked again after a second.
    #[schemars(example = &"64MiB")]
    pub max_buffered_total: Option<Bytes>,
    /// How long a request's line and headers may take, and a TLS handshake.
    #[schemars(example = &"5s")]
    pub header_timeout: Option<Span>,
    /// How long a connection may be idle between requests.
    #[schemars(example = &"30s")]
    pub idle_timeout: Option<Span>,
    /// How long a client may keep a body waiting, in either direction.
    #[schemars(example = &"10s")]
    pub client_timeout: Option<Span>,
    /// How long a connection to an upstream may take.
    #[schemars(example = &"1s")]
    pub connect_timeout: Option<Span>,
    /// How long an upstream may take to begin its response, or to go on with it.
    #[schemars(example = &"10s")]
    pub upstream_timeout: Option<Span>,
    /// Idle connections that each thread keeps to one upstream.
    #[schemars(example = 8)]
    pub upstream_idle: Option<Count>,
    /// How long an idle connection to an upstream is kept.
    #[schemars(example = &"10s")]
    pub upstream_idle_timeout: Option<Span>,
    /// How long an upgraded connection may be silent.
    #[schemars(example = &"5m")]
    pub tunnel_timeout: Option<Span>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 16] = [
    ("max_connections", "10000"),
    ("max_in_flight", "10000"),
    ("max_streams", "128"),
    ("max_header_bytes", "32KiB"),
    ("max_headers", "100"),
    ("max_body", "0"),
    ("max_buffered_body", "4MiB"),
    ("max_buffered_total", "256MiB"),
    ("header_timeout", "10s"),
    ("idle_timeout", "75s"),
    ("client_timeout", "60s"),
    ("connect_timeout", "5s"),
    ("upstream_timeout", "60s"),
    ("upstream_idle", "64"),
    ("upstream_idle_timeout", "60s"),
    ("tunnel_timeout", "1h"),
];

/// Refuses times within which nothing can be done.
pub(super) fn refuse_none(
    times: impl IntoIterator<Item = (&'static str, Option<Span>)>,
    at: impl Fn(&'static str) -> Refusal,
    refusals: &mut Vec<Refusal>,
) {
    let none = |(_, time): &(_, Option<Span>)| time.is_some_and(|time| time.get().is_zero());
    for (key, _) in times.into_iter().filter(none) {
        let expected = "a duration, such as `1m30s`";
        let mut refusal = at(key).expected(expected);
        refusal.what = "it has to be above zero".to_owned();
        refusals.push(refusal);
    }
}

impl LimitsTable {
    pub(super) fn resolve(self, refusals: &mut Vec<Refusal>) -> Limits {
        let default = Limits::default();
        let times = [
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("client_timeout", self.client_timeout),
            ("connect_timeout", self.connect_timeout),
            ("upstream_timeout", self.upstream_timeout),
            ("tunnel_timeout", self.tunnel_timeout),
        ];
        refuse_none(times, |key| Refusal::wrong("limits", "").below(key), refusals);
        let size = |bytes: Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
        Limits {
            max_connections: self
                .max_connections
                .map_or(default.max_connections, |number| number.0 as usize),
            max_in_flight: self
                .max_in_flight
                .map_or(default.max_in_flight, |number| number.0 as usize),
            max_streams: self.max_streams.map_or(default.max_streams, |number| number.0),
            max_header_bytes: self.max_header_bytes.map_or(default.max_header_bytes, size),
            max_headers: self.max_headers.map_or(default.max_headers, |number| number.0 as usize),
            max_body: self.max_body.map_or(default.max_body, |bytes| bytes.0),
            max_buffered_body: self.max_buffered_body.map_or(default.max_buffered_body, size),
            max_buffered_total: self.max_buffered_total.map_or(default.max_buffered_total, size),
            header_timeout: self.header_timeout.map_or(default.header_timeout, Span::get),
            idle_timeout: self.idle_timeout.map_or(default.idle_timeout, Span::get),
            client_timeout: self.client_timeout.map_or(default.client_timeout, Span::get),
            connect_timeout: self.connect_timeout.map_or(default.connect_timeout, Span::get),
            upstream_timeout: self.upstream_timeout.map_or(default.upstream_timeout, Span::get),
            upstream_idle: self
                .upstream_idle
                .map_or(default.upstream_idle, |number| number.0 as usize),
            upstream_idle_timeout: self
                .upstream_idle_timeout
                .map_or(default.upstream_idle_timeout, Span::get),
            tunnel_timeout: self.tunnel_timeout.map_or(default.tunnel_timeout, Span::get),
        }
    }
}
