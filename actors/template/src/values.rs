//! What templates see: the config's values in the engine's form.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;
use serde_json::Value as Json;

/// A value of the config as Go would hold it.
pub(crate) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Bool(*flag),
        // Go's own numbers are signed, and only they compare with those of a template.
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Uint(number),
            _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(values) => Value::List(values.iter().map(value).collect()),
        Json::Object(map) => {
            let map = map.iter().map(|(key, json)| (Arc::from(key.as_str()), value(json)));
            Value::Map(Arc::new(map.collect::<BTreeMap<_, _>>()))
        }
    }
}
