//! Places to listen at, as a config writes them.

use std::borrow::Cow;

use coproc_core::scalar::{EXPECTED, NOUN, printable, refuse};
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::Listen;

/// Places: an array of texts, or one text with blanks between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(pub Vec<Listen>);

const PLACES: &str = "`IP:PORT`, `unix:///PATH`, or a list of them";

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Words(words) = Words::deserialize(deserializer)?;
        if words.is_empty() {
            return Err(refuse("there is nowhere to listen", PLACES));
        }
        let read = |word: &String| {
            let wrong =
                || refuse(format_args!("`{}` is no place to listen at", printable(word)), PLACES);
            place(word).ok_or_else(wrong)
        };
        words.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

fn place(word: &str) -> Option<Listen> {
    match word.strip_prefix("unix:") {
        Some(path) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            (path.starts_with(['/', '$'])).then(|| Listen::Unix(path.into()))
        }
        None => word.parse().ok().map(Listen::Tcp),
    }
}

impl JsonSchema for Places {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Places".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "string" }],
            NOUN: "places to listen at",
            EXPECTED: PLACES
        })
    }
}
