//! The name of a coprocess, as commands, events and log lines show it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::scalar::{Scalar, printable};

/// The name that stands for the main process in commands and logs.
pub const MAIN: &str = "main";

/// A coprocess's name: not blank, and without control characters, dots and slashes, so that it can
/// stand in an event name and in a path of the control socket. `main` is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text cannot be a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or white space only.
    #[error("must not be blank")]
    Blank,
    /// It holds a character that would make event names or paths ambiguous.
    #[error("must not contain {0}")]
    Forbidden(&'static str),
    /// It is `main`.
    #[error("`main` is the main process's own name")]
    Taken,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, for those who keep it in many places.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Blank);
        }
        for c in text.chars() {
            match c {
                '.' => return Err(NameError::Forbidden("a dot")),
                '/' => return Err(NameError::Forbidden("a slash")),
                c if c.is_control() => return Err(NameError::Forbidden("a control character")),
                _ => {}
            }
        }
        if text == MAIN {
            return Err(NameError::Taken);
        }
        Ok(Self(text.into()))
    }
}

impl Scalar for Name {
    const NOUN: &'static str = "a name";
    const EXPECTED: &'static str = "a text without dots, slashes and control characters";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn remedy(text: &str) -> &'static str {
        match text.parse::<Self>() {
            Err(NameError::Taken) => "another name",
            _ => Self::EXPECTED,
        }
    }

    fn complaint(text: &str) -> String {
        match text.parse::<Self>() {
            Err(NameError::Forbidden(what)) => {
                format!("`{}` must not contain {what}", printable(text))
            }
            Err(error) => error.to_string(),
            Ok(_) => unreachable!("only refused texts are complained about"),
        }
    }
}

crate::impl_scalar!(Name, "Name", { "type": "string", "pattern": "^[^./]*[^./\\s][^./]*$" });

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_events_and_paths_can_carry() {
        assert_eq!("My agent 2".parse::<Name>().unwrap().as_str(), "My agent 2");
        assert_eq!("  ".parse::<Name>(), Err(NameError::Blank));
        assert_eq!("a.b".parse::<Name>(), Err(NameError::Forbidden("a dot")));
        assert_eq!("a/b".parse::<Name>(), Err(NameError::Forbidden("a slash")));
        assert_eq!("a\nb".parse::<Name>(), Err(NameError::Forbidden("a control character")));
        assert_eq!("main".parse::<Name>(), Err(NameError::Taken));
    }
}
