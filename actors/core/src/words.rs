//! Argument vectors: an array, or one text that is split as a shell splits words.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::scalar::{self, NOUN, printable, refuse};
use crate::text::Text;

/// Program and arguments, or any other list of words. No shell is involved: quotes and backslashes
/// of a text group words, and everything else stands for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

const EXPECTED: &str = "an array of words, or one text";

impl Words {
    /// Splits a text; `None` where a quote is not closed or the last character is a backslash.
    pub fn split(text: &str) -> Option<Self> {
        shell_words::split(text).ok().map(Self)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
        Words::split(text).ok_or_else(|| {
            refuse(
                format_args!("a quote in `{}` is not closed", printable(text)),
                "quotes in pairs, or an array of words",
            )
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(Text(word)) = elements.next_element()? {
            words.push(word);
        }
        Ok(Words(words))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

impl JsonSchema for Words {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": ["string", "number", "boolean"] } },
                { "type": "string" }
            ],
            NOUN: "words",
            scalar::EXPECTED: "an array of words, or one text that is split as a shell splits words"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> Result<Vec<String>, String> {
        serde_json::from_str::<Words>(json).map(|w| w.0).map_err(|e| e.to_string())
    }

    #[test]
    fn w56_a_text_is_split_and_an_array_is_taken_as_it_is() {
        assert_eq!(words(r#""echo  a   b""#).unwrap(), ["echo", "a", "b"]);
        assert_eq!(
            words(r#"["echo", "a  b", 1, true, 1.5]"#).unwrap(),
            ["echo", "a  b", "1", "true", "1.5"]
        );
        assert_eq!(
            words(r#""sh -c 'echo \"x y\"' a\\ b \"\"""#).unwrap(),
            ["sh", "-c", "echo \"x y\"", "a b", ""]
        );
        assert_eq!(
            words(r#""echo $HOME `date` a;b | c > d*""#).unwrap(),
            ["echo", "$HOME", "`date`", "a;b", "|", "c", ">", "d*"]
        );
        assert!(words(r#""   ""#).unwrap().is_empty());
    }

    #[test]
    fn a_quote_that_is_not_closed_is_refused() {
        assert!(words(r#""echo 'a""#).unwrap_err().starts_with("a quote in `echo 'a`"));
        assert!(words("3").is_err());
        assert!(words(r#"["a", ["b"]]"#).is_err());
    }
}
