//! A request on its way through the gateway, and the answer that ends it.
//!
//! Hooks see and change a [`Draft`]; the upstream is asked for what it is at the end of the chain.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::session::Session;

/// How the client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Path and query of a request, both as they are sent, still escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The path; begins with `/`, or is `*`.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
}

/// A request that is still being shaped.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The method.
    pub method: Method,
    /// Path and query, the listen path still in it.
    pub target: Target,
    /// The target exactly as the client sent it.
    pub received: String,
    /// Host and port that the client asked for.
    pub authority: String,
    /// How the client is connected.
    pub scheme: Scheme,
    /// The headers, without `Host`.
    pub headers: HeaderMap,
    /// The whole body, once something needed it; before that it is still with the connection.
    pub body: Option<Bytes>,
    /// Whom it comes from; `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// Whom it is on behalf of.
    pub session: Option<Attached>,
}

/// A session that belongs to a request.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The id under which it is stored.
    pub id: String,
    /// The session.
    pub session: Session,
}

/// An answer by the gateway itself.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers, without a length.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An upstream's response whose body is whole, as response hooks see and change it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, still encoded as the upstream encoded it.
    pub body: Bytes,
}

/// Why a request goes no further: the status and the message for the page of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The status.
    pub status: StatusCode,
    /// What the client is told.
    pub message: String,
    /// Headers of the answer.
    pub headers: HeaderMap,
}

impl Denied {
    /// A refusal without headers of its own.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), headers: HeaderMap::new() }
    }

    /// What a client is told of a hook that failed.
    pub fn middleware() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Middleware error")
    }
}
