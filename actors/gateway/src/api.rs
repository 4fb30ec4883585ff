//! An API as it is served: what its definition comes to once it is checked.
//!
//! `definition` reads it from the classic JSON or from TOML; nothing below knows how it was written.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode, Uri};

use crate::bundle::Lease;
use crate::extractor::Extractor;
use crate::session::Session;

/// An API.
#[derive(Debug)]
pub struct Api {
    /// Its name.
    pub name: String,
    /// Its id; the path `/ID/` leads to it too.
    pub id: String,
    /// The organisation it belongs to.
    pub org: String,
    /// Where its paths begin: `/orders/`.
    pub listen_path: String,
    /// Where its requests go.
    pub upstream: Upstream,
    /// Who is let in; `None`: everybody.
    pub auth: Option<Auth>,
    /// Its hooks.
    pub hooks: Hooks,
    /// Paths of which hooks of authentication, key checks and rate limits know nothing.
    pub ignored: Vec<PathRule>,
    /// `config_data`, as the JSON text that plugins get; `None` when it is empty or switched off.
    pub config_data: Option<String>,
    /// The MD5 of the bundle's name, which plugins get.
    pub bundle_hash: String,
    /// Keeps the bundle's folder and the packages that it asks for.
    pub bundle: Vec<Arc<Lease>>,
    /// Events for plugins: the event's name and the handler's.
    pub events: Vec<(String, String)>,
    /// How long sessions that a plugin makes are kept at least; zero: for ever.
    pub session_lifetime: Duration,
    /// Whether a session is kept only as long as its key is good.
    pub lifetime_respects_expiration: bool,
    /// Whether credentials are taken out before the upstream sees the request.
    pub strip_auth_data: bool,
    /// Whether no rate limit applies.
    pub disable_rate_limit: bool,
    /// Whether no quota applies.
    pub disable_quota: bool,
    /// Headers that are set in responses.
    pub response_headers: Vec<(HeaderName, Template)>,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Scheme, authority and the path that comes first.
    pub url: Uri,
    /// Whether the listen path is taken off first.
    pub strip_listen_path: bool,
    /// Whether the upstream sees the host that the client asked for.
    pub preserve_host: bool,
}

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Whether a hook authenticates.
    pub custom: bool,
    /// Whether a key is asked for: always where no hook does it.
    pub standard: bool,
    /// Where the key stands.
    pub key: KeySource,
    /// Where the credential stands that the hook looks at, for events that tell of it.
    pub custom_key: KeySource,
    /// Whose session counts when both are asked.
    pub identity: Identity,
}

/// Where a key stands in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySource {
    /// The header; `None`: no header is looked at.
    pub header: Option<HeaderName>,
    /// The parameter of the query.
    pub param: Option<String>,
    /// The cookie.
    pub cookie: Option<String>,
}

/// Whose session is the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The one that the hook made.
    Custom,
    /// The one of the key.
    Token,
}

/// The hooks of an API.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// The driver's name as it was written.
    pub driver: String,
    /// Before anything is checked.
    pub pre: Vec<Arc<Hook>>,
    /// The authentication; there whenever it is asked for, be it without a name.
    pub auth: Option<Arc<Hook>>,
    /// After authentication.
    pub post_key_auth: Vec<Arc<Hook>>,
    /// Before the upstream is asked.
    pub post: Vec<Arc<Hook>>,
    /// When the response has come.
    pub response: Vec<Arc<Hook>>,
    /// What tells sessions apart before the hook is asked.
    pub extractor: Option<Arc<Extractor>>,
}

/// One hook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The name that the plugin knows it by.
    pub name: String,
    /// What of the body it is sent.
    pub body: BodyWanted,
    /// How long it may take; `None`: as long as the gateway's `hook_timeout`.
    pub timeout: Option<Duration>,
    /// What happens when it fails.
    pub on_error: OnError,
}

/// What of a body a hook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyWanted {
    /// Nothing: the body streams past it.
    None,
    /// The bytes.
    Raw,
    /// The bytes, and the same as text if they are text.
    Full,
}

/// A value in which `$tyk_meta.NAME` stands for what the session has under that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Metadata(String),
}

/// What a name of the session's metadata follows.
const METADATA: &str = "$tyk_meta.";

impl Template {
    /// Reads a value. A name ends before the first character that is neither a letter, a digit, a dash,
    /// an underscore nor a dot.
    pub fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(METADATA) {
            let (before, after) = (&rest[..at], &rest[at + METADATA.len()..]);
            let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            let end = after.find(|c| !part(c)).unwrap_or(after.len());
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Metadata(after[..end].to_owned()));
            rest = &after[end..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Self(pieces)
    }

    /// The value for a session. What the session does not have is an empty text.
    pub fn render(&self, session: Option<&Session>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Metadata(name) => {
                session.and_then(|session| session.metadata_text(name)).unwrap_or_default()
            }
        };
        self.0.iter().map(piece).collect()
    }
}

/// What happens to a request whose hook failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It is refused, with this status in place of the usual one.
    Closed(Option<StatusCode>),
    /// It goes on as if the hook were not there.
    Open,
}

impl Hooks {
    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.pre.is_empty()
            && self.auth.is_none()
            && self.post_key_auth.is_empty()
            && self.post.is_empty()
            && self.response.is_empty()
    }
}

impl Api {
    /// An API without hooks that lets everybody in; its listen path is taken off.
    pub fn new(id: &str, listen_path: &str, url: Uri) -> Self {
        Self {
            name: id.to_owned(),
            id: id.to_owned(),
            org: String::new(),
            listen_path: listen_path.to_owned(),
            upstream: Upstream { url, strip_listen_path: true, preserve_host: false },
            auth: None,
            hooks: Hooks::default(),
            ignored: Vec::new(),
            config_data: None,
            bundle_hash: String::new(),
            bundle: Vec::new(),
            events: Vec::new(),
            session_lifetime: Duration::ZERO,
            lifetime_respects_expiration: false,
            strip_auth_data: false,
            disable_rate_limit: false,
            disable_quota: false,
            response_headers: Vec::new(),
        }
    }

    /// Whether requests to a path below the listen path are let in unasked; `path` begins with a slash.
    pub fn ignores(&self, method: &str, path: &str) -> bool {
        self.ignored.iter().any(|rule| rule.fits(method, path))
    }
}

impl PathRule {
    /// Whether it is about this path below the listen path.
    pub fn fits(&self, method: &str, path: &str) -> bool {
        let methods = &self.methods;
        (methods.is_empty() || methods.iter().any(|name| name == method))
            && self.path.is_match(path)
    }
}

/// Paths and methods.
#[derive(Clone, Debug)]
pub struct PathRule {
    /// A regex on the path below the listen path.
    pub path: regex::Regex,
    /// The methods; none: all.
    pub methods: Vec<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An API of the organisation `o1`.
    pub(crate) fn api(id: &str) -> Api {
        let url = Uri::from_static("http://127.0.0.1:1/");
        Api { org: "o1".into(), ..Api::new(id, "/api/", url) }
    }
}
