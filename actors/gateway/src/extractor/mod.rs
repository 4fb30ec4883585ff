//! What tells the sessions of one API apart before its hook is asked: an id taken out of the request.

mod form;
mod xpath;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, StatusCode};
use regex::Regex;

use crate::exchange::{Denied, Draft};
use crate::session::hash::{self, HashFunction};

pub use self::xpath::{XPath, XPathError};

/// Takes an id out of a request.
#[derive(Clone, Debug)]
pub struct Extractor {
    /// Where it looks.
    pub source: Source,
    /// What it takes of what it finds.
    pub with: With,
}

/// Where an id is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first value of a header.
    Header(HeaderName),
    /// The values of a parameter, of the query and of a url-encoded body.
    Form(String),
    /// The whole body.
    Body,
}

/// What of the source is the id.
#[derive(Clone, Debug)]
pub enum With {
    /// All of it.
    Value,
    /// One of the matches of a regex, the first being 0; the match as a whole.
    Regex(Regex, usize),
    /// The text of the first node that a path leads to.
    XPath(XPath),
}

impl Extractor {
    /// Whether it looks at the body of a request with these headers.
    pub fn wants_body(&self, headers: &HeaderMap) -> bool {
        match self.source {
            Source::Header(_) => false,
            Source::Form(_) => form::is_form(headers),
            Source::Body => true,
        }
    }

    /// Takes the id out.
    ///
    /// # Errors
    /// 400 where there is none.
    pub fn extract(&self, draft: &Draft) -> Result<String, Denied> {
        self.find(draft).ok_or_else(missing)
    }

    fn find(&self, draft: &Draft) -> Option<String> {
        let source = self.source.text(draft)?;
        match &self.with {
            With::Value => Some(source.into_owned()),
            With::Regex(regex, index) => {
                regex.find_iter(&source).nth(*index).map(|found| found.as_str().to_owned())
            }
            With::XPath(path) => path.text(&source),
        }
    }
}

impl Source {
    fn text<'a>(&self, draft: &'a Draft) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::Header(name) => String::from_utf8_lossy(draft.headers.get(name)?.as_bytes()),
            Self::Form(name) => form::values(draft, name)?.into(),
            Self::Body => String::from_utf8_lossy(draft.body.as_deref()?),
        };
        (!text.is_empty()).then_some(text)
    }
}

/// What a client is told whose request has no id.
pub fn missing() -> Denied {
    Denied::new(StatusCode::BAD_REQUEST, "Authorization field missing")
}

/// The id of the session that an extracted text stands for.
pub fn session_id(org: &str, value: &str, function: Option<HashFunction>) -> String {
    hash::session_id(org, &hash::md5(value), function)
}

#[cfg(test)]
mod tests;
