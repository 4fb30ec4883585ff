//! Problems of the config, and how they are told.

use std::fmt;

use super::origin::{Origin, Place};

/// A text that is not in its format.
pub(super) struct SyntaxError {
    pub(super) what: String,
    pub(super) place: Option<Place>,
}

/// What stands in the place of a secret.
pub(super) const MASK: &str = "********";

/// Keys whose names only sound as if they were secrets.
const NO_SECRETS: [&str; 8] = [
    "authtoken",
    "hash_key_function",
    "hash_keys",
    "ignore_canonical_mime_header_key",
    "min_token_length",
    "post_key_auth",
    "session_lifetime_respects_key_expiration",
    "use_keyless",
];

/// Whether the value of a key or variable of this name is not to be shown.
pub fn secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if NO_SECRETS.iter().any(|other| name.ends_with(other)) {
        return false;
    }
    ["token", "secret", "password", "key"].iter().any(|word| name.contains(word))
}

/// Whether the value at a path is not to be shown.
pub(super) fn secret_path(path: &[String]) -> bool {
    // What a collector asks for may be a password under any name.
    if matches!(path, [log, forward, _, headers, _] if [log, forward, headers] == ["log", "forward", "headers"])
    {
        return true;
    }
    // An element of a list is as secret as the list; a coprocess may have any name.
    let named = path.iter().rev().find(|key| !key.bytes().all(|b| b.is_ascii_digit()));
    named.is_some_and(|key| secret(key))
}

/// How grave a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// A key that coproc does not know: `check` and `run` refuse it, `debug` lists it.
    Unknown,
    /// A value that cannot be used.
    Wrong,
}

/// One thing that is wrong with the config.
#[derive(Clone, Debug)]
pub struct Problem {
    key: String,
    what: String,
    /// How the place is introduced, and the place.
    at: Option<(String, Origin)>,
    notes: Vec<String>,
    expected: Option<String>,
    hint: Option<String>,
    snippet: bool,
    pub(super) weight: Weight,
}

impl Problem {
    pub(super) fn wrong(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            at: None,
            notes: Vec::new(),
            expected: None,
            hint: None,
            snippet: true,
            weight: Weight::Wrong,
        }
    }

    pub(super) fn unknown(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { weight: Weight::Unknown, snippet: false, ..Self::wrong(key, what) }
    }

    /// The place in a file, after `lead`.
    pub(super) fn at(mut self, lead: &str, place: Place) -> Self {
        self.at = Some((lead.to_owned(), Origin::File(place)));
        self
    }

    /// Where the value was said.
    pub(super) fn said(mut self, origin: &Origin) -> Self {
        let lead = match origin {
            Origin::Default => return self,
            Origin::File(_) => "set in",
            Origin::Env { .. } | Origin::Flag { .. } => "set by",
        };
        self.at = Some((lead.to_owned(), origin.clone()));
        self
    }

    /// Without the line of the file.
    pub(super) fn without_snippet(mut self) -> Self {
        self.snippet = false;
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where the value was said.
    pub fn origin(&self) -> Option<&Origin> {
        self.at.as_ref().map(|(_, origin)| origin)
    }

    /// What is wrong and what would be right, in one line.
    pub fn sentence(&self) -> String {
        let mut out = self.what.clone();
        for (lead, more) in [(", expected ", &self.expected), ("; ", &self.hint)] {
            if let Some(more) = more {
                out.push_str(lead);
                out.push_str(more);
            }
        }
        out
    }

    /// The key that it is about, or the file.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A whole sentence of its own, where the key is no more than its subject.
        writeln!(f, "  {}: {}", self.key, self.what)?;
        if let Some((lead, origin)) = &self.at {
            writeln!(f, "    {lead} {origin}")?;
            if let (true, Some(place)) = (self.snippet, origin.place()) {
                snippet(f, place)?;
            }
        }
        for note in &self.notes {
            writeln!(f, "    {note}")?;
        }
        if let Some(expected) = &self.expected {
            writeln!(f, "    expected {expected}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "    hint: {hint}")?;
        }
        Ok(())
    }
}

/// Whether a URL in a line says who asks.
fn has_credentials(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '"', '\'', ' ']).next();
        authority.is_some_and(|authority| authority.contains('@'))
    })
}

/// How much of a line is shown, in characters.
const SHOWN: usize = 120;

/// The line of the file with carets below the place, or the part of a long one that has the place.
/// A line that may hold a secret is not shown.
fn snippet(f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    let line = place.line_text();
    if secret(line) || has_credentials(line) {
        return Ok(());
    }
    let number = place.line();
    let blank = " ".repeat(number.to_string().len().max(5));
    let column = place.column() - 1;
    let skipped = if column > SHOWN / 2 { column - SHOWN / 4 } else { 0 };
    let shown: String = line.chars().skip(skipped).take(SHOWN).collect();
    let before = if skipped > 0 { "... " } else { "" };
    let after = if line.trim_end().chars().count() > skipped + SHOWN { " ..." } else { "" };
    // Tabs stay tabs, so that the carets stand below the place on every terminal.
    let lead = before.chars().chain(shown.chars().take(column - skipped));
    let lead = lead.map(|c| if c == '\t' { '\t' } else { ' ' }).collect::<String>();
    let carets = place.width().min(skipped + SHOWN - column);
    writeln!(f, "{blank} |")?;
    writeln!(f, "{number:>5} | {before}{}{after}", shown.trim_end())?;
    writeln!(f, "{blank} | {lead}{}", "^".repeat(carets))
}

/// All that is wrong with a config.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl ConfigErrors {
    /// Every problem, in the order in which they are told.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What is odd besides, in whole sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn new(problems: Vec<Problem>, warnings: Vec<String>) -> Self {
        Self { problems, warnings }
    }
}

impl From<Vec<Problem>> for ConfigErrors {
    fn from(problems: Vec<Problem>) -> Self {
        Self::new(problems, Vec::new())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => writeln!(f, "error: invalid configuration")?,
            n => writeln!(f, "error: invalid configuration ({n} problems)")?,
        }
        for problem in &self.problems {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
