//! Where a value of the config comes from.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::variable::is_of_file;

/// The text of a file, and the name by which it is shown.
#[derive(Debug)]
pub struct Source {
    /// As it was named.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Where its lines begin, found once: many places of one file are told.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// A text of that name.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), lines: OnceLock::new() }
    }

    /// Where each line begins; the first begins at 0.
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let after = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after).collect()
        })
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.text) == (&other.path, &other.text)
    }
}

impl Eq for Source {}

/// A piece of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// The bytes of `span`, moved to where the text has characters.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = &source.text;
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        Self { source: source.clone(), span: start..floor(span.end).max(start) }
    }

    /// The place where the line begins that a table's header stands on, if it is one of TOML's.
    pub fn header(&self) -> Self {
        let line = self.line_start();
        let indent = self.source.text[line..].len() - self.source.text[line..].trim_start().len();
        let start = line + indent;
        match self.source.text[start..].starts_with('[') && start < self.span.start {
            true => Self { source: self.source.clone(), span: start..self.span.end },
            false => self.clone(),
        }
    }

    /// The name of the file.
    pub fn path(&self) -> &str {
        &self.source.path
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.source.lines().partition_point(|begin| *begin <= self.span.start)
    }

    /// The character in the line, counted from 1.
    pub fn column(&self) -> usize {
        self.source.text[self.line_start()..self.span.start].chars().count() + 1
    }

    /// The text at this place.
    pub fn text(&self) -> &str {
        &self.source.text[self.span.clone()]
    }

    /// The whole line.
    pub fn line_text(&self) -> &str {
        self.source.text[self.line_start()..].lines().next().unwrap_or_default()
    }

    /// How many characters of the line the place covers, at least one.
    pub fn width(&self) -> usize {
        self.text().lines().next().map_or(1, |line| line.trim_end().chars().count().max(1))
    }

    fn line_start(&self) -> usize {
        self.source.lines()[self.line() - 1]
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.path, self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: it is built in or found on the machine.
    Default,
    /// A config file.
    File(Place),
    /// A variable of the environment.
    Env {
        /// Its full name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag with its key, or `--`.
        flag: String,
    },
}

impl Origin {
    /// The place in a file.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::File(place) => Some(place),
            _ => None,
        }
    }

    /// Whether what it said is secret, whatever the key.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Env { variable } if is_of_file(variable))
    }

    /// As `coproc debug --format json` shows it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Default => json!({ "kind": "default", "where": null }),
            Self::File(place) => json!({ "kind": "file", "where": place.to_string() }),
            Self::Env { variable } => json!({ "kind": "env", "where": variable }),
            Self::Flag { flag } => json!({ "kind": "flag", "where": flag }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => place.fmt(f),
            Self::Env { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}
