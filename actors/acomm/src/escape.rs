//! Percent-encoding as Go's `net/url` does it.

use std::fmt::Write;

/// A text as the value of a query: all but letters, digits and `-_.~` is encoded, a blank is `+`.
pub fn query_escape(text: &str) -> String {
    escape(text, |byte| byte == b' ', true)
}

/// The text that [`query_escape`] made, or anything that is encoded likewise; `None` where a `%` has
/// not two digits, or what comes out is not UTF-8.
pub fn query_unescape(text: &str) -> Option<String> {
    unescape(text, true)
}

/// A path as it stands in a URL.
pub(crate) fn path_escape(path: &str) -> String {
    escape(path, |byte| b"$&+,/:;=@".contains(&byte), false)
}

pub(crate) fn path_unescape(path: &str) -> Option<String> {
    unescape(path, false)
}

fn escape(text: &str, keep: impl Fn(u8) -> bool, plus: bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b' ' if plus => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep(byte) => {
                out.push(char::from(byte));
            }
            // Writing to a text does not fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn unescape(text: &str, plus: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}
