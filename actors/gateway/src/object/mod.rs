//! Objects: what a hook is sent of a request or a response, and what its answer changes. Pure.

mod apply_request;
mod apply_response;
mod build;
mod header;
mod overrides;
mod query;
mod sniff;
mod uri;
mod write;

pub use apply_request::apply_request;
pub use apply_response::apply_response;
pub use build::{Sent, Spec, request, response};
pub use header::canonical;

use std::fmt;

use crate::exchange::{Denied, Reply};
use crate::wire::{SessionState, Texts};

/// How the answer of a hook is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether what plugins plainly mean counts (`compat = "strict"`), where otherwise the letter of the old
    /// contract does: a changed `body` beside an unchanged `raw_body`, a query within `url`.
    pub strict: bool,
    /// `ignore_canonical_mime_header_key`. Names of headers are equal in any case here, and HTTP/2 knows but
    /// one; who writes a request with HTTP/1.1 decides how they look, and may ask this.
    pub verbatim_names: bool,
}

/// What becomes of a request after a hook.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is not kept")]
pub enum Verdict {
    /// It goes on.
    Continue {
        /// The session that came back: heeded of `CustomKeyCheck` alone.
        session: Option<Box<SessionState>>,
        /// The metadata that came back, to be laid over the session's.
        metadata: Texts,
    },
    /// The hook has answered it.
    Reply(Reply),
    /// The hook refused it: the page of errors, and `AuthFailure`.
    Refuse(Denied),
    /// The hook answered it with what cannot be written. It is refused, whatever the hook's `on_error` is.
    Unanswerable(Unfit),
}

/// Why a hook's answer cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub String);

impl Unfit {
    fn of(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
