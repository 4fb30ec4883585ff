//! What the gateway measures: connections, APIs and hooks.

use super::counts;
use crate::openmetrics::{Kind, Page, Unit};

/// How long things took: bounds, how many fell into each bucket, the sum. Times are in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The buckets' upper bounds; the last bucket has none.
    pub bounds: &'static [u64],
    /// How many are in each bucket.
    pub buckets: Vec<u64>,
    /// All of them together.
    pub sum: u64,
}

/// The gateway.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// Connections of clients.
    pub connections: u64,
    /// Requests that are being answered.
    pub in_flight: u64,
    /// Requests that an upstream did not answer as it should.
    pub upstream_failures: u64,
    /// Bytes of bodies that are held whole.
    pub buffered: u64,
    /// Bodies for which there was no room.
    pub unbuffered: u64,
    /// Events on their way to plugins, by outcome.
    pub events: Vec<(&'static str, u64)>,
    /// The APIs.
    pub apis: Vec<GatewayApi>,
    /// The hooks.
    pub hooks: Vec<GatewayHook>,
}

/// An API of the gateway.
#[derive(Clone, Debug, Default)]
pub struct GatewayApi {
    /// Its id.
    pub id: String,
    /// Requests that were answered, by class of status.
    pub answered: Vec<(&'static str, u64)>,
    /// How long they took.
    pub times: Times,
}

/// A hook of an API.
#[derive(Clone, Debug, Default)]
pub struct GatewayHook {
    /// The API's id.
    pub api: String,
    /// At which moment of a request it runs.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that wait for their answer.
    pub pending: u64,
    /// How long calls took.
    pub times: Times,
}

/// Writes the gateway's families.
pub(super) fn write(page: &mut Page, facts: &Gateway) {
    for (name, help, value) in [
        ("coproc_gateway_connections", "Clients of the gateway.", facts.connections),
        ("coproc_gateway_in_flight", "Requests that are being answered.", facts.in_flight),
    ] {
        page.family(name, Kind::Gauge, None, help).sample(&[], value);
    }
    let help = "Requests that an upstream did not answer as it should.";
    page.family("coproc_gateway_upstream_failures", Kind::Counter, None, help)
        .sample(&[], facts.upstream_failures);
    let help = "Bytes of bodies that are held whole for hooks.";
    page.family("coproc_gateway_buffered", Kind::Gauge, Some(Unit::Bytes), help)
        .sample(&[], facts.buffered);
    let help = "Bodies that were refused since those that are held left no room.";
    page.family("coproc_gateway_unbuffered", Kind::Counter, None, help)
        .sample(&[], facts.unbuffered);
    let help = "Events on their way to plugins, by outcome.";
    counts(page, "coproc_gateway_events", help, "outcome", &facts.events);

    let help = "Requests that were answered.";
    let mut answered = page.family("coproc_gateway_requests", Kind::Counter, None, help);
    for api in &facts.apis {
        for (class, count) in &api.answered {
            answered.sample(&[("api", &api.id), ("status", class)], *count);
        }
    }
    let (name, unit) = ("coproc_gateway_request_duration", Some(Unit::Seconds));
    let mut times = page.family(name, Kind::Histogram, unit, "How long requests took.");
    for GatewayApi { id, times: Times { bounds, buckets, sum }, .. } in &facts.apis {
        times.histogram(&[("api", id)], bounds, buckets, *sum);
    }

    fn labels(hook: &GatewayHook) -> [(&str, &str); 3] {
        [("api", &hook.api), ("hook", &hook.name), ("kind", hook.kind)]
    }
    let help = "Calls of hooks that came to an end.";
    let mut calls = page.family("coproc_gateway_hook_calls", Kind::Counter, None, help);
    for hook in &facts.hooks {
        calls.sample(&labels(hook), hook.times.buckets.iter().sum::<u64>());
    }
    let help = "Calls of hooks that failed.";
    let mut failures = page.family("coproc_gateway_hook_failures", Kind::Counter, None, help);
    for hook in &facts.hooks {
        failures.sample(&labels(hook), hook.failures);
    }
    let help = "Calls of hooks that wait for their answer, or for their turn.";
    let mut pending = page.family("coproc_gateway_hook_pending", Kind::Gauge, None, help);
    for hook in &facts.hooks {
        pending.sample(&labels(hook), hook.pending);
    }
    let (name, unit) = ("coproc_gateway_hook_duration", Some(Unit::Seconds));
    let mut times = page.family(name, Kind::Histogram, unit, "How long calls of hooks took.");
    for hook in &facts.hooks {
        let Times { bounds, buckets, sum } = &hook.times;
        times.histogram(&labels(hook), bounds, buckets, *sum);
    }
}
