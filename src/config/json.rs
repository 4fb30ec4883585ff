//! JSON, strictly, with the order of its keys and the place of every key and value.

use std::sync::Arc;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::origin::{Origin, Place, Source};
use super::report::SyntaxError;
use super::tree::{Data, Entry, Node};

/// What JSON has beyond RFC 8259 stays out: such a file would not be read by others.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a file.
pub(super) fn parse(source: &Arc<Source>) -> Result<Vec<Entry>, SyntaxError> {
    let place = |range: jsonc_parser::common::Range| Place::new(source, range.start..range.end);
    let parsed =
        parse_to_ast(&source.text, &CollectOptions::default(), &STRICT).map_err(|error| {
            SyntaxError {
                what: sentence(&error.kind().to_string()),
                place: Some(place(error.range())),
            }
        })?;
    match parsed.value {
        Some(Value::Object(object)) => Ok(entries(source, object.properties)),
        Some(other) => Err(SyntaxError {
            what: "expected an object".into(),
            place: Some(place(other.range())),
        }),
        None => Err(SyntaxError { what: "expected an object, found nothing".into(), place: None }),
    }
}

fn entries(source: &Arc<Source>, properties: Vec<ObjectProp<'_>>) -> Vec<Entry> {
    let origin = |range: jsonc_parser::common::Range| {
        Origin::File(Place::new(source, range.start..range.end))
    };
    properties
        .into_iter()
        .map(|property| {
            let key = origin(property.name.range());
            let at = origin(property.value.range());
            Entry {
                key: property.name.into_string(),
                origin: key,
                node: Node { data: data(source, property.value), origin: at },
            }
        })
        .collect()
}

fn data(source: &Arc<Source>, value: Value<'_>) -> Data {
    match value {
        Value::StringLit(text) => Data::Text(text.value.into_owned()),
        Value::NumberLit(number) => match number.value.parse::<i128>() {
            Ok(integer) => Data::Integer(integer),
            Err(_) if number.value.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                Data::Text(number.value.to_owned())
            }
            Err(_) => match number.value.parse() {
                Ok(float) => Data::Float(float),
                Err(_) => Data::Text(number.value.to_owned()),
            },
        },
        Value::BooleanLit(value) => Data::Bool(value.value),
        Value::NullKeyword(_) => Data::Null,
        Value::Array(array) => Data::List(
            array
                .elements
                .into_iter()
                .map(|value| {
                    let range = value.range();
                    Node {
                        data: data(source, value),
                        origin: Origin::File(Place::new(source, range.start..range.end)),
                    }
                })
                .collect(),
        ),
        Value::Object(object) => Data::Table(entries(source, object.properties)),
    }
}

/// The parser's words in the middle of a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
