//! What the gateway is configured to do, with defaults filled in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Api;

/// The gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// The mode of Unix sockets.
    pub socket_mode: u32,
    /// With what TCP listeners speak TLS; `None`: they do not.
    pub tls: Option<Tls>,
    /// The certificates that upstreams are verified by, as PEM; `None`: the system's.
    pub upstream_ca: Option<PathBuf>,
    /// What it takes from clients and upstreams.
    pub limits: Limits,
    /// How long open requests may take when it stops.
    pub drain: Duration,
    /// How many threads serve; `None`: as many as there are processors.
    pub worker_threads: Option<usize>,
    /// A folder in which each `*.json` is an API.
    pub app_path: Option<PathBuf>,
    /// The APIs that the config itself names.
    pub apis: Vec<Arc<Api>>,
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A port.
    Tcp(SocketAddr),
    /// A Unix socket; absolute.
    Unix(PathBuf),
}

/// With what TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those that lead to its root, as PEM.
    pub certificate: PathBuf,
    /// Its key, as PEM.
    pub key: PathBuf,
}

/// What clients and upstreams may ask of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients at once; one more is closed at once.
    pub max_connections: usize,
    /// Requests that are being answered at once; one more is answered with 503.
    pub max_in_flight: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Bytes of a request's line and headers, or of a response's; one that has more is refused.
    pub max_header_bytes: usize,
    /// Headers of a request, or of a response.
    pub max_headers: usize,
    /// Bytes of a request's body, however it passes; 0: any number.
    pub max_body: u64,
    /// Bytes of a body that a hook wants whole.
    pub max_buffered_body: usize,
    /// How long a request's line and headers may take, and a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may keep a body waiting, in either direction.
    pub client_timeout: Duration,
    /// How long a connection to an upstream may take.
    pub connect_timeout: Duration,
    /// How long an upstream may take to begin its response, or to go on with it.
    pub upstream_timeout: Duration,
    /// Idle connections that each thread keeps to one upstream.
    pub upstream_idle: usize,
    /// How long one is kept.
    pub upstream_idle_timeout: Duration,
    /// How long an upgraded connection may be silent.
    pub tunnel_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_in_flight: 10_000,
            max_streams: 128,
            max_header_bytes: 32 << 10,
            max_headers: 100,
            max_body: 0,
            max_buffered_body: 4 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            client_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            upstream_timeout: Duration::from_secs(60),
            upstream_idle: 64,
            upstream_idle_timeout: Duration::from_secs(60),
            tunnel_timeout: Duration::from_secs(3600),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            socket_mode: 0o660,
            tls: None,
            upstream_ca: None,
            limits: Limits::default(),
            drain: Duration::from_secs(30),
            worker_threads: None,
            app_path: None,
            apis: Vec::new(),
        }
    }
}
