//! How plugin servers are called.

use std::time::Duration;

use super::breaker;

/// How plugin servers are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    /// Where they are, in the forms of [`Address`].
    pub addresses: Vec<String>,
    /// `:authority` in place of host and port.
    pub authority: Option<String>,
    /// The largest answer, in bytes; 0: 4 MiB.
    pub receive_max: usize,
    /// The largest request, in bytes; 0: 2 GiB - 1.
    pub send_max: usize,
    /// Connections to each server, made as they are needed.
    pub connections: usize,
    /// Calls on their way to all servers.
    pub max_in_flight: usize,
    /// Calls that wait for others to end.
    pub queue: usize,
    /// How long they wait at most.
    pub queue_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the addresses of a name are good.
    pub resolve_every: Duration,
    /// Whether servers are asked for their health.
    pub health: bool,
    /// When a server that fails is left alone.
    pub breaker: breaker::Limits,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            authority: None,
            receive_max: 0,
            send_max: 0,
            connections: 4,
            max_in_flight: 512,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(20),
            resolve_every: Duration::from_secs(30),
            health: false,
            breaker: breaker::Limits::default(),
        }
    }
}
