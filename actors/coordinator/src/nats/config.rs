//! How requests are shared with other coordinators.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How requests are shared.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Servers of one cluster.
    pub servers: Vec<String>,
    /// A file with the certificates that servers are verified by; else the system's.
    pub ca: Option<PathBuf>,
    /// What the subjects begin with.
    pub subject: String,
    /// Who this is to the server, if it asks.
    pub login: Login,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long another coordinator may take to say whether it takes a request.
    pub ack_timeout: Duration,
    /// How many requests of others are offered to providers at once.
    pub max_requests: usize,
}

impl Nats {
    /// Looks whether the file of certificates is one, since nobody can be told of it later.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn check_ca(&self) -> Result<(), String> {
        let Some(ca) = &self.ca else { return Ok(()) };
        let wrong = |why: String| format!("coordinator.nats.ca: `{}` {why}", ca.display());
        let text = fs::read(ca).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        match String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(()),
            false => Err(wrong("has no certificate".to_owned())),
        }
    }
}

/// Who a coordinator is to a server.
#[derive(Clone)]
pub enum Login {
    /// Nobody.
    None,
    /// A user and the password.
    User(String, String),
    /// Whoever knows this text.
    Token(String),
}

/// What is secret of it is not to be shown.
impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::User(user, _) => write!(out, "User({user:?})"),
            Self::Token(_) => out.write_str("Token"),
        }
    }
}
