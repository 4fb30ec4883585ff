//! The scalars of a coprocess's table: its restart policy and what belongs to it.

use std::borrow::Cow;
use std::fmt;

use coproc_core::scalar::{EXPECTED, NOUN, Scalar, refuse};
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::config::{OnGiveUp, Restarts};

impl Scalar for Restarts {
    const NOUN: &'static str = "a restart policy";
    const EXPECTED: &'static str = "`never`, `unlimited` or a number of restarts";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        match text {
            "never" => Some(Self::Never),
            "unlimited" => Some(Self::Unlimited),
            _ if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) => None,
            _ => text.parse().ok().map(Self::Times),
        }
    }
}

coproc_core::impl_scalar!(Restarts, "Restarts", {
    "anyOf": [
        { "enum": ["never", "unlimited"] },
        { "type": "integer", "minimum": 0, "maximum": 4294967295u32 },
        { "type": "string", "pattern": "^[0-9]+$" }
    ]
});

impl std::fmt::Display for Restarts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Unlimited => f.write_str("unlimited"),
            Self::Times(times) => times.fmt(f),
        }
    }
}

coproc_core::impl_choice!(OnGiveUp, "OnGiveUp", "something that can follow a failure", {
    "ignore" => Ignore, or "shutdown" => Shutdown
});

/// By what each pause is longer than the one before: at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor(pub f64);

impl Scalar for Factor {
    const NOUN: &'static str = "a factor";
    const EXPECTED: &'static str = "a number that is not below 1, such as 2 or 1.5";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor >= 1.0).map(Self)
    }
}

coproc_core::impl_scalar!(Factor, "Factor", {
    "anyOf": [
        { "type": "number", "minimum": 1 },
        { "type": "string" }
    ]
});

/// Exit codes: an array of numbers, or a text of numbers with blanks between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitCodes(pub Vec<i32>);

struct CodesVisitor;

impl<'de> Visitor<'de> for CodesVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers from 0 to 255")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
        Ok(Words(text.split_whitespace().map(str::to_owned).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Words, A::Error> {
        Words::deserialize(SeqAccessDeserializer::new(elements))
    }
}

impl<'de> Deserialize<'de> for ExitCodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut codes = Vec::new();
        let mut wrong = Vec::new();
        for word in deserializer.deserialize_any(CodesVisitor)?.0 {
            match word.parse::<u8>() {
                Ok(code) if word.bytes().all(|b| b.is_ascii_digit()) => codes.push(code.into()),
                _ => wrong.push(format!("`{}`", coproc_core::scalar::printable(&word))),
            }
        }
        let what = match wrong.as_slice() {
            [] => return Ok(Self(codes)),
            [one] => format!("{one} is not an exit code"),
            several => format!("{} are not exit codes", several.join(", ")),
        };
        Err(refuse(what, "numbers from 0 to 255"))
    }
}

impl JsonSchema for ExitCodes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ExitCodes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } },
                { "type": "string" }
            ],
            NOUN: "exit codes",
            EXPECTED: "an array of numbers from 0 to 255, or one text of them with blanks between"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_are_lower_case_words_or_digits() {
        for (json, expected) in [
            ("\"never\"", Some(Restarts::Never)),
            ("\"unlimited\"", Some(Restarts::Unlimited)),
            ("4", Some(Restarts::Times(4))),
            ("\"4\"", Some(Restarts::Times(4))),
            ("\"0\"", Some(Restarts::Times(0))),
            ("\"007\"", Some(Restarts::Times(7))),
            ("-1", None),
            ("1.5", None),
            ("\"-1\"", None),
            ("\"+1\"", None),
            ("\"1.5\"", None),
            ("\"Never\"", None),
            ("\"UNLIMITED\"", None),
            ("\"terminating\"", None),
            ("\"\u{ff14}\"", None),
            ("\" 4\"", None),
            ("\"\"", None),
            ("true", None),
            ("\"99999999999999999999\"", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(serde_json::from_str::<Restarts>(json).ok(), expected, "{json}");
        }
    }

    #[test]
    fn exit_codes() {
        let all = serde_json::from_str::<ExitCodes>(r#"[300, 0, "x"]"#).unwrap_err().to_string();
        assert!(all.starts_with("`300`, `x` are not exit codes"), "{all}");
        let codes = |json: &str| serde_json::from_str::<ExitCodes>(json).ok().map(|c| c.0);
        assert_eq!(codes("[0, 3]"), Some(vec![0, 3]));
        assert_eq!(codes("\"0 143\""), Some(vec![0, 143]));
        assert_eq!(codes("[256]"), None);
        assert_eq!(codes("[-1]"), None);
        assert_eq!(codes("[\"TERM\"]"), None);
    }

    #[test]
    fn a_factor_is_at_least_one() {
        let factor = |json: &str| serde_json::from_str::<Factor>(json).ok().map(|f| f.0);
        assert_eq!(factor("2"), Some(2.0));
        assert_eq!(factor("\"1.5\""), Some(1.5));
        assert_eq!(factor("0.5"), None);
        assert_eq!(factor("\"inf\""), None);
        assert_eq!(factor("\"NaN\""), None);
    }
}
