//! The forms in which a line can be written.

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

crate::impl_choice!(Form, "Form", "a formatter", {
    "TextFormatter" => Text,
    "JSONFormatter" => Json,
    "text" => Text,
    "json" => Json,
    "raw" => Raw,
    "prefix" => Prefix,
    or "merged" => Merged
});
