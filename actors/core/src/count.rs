//! Whole numbers and sizes in bytes, which a config may quote.

use crate::scalar::Scalar;

/// A whole number that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

impl Scalar for Count {
    const NOUN: &'static str = "a whole number";
    const EXPECTED: &'static str = "a number from 0 to 4294967295";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        digits(text)?.parse().ok().map(Self)
    }
}

crate::impl_scalar!(Count, "Count", {
    "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 4294967295u32 },
        { "type": "string", "pattern": "^[0-9]+$" }
    ]
});

/// A whole number above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positive(pub u32);

impl Scalar for Positive {
    const NOUN: &'static str = "a whole number above 0";
    const EXPECTED: &'static str = "a number from 1 to 4294967295";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Count::read(text).filter(|count| count.0 > 0).map(|count| Self(count.0))
    }
}

crate::impl_scalar!(Positive, "Positive", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 4294967295u32 },
        { "type": "string", "pattern": "^0*[1-9][0-9]*$" }
    ]
});

/// A number of bytes, such as `65536` or `64KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

const SCALES: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Scalar for Bytes {
    const NOUN: &'static str = "a size in bytes";
    const EXPECTED: &'static str = "a number of bytes, such as `65536`, `64KiB` or `10MB`";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = digits(number)?.parse().ok()?;
        let (_, scale) = SCALES.iter().find(|(name, _)| *name == unit.trim_start())?;
        number.checked_mul(*scale).map(Self)
    }
}

crate::impl_scalar!(Bytes, "Bytes", {
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9]+ *([kKMG]?B|[KMG]iB)?$" }
    ]
});

/// The text if it is ASCII digits and nothing else: no sign, which `parse` would take.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("65536", Some(65536)),
            ("64KiB", Some(65536)),
            ("10 MB", Some(10_000_000)),
            ("1GiB", Some(1 << 30)),
            ("5B", Some(5)),
            ("-1", None),
            ("+1", None),
            ("1.5MiB", None),
            ("KiB", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(Bytes::read(text).map(|b| b.0), bytes, "{text}");
        }
    }

    #[test]
    fn counts_may_be_quoted() {
        assert_eq!(serde_json::from_str::<Count>("7").unwrap(), Count(7));
        assert_eq!(serde_json::from_str::<Count>("\"7\"").unwrap(), Count(7));
        for json in ["-1", "1.5", "4294967296", "\"+1\"", "\"\"", "true", "99999999999999999999"] {
            assert!(serde_json::from_str::<Count>(json).is_err(), "{json}");
        }
    }
}
