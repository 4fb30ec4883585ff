//! Scalars of a config, read from whichever form a file, a variable or a flag writes them in.

use std::fmt;
use std::marker::PhantomData;

use schemars::Schema;
use serde::de::{Deserializer, Error, Visitor};

/// A value that a config writes as one text, number or boolean.
///
/// Variables and flags know texts only, and the guide's own example quotes its booleans, so every
/// scalar reads a text; `NUMBERS` says whether a bare number stands for its digits.
pub trait Scalar: Sized {
    /// What it is, with its article: `a duration`.
    const NOUN: &'static str;
    /// What would be right, in words.
    const EXPECTED: &'static str;
    /// Whether a number that is not quoted is read as its text.
    const NUMBERS: bool = false;

    /// Reads the text.
    fn read(text: &str) -> Option<Self>;

    /// Reads a boolean that is not quoted.
    fn read_bool(_: bool) -> Option<Self> {
        None
    }

    /// Says what is wrong with a text that [`Scalar::read`] refuses.
    fn complaint(text: &str) -> String {
        format!("`{}` is not {}", printable(text), Self::NOUN)
    }

    /// Says what would be right in place of a text that [`Scalar::read`] refuses.
    fn remedy(_text: &str) -> &'static str {
        Self::EXPECTED
    }
}

/// Deserializes a [`Scalar`].
pub fn deserialize<'de, T: Scalar, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ScalarVisitor(PhantomData))
}

/// An error that says in its first line what is wrong, and in its second what would be right.
///
/// Texts from outside hold no line break by then, see [`printable`].
pub fn refuse<E: Error>(what: impl fmt::Display, expected: impl fmt::Display) -> E {
    E::custom(format_args!("{what}\n{expected}"))
}

/// The text with control characters escaped, so that it stays on its line of an error.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> ScalarVisitor<T> {
    fn text<E: Error>(text: &str) -> Result<T, E> {
        T::read(text).ok_or_else(|| refuse(T::complaint(text), T::remedy(text)))
    }

    fn number<E: Error>(number: impl fmt::Display) -> Result<T, E> {
        let text = number.to_string();
        match T::NUMBERS {
            true => Self::text(&text),
            false => Err(refuse(format_args!("`{text}` is not {}", T::NOUN), T::EXPECTED)),
        }
    }
}

impl<'de, T: Scalar> Visitor<'de> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Self::text(text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        T::read_bool(value)
            .ok_or_else(|| refuse(format_args!("`{value}` is not {}", T::NOUN), T::EXPECTED))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Self::number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Self::number(value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<T, E> {
        Self::number(value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<T, E> {
        Self::number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Self::number(value)
    }
}

/// The schema with the words that errors have for such a value, by which the reference names types.
pub fn described<T: Scalar>(mut schema: Schema) -> Schema {
    schema.insert(NOUN.to_owned(), T::NOUN.into());
    schema.insert(EXPECTED.to_owned(), T::EXPECTED.into());
    schema
}

/// The keyword of a schema under which a type's [`Scalar::NOUN`] stands.
pub const NOUN: &str = "x-noun";

/// The keyword of a schema under which a type's [`Scalar::EXPECTED`] stands.
pub const EXPECTED: &str = "x-expected";

/// Makes a [`Scalar`] deserialize through it, and gives it the JSON Schema that is written out.
#[macro_export]
macro_rules! impl_scalar {
    ($type:ty, $name:literal, $($schema:tt)+) => {
        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                $crate::scalar::deserialize(deserializer)
            }
        }

        impl ::schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $crate::scalar::described::<Self>(::schemars::json_schema!($($schema)+))
            }
        }
    };
}

/// Makes an enum a [`Scalar`] that is one of a few words: `{ "skip" => Skip, or "queue" => Queue }`.
#[macro_export]
macro_rules! impl_choice {
    ($type:ty, $name:literal, $noun:literal, {
        $first:literal => $head:ident, $($word:literal => $variant:ident,)*
        or $last:literal => $tail:ident $(,)?
    }) => {
        impl $crate::scalar::Scalar for $type {
            const NOUN: &'static str = $noun;
            const EXPECTED: &'static str =
                concat!("`", $first, "`", $(", `", $word, "`",)* " or `", $last, "`");

            fn read(text: &str) -> Option<Self> {
                match text {
                    $first => Some(Self::$head),
                    $($word => Some(Self::$variant),)*
                    $last => Some(Self::$tail),
                    _ => None,
                }
            }
        }

        $crate::impl_scalar!($type, $name, { "enum": [$first, $($word,)* $last] });
    };
}
