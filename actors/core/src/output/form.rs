//! The forms in which a line can be written.

use crate::scalar::Scalar;

/// The form of a line. What each looks like is the sink's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// nginx-wrapper's `TextFormatter`.
    #[default]
    Text,
    /// nginx-wrapper's `JSONFormatter`.
    Json,
    /// A line as its process wrote it.
    Raw,
    /// The same with a time and a name before it.
    Prefix,
    /// JSON, in which an object of the process's own is not a text.
    Merged,
}

impl Form {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Whether a line is written whole: with nginx's own head, and though it is blank.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Raw | Self::Prefix)
    }
}

impl Scalar for Form {
    const NOUN: &'static str = "a formatter";
    const EXPECTED: &'static str =
        "`TextFormatter`, `JSONFormatter`, `text`, `json`, `raw`, `prefix` or `merged`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "TextFormatter" | "text" => Some(Self::Text),
            "JSONFormatter" | "json" => Some(Self::Json),
            "raw" => Some(Self::Raw),
            "prefix" => Some(Self::Prefix),
            "merged" => Some(Self::Merged),
            _ => None,
        }
    }
}

crate::impl_scalar!(Form, "Form", {
    "enum": ["TextFormatter", "JSONFormatter", "text", "json", "raw", "prefix", "merged"]
});
