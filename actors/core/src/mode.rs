//! Modes of files, which a config writes in octal digits.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (text, mode) in
            [("0660", Some(0o660)), ("600", Some(0o600)), ("0", Some(0)), ("00777", Some(0o777))]
        {
            assert_eq!(Mode::read(text).map(|mode| mode.0), mode);
        }
        for text in ["", "8", "1777", "0x1", "-1", "rw", "+66"] {
            assert_eq!(Mode::read(text), None, "{text}");
        }
    }
}
