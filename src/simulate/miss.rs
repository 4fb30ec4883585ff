//! What an expectation missed, and where in its file it stands.

use serde_json::{Value, json};

/// An expectation that a simulation did not meet, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    file: String,
    line: usize,
    column: usize,
    text: String,
    width: usize,
    why: String,
}

impl Miss {
    pub(super) fn at(file: &str, text: &str, span: &std::ops::Range<usize>, why: String) -> Self {
        let start = span.start.min(text.len());
        let before = &text[..start];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line_text = text[begin..].lines().next().unwrap_or_default();
        let length = text.get(span.clone()).and_then(|part| part.lines().next());
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: text[begin..start].chars().count() + 1,
            text: line_text.to_owned(),
            width: length.map_or(1, |part| part.chars().count()).max(1),
            why,
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        json!({ "file": self.file, "line": self.line, "column": self.column, "why": self.why })
    }

    /// As the compiler of Rust shows an error, after this word.
    pub(super) fn shown(&self, lead: &str) -> String {
        let Self { file, line, column, text, width, why } = self;
        let number = line.to_string();
        let gap = " ".repeat(number.len());
        let indent = " ".repeat(column - 1);
        let marks = "^".repeat(*width);
        format!(
            "{lead}: {why}\n{gap}--> {file}:{line}:{column}\n{gap} |\n{number} | {text}\n\
             {gap} | {indent}{marks}\n\n"
        )
    }
}
