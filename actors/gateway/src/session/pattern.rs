//! A regex as it stands in stored sessions: kept as its text, compiled once it is used.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest program that a stored text may be compiled to, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A regex by its text. One that cannot be compiled matches nothing.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The pattern of a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), compiled: OnceLock::new() }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is found in a text.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled().is_some_and(|regex| regex.is_match(text))
    }

    /// Compiles it, so that what is cloned of it is compiled too.
    pub(crate) fn compiled(&self) -> Option<&Regex> {
        let compile = || RegexBuilder::new(&self.text).size_limit(MAX_COMPILED).build().ok();
        self.compiled.get_or_init(compile).as_ref()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::or_default(deserializer).map(|text: String| Self::new(text))
    }
}
