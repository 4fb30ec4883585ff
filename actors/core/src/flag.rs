//! Booleans, which a config may quote.

use crate::scalar::Scalar;

/// A boolean, or one of the words that Go's `strconv.ParseBool` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl Scalar for Flag {
    const NOUN: &'static str = "a boolean";
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(Self(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(Self(false)),
            _ => None,
        }
    }

    fn read_bool(value: bool) -> Option<Self> {
        Some(Self(value))
    }
}

crate::impl_scalar!(Flag, "Flag", {
    "anyOf": [
        { "type": "boolean" },
        { "enum": ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"] }
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_and_the_words_of_go() {
        for (json, expected) in [
            ("true", Some(true)),
            ("false", Some(false)),
            ("\"T\"", Some(true)),
            ("\"False\"", Some(false)),
            ("\"0\"", Some(false)),
            ("\"tRUE\"", None),
            ("\"yes\"", None),
            ("\"\"", None),
            ("1", None),
        ] {
            let read = serde_json::from_str::<Flag>(json).ok().map(|f| f.0);
            assert_eq!(read, expected, "{json}");
        }
    }
}
