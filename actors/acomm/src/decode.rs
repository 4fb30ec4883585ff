//! Reading JSON as Go's decoder does: the case of keys does not matter, the last of several equal
//! keys counts, keys that are not known are passed over, and `null` changes nothing.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A message that cannot be understood, in the words that its sender is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// What the original says of a message that breaks off or is not there at all.
const CUT_OFF: &str = "unexpected end of JSON input";

/// Reads one JSON object, which may be `null`, and hands each key with its value to `set`; the key in
/// lower case.
pub(crate) fn members<'a>(
    text: &'a [u8],
    set: impl FnMut(&str, &'a RawValue) -> Result<(), String>,
) -> Result<(), DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Members(set).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| {
        DecodeError(match error.is_eof() {
            true => CUT_OFF.to_owned(),
            false => error.to_string(),
        })
    })
}

/// A text; `None` for `null`.
pub(crate) fn text(key: &str, value: &RawValue) -> Result<Option<String>, String> {
    serde_json::from_str(value.get()).map_err(|_| format!("`{key}` is not a text"))
}

/// Any value but `null`, as it was written.
pub(crate) fn raw(value: &RawValue) -> Option<Box<RawValue>> {
    (value.get() != "null").then(|| value.to_owned())
}

/// A key as keys are compared: Go folds the two letters outside ASCII that have a fold within it.
pub(crate) fn fold(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    Cow::Owned(key.chars().map(fold).collect())
}

struct Members<F>(F);

impl<'a, F> DeserializeSeed<'a> for Members<F>
where
    F: FnMut(&str, &'a RawValue) -> Result<(), String>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, F> Visitor<'a> for Members<F>
where
    F: FnMut(&str, &'a RawValue) -> Result<(), String>,
{
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<(), M::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            (self.0)(&fold(&key), value).map_err(M::Error::custom)?;
        }
        Ok(())
    }
}

/// A key, copied only where it is written with escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
