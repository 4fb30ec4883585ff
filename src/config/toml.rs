//! TOML, with the order of its tables and the place of every key and value.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::origin::{Origin, Place, Source};
use super::report::SyntaxError;
use super::tree::{Data, Entry, Node};

/// Reads a file.
pub(super) fn parse(source: &Arc<Source>) -> Result<Vec<Entry>, SyntaxError> {
    let table = DeTable::parse(&source.text).map_err(|error| SyntaxError {
        what: error.message().to_owned(),
        place: error.span().map(|span| Place::new(source, span)),
    })?;
    Ok(entries(source, table.get_ref()))
}

fn entries(source: &Arc<Source>, table: &DeTable<'_>) -> Vec<Entry> {
    table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            origin: Origin::File(Place::new(source, key.span())),
            node: Node {
                data: data(source, value.get_ref()),
                origin: Origin::File(Place::new(source, value.span())),
            },
        })
        .collect()
}

fn data(source: &Arc<Source>, value: &DeValue<'_>) -> Data {
    match value {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(integer) => {
            let digits = integer.as_str().replace('_', "");
            match i128::from_str_radix(&digits, integer.radix()) {
                Ok(integer) => Data::Integer(integer),
                // More than any key can hold: as a text it is refused with all its digits.
                Err(_) => Data::Text(digits),
            }
        }
        DeValue::Float(float) => match float.as_str().replace('_', "").parse() {
            Ok(float) => Data::Float(float),
            Err(_) => Data::Text(float.as_str().to_owned()),
        },
        DeValue::Boolean(value) => Data::Bool(*value),
        DeValue::Datetime(time) => Data::Text(time.to_string()),
        DeValue::Array(array) => Data::List(
            array
                .iter()
                .map(|value| Node {
                    data: data(source, value.get_ref()),
                    origin: Origin::File(Place::new(source, value.span())),
                })
                .collect(),
        ),
        DeValue::Table(table) => Data::Table(entries(source, table)),
    }
}
