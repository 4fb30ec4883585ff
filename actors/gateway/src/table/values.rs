//! Values that only the `[gateway]` table has.

use std::borrow::Cow;

use coproc_core::scalar::{EXPECTED, NOUN, Scalar, refuse};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::session::hash::HashFunction;

/// Whether Tyk's oddities are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// They are.
    #[default]
    Tyk,
    /// They are mended.
    Strict,
}

coproc_core::impl_choice!(Compat, "Compat", "a way to be compatible", {
    "tyk" => Tyk, or "strict" => Strict
});

/// A hash function, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function(pub HashFunction);

impl Scalar for Function {
    const NOUN: &'static str = "a hash function";
    const EXPECTED: &'static str = "`murmur32`, `murmur64`, `murmur128` or `sha256`";

    fn read(text: &str) -> Option<Self> {
        HashFunction::named(text).filter(|function| function.name() == text).map(Self)
    }
}

coproc_core::impl_scalar!(Function, "Function", {
    "enum": ["murmur32", "murmur64", "murmur128", "sha256"]
});

/// Definitions: an array of tables, or one text of JSON objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions(pub Vec<Value>);

const DEFINITIONS: &str = "an array of tables, each the definition of an API";

impl<'de> Deserialize<'de> for Definitions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Array(all) => return Ok(Self(all)),
            Value::String(text) => text,
            _ => return Err(refuse("these are no definitions", DEFINITIONS)),
        };
        let mut all = Vec::new();
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            match value {
                Ok(Value::Array(several)) => all.extend(several),
                Ok(one) => all.push(one),
                Err(error) => return Err(refuse(format_args!("is no JSON: {error}"), DEFINITIONS)),
            }
        }
        Ok(Self(all))
    }
}

impl JsonSchema for Definitions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Definitions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "array", "items": { "type": "object" } }, { "type": "string" }],
            NOUN: "definitions",
            EXPECTED: "an array of tables, or one text of JSON objects"
        })
    }
}

/// Handlers of events, as definitions have them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handlers(pub Value);

impl<'de> Deserialize<'de> for Handlers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => serde_json::from_str(&text).map(Self).map_err(|error| {
                refuse(format_args!("is no JSON: {error}"), "a table with the key `events`")
            }),
            other => Ok(Self(other)),
        }
    }
}

impl JsonSchema for Handlers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Handlers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "object" }, { "type": "string" }],
            NOUN: "handlers",
            EXPECTED: "a table `events` with a list of handlers for each event"
        })
    }
}
