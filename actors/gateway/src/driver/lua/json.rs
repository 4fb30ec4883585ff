//! JSON for Lua, as `cjson` has it: an empty table is an object, and null is a value of its own.

use serde_json::{Map, Number, Value as Json};

use super::blob::{Table, Value, put_flag, put_list, put_names, put_null, put_number, put_text};

/// A JSON text as bytes that Lua reads.
pub(super) fn from_json(text: &[u8]) -> Result<Vec<u8>, String> {
    let value: Json = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut out = Vec::with_capacity(text.len() * 2);
    put(&mut out, &value);
    Ok(out)
}

fn put(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => put_null(out),
        Json::Bool(flag) => put_flag(out, *flag),
        Json::Number(number) => put_number(out, number.as_f64().unwrap_or_default()),
        Json::String(text) => put_text(out, text.as_bytes()),
        Json::Array(list) => {
            put_list(out, list.len());
            list.iter().for_each(|value| put(out, value));
        }
        Json::Object(names) => {
            put_names(out, names.len());
            for (name, value) in names {
                put_text(out, name.as_bytes());
                put(out, value);
            }
        }
    }
}

/// What Lua wrote as a JSON text.
pub(super) fn to_json(value: Value) -> Result<String, String> {
    Ok(json(value)?.to_string())
}

fn json(value: Value) -> Result<Json, String> {
    Ok(match value {
        Value::Nil | Value::Null => Json::Null,
        Value::Flag(flag) => Json::Bool(flag),
        Value::Number(value) => Json::Number(number(value)?),
        Value::Text(text) => Json::String(utf8(text)?),
        Value::Table(table) => {
            let named = table.names.iter().any(|(name, _)| !matches!(name, Value::Number(_)));
            match named || table.names.is_empty() && table.list.is_empty() {
                true => Json::Object(object(table)?),
                false => {
                    Json::Array(table.into_list().into_iter().map(json).collect::<Result<_, _>>()?)
                }
            }
        }
    })
}

fn object(Table { names, list }: Table) -> Result<Map<String, Json>, String> {
    let listed = list.into_iter().enumerate();
    let listed = listed.map(|(at, value)| (Value::Number((at + 1) as f64), value));
    let entry = |(name, value)| {
        let name = match name {
            Value::Text(text) => utf8(text)?,
            Value::Number(value) => number(value)?.to_string(),
            _ => return Err("a name is neither a string nor a number".to_owned()),
        };
        Ok((name, json(value)?))
    };
    listed.chain(names).map(entry).collect()
}

fn utf8(text: Vec<u8>) -> Result<String, String> {
    String::from_utf8(text).map_err(|_| "a string is not UTF-8".to_owned())
}

/// Whole numbers are written without a fraction, as far as all of them are exact.
fn number(value: f64) -> Result<Number, String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Ok(Number::from(value as i64));
    }
    Number::from_f64(value).ok_or_else(|| "a number is not finite".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::lua::blob;

    #[test]
    fn json_comes_back_as_it_was() {
        let text = r#"{"a":[1,2.5,-3,true,null,"x\"ü"],"b":{"c":{}},"d":9007199254740992}"#;
        let bytes = from_json(text.as_bytes()).unwrap();
        assert_eq!(to_json(blob::read(&bytes).unwrap()).unwrap(), text);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(from_json(b"{").is_err());
        assert!(to_json(Value::Number(f64::NAN)).is_err());
        assert!(to_json(Value::Text(vec![0xff])).is_err());
    }
}
