//! Modes of files and folders.

use crate::scalar::Scalar;

/// The mode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Scalar for Mode {
    const NOUN: &'static str = "the mode of a file";
    const EXPECTED: &'static str = "octal digits in quotes, such as `\"0660\"`";

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777).map(Self)
    }
}

crate::impl_scalar!(Mode, "Mode", { "type": "string", "pattern": "^0*[0-7]{1,3}$" });
