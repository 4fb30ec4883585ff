//! What a probe looks at and how often, checked and with defaults filled in.

use std::fmt;
use std::time::Duration;

use regex::bytes::Regex;

/// One probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What it looks at.
    pub kind: Kind,
    /// From the beginning of one try to the beginning of the next.
    pub interval: Duration,
    /// How long one try may take.
    pub timeout: Duration,
    /// The pause before the first try.
    pub delay: Duration,
    /// So many good answers in a row mean yes.
    pub successes: u32,
    /// So many bad answers in a row mean no.
    pub failures: u32,
    /// By when a process has to be ready, counted from its launch.
    pub within: Option<Duration>,
}

/// What a probe looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A program, not yet interpolated, that ends with 0.
    Exec(Vec<String>),
    /// A GET that is answered with 2xx or 3xx.
    Http(HttpTarget),
    /// A port that takes a connection.
    Tcp(TcpAddress),
    /// A stream socket that takes a connection, not yet interpolated.
    Unix(String),
    /// A line of the process's own output.
    Log(Pattern),
    /// A file that is there, not yet interpolated.
    File(String),
    /// A newline that the process writes to the descriptor of this number.
    Fd(i32),
    /// The messages of sd_notify(3).
    Notify,
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAddress {
    /// A name or a number, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Where an HTTP server listens, and what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Where it listens.
    pub address: Address,
    /// The path with its query, from the slash on.
    pub path: String,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// On a port.
    Tcp(TcpAddress),
    /// On a socket of this path, not yet interpolated.
    Unix(String),
}

/// A regular expression over the bytes of a line.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Probe {
    /// How long the signs of life may stay away before the process counts as dead.
    pub fn silence(&self) -> Duration {
        self.interval.saturating_mul(self.failures)
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(address) => write!(f, "{address}{}", self.path),
            Address::Unix(path) => write!(f, "unix://{path}:{}", self.path),
        }
    }
}

/// As configured: what is interpolated may be a secret.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec(words) => write!(f, "exec {}", words.join(" ")),
            Self::Http(target) => write!(f, "http {target}"),
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Unix(path) => write!(f, "unix {path}"),
            Self::Log(pattern) => write!(f, "log /{}/", pattern.0),
            Self::File(path) => write!(f, "file {path}"),
            Self::Fd(number) => write!(f, "fd {number}"),
            Self::Notify => f.write_str("notify"),
        }
    }
}
