//! A problem that a table of the config finds in itself once its values are read.

use std::borrow::Cow;

/// What is wrong with one key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The key within the table, or the keys on the way to it; none is the table itself.
    pub key: Vec<Cow<'static, str>>,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: Option<String>,
    /// A line that can be copied, or another way out.
    pub hint: Option<String>,
}

impl Refusal {
    /// A wrong value of a key.
    pub fn wrong(key: &'static str, what: impl Into<String>) -> Self {
        Self { key: vec![key.into()], what: what.into(), expected: None, hint: None }
    }

    /// A key that must be there and is not.
    pub fn missing(key: &'static str, hint: impl Into<String>) -> Self {
        Self {
            key: Vec::new(),
            what: format!("`{key}` is required"),
            expected: None,
            hint: Some(hint.into()),
        }
    }

    /// A key within the key.
    pub fn below(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.key.push(key.into());
        self
    }

    /// Adds what would be right.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }
}
