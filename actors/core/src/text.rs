//! Texts that look like numbers in some files: a user's number, the value of a variable.

use crate::scalar::Scalar;

/// A text; a number or a boolean that is not quoted is the text it was written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl Scalar for Text {
    const NOUN: &'static str = "a text";
    const EXPECTED: &'static str = "a text";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn read_bool(value: bool) -> Option<Self> {
        Some(Self(value.to_string()))
    }
}

crate::impl_scalar!(Text, "Text", { "type": ["string", "number", "boolean"] });
