//! Headers as plugins know them: names in Go's canonical form, values as text.
//!
//! Text in protobuf is UTF-8, a header's value is bytes. A value that is not UTF-8 is shown as Latin-1, which
//! is what such bytes meant when HTTP still gave them a meaning; as long as a plugin leaves it alone, the
//! bytes stay as they were.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::{Header, Texts};

/// Go's form of a header's name: `x-api-key` is `X-Api-Key`. What is no name stays as it is.
pub fn canonical(name: &str) -> Cow<'_, str> {
    if !name.bytes().all(is_token) {
        return Cow::Borrowed(name);
    }
    let wanted = |upper: bool, byte: u8| {
        if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
    };
    let mut upper = true;
    let settled = name.bytes().all(|byte| {
        let same = wanted(upper, byte) == byte;
        upper = byte == b'-';
        same
    });
    if settled {
        return Cow::Borrowed(name);
    }
    let mut upper = true;
    let form = name.bytes().map(|byte| {
        let made = wanted(upper, byte);
        upper = byte == b'-';
        char::from(made)
    });
    Cow::Owned(form.collect())
}

/// Whether a byte may stand in a name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes as text: UTF-8 if they are, else Latin-1.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// Whether a header says how the message itself is cut. Plugins neither see all of these nor change any: a
/// message has the length that it has, and the host stands in its target.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || is_hidden(name)
}

/// Whether plugins are not told of a header, as Go takes it out before anybody sees it.
fn is_hidden(name: &HeaderName) -> bool {
    *name == TRANSFER_ENCODING || *name == TRAILER || *name == HOST
}

/// Whether plugins see a header.
pub(super) fn shown(name: &HeaderName) -> bool {
    !is_hidden(name)
}

/// Appends a name of a [`HeaderMap`], which has small letters alone, in Go's form.
pub(super) fn push_canonical(name: &str, into: &mut Vec<u8>) {
    let mut upper = true;
    into.extend(name.bytes().map(|byte| {
        let made = if upper { byte.to_ascii_uppercase() } else { byte };
        upper = byte == b'-';
        made
    }));
}

/// The first value of each header.
pub(super) fn first_values(headers: &HeaderMap) -> Texts {
    let first = |name: &HeaderName| {
        let value = headers.get(name).map(|value| text(value.as_bytes()).into_owned());
        (canonical(name.as_str()).into_owned(), value.unwrap_or_default())
    };
    headers.keys().filter(|name| shown(name)).map(first).collect()
}

/// All values of each header.
pub(super) fn all_values(headers: &HeaderMap) -> Vec<Header> {
    let names = headers.keys().filter(|name| shown(name));
    names.map(|name| values(headers, name)).collect()
}

/// All values of the headers that have several.
pub(super) fn repeated_values(headers: &HeaderMap) -> Vec<Header> {
    if headers.len() == headers.keys_len() {
        return Vec::new();
    }
    let several = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    let names = headers.keys().filter(|name| shown(name) && several(name));
    names.map(|name| values(headers, name)).collect()
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Header {
    let values = headers.get_all(name).iter().map(|value| text(value.as_bytes()).into_owned());
    Header { key: canonical(name.as_str()).into_owned(), values: values.collect() }
}

/// A header of an answer as Go would write it: control characters become spaces, the ends are trimmed, and
/// what is no name is left out, as are headers that say how the answer is cut.
pub(super) fn for_client(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !is_framing(name))?;
    let clean: Cow<'_, str> = if value.bytes().any(|byte| byte.is_ascii_control()) {
        Cow::Owned(value.replace(|one: char| one.is_ascii_control() && one != '\t', " "))
    } else {
        Cow::Borrowed(value)
    };
    let value = HeaderValue::from_bytes(clean.trim_matches([' ', '\t']).as_bytes()).ok()?;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t79_names_are_in_gos_form() {
        for (name, form) in [
            ("x-api-key", "X-Api-Key"),
            ("ETag", "Etag"),
            ("WWW-Authenticate", "Www-Authenticate"),
            ("content-md5", "Content-Md5"),
            ("x_foo-bar", "X_foo-Bar"),
            ("a b", "a b"),
            ("na\u{ef}ve", "na\u{ef}ve"),
            ("-a--b-", "-A--B-"),
            ("", ""),
        ] {
            assert_eq!(canonical(name), form);
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                let mut pushed = Vec::new();
                push_canonical(name.as_str(), &mut pushed);
                assert_eq!(pushed, form.as_bytes());
            }
        }
        assert!(matches!(canonical("X-Api-Key"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_value_that_is_no_text_is_latin_1() {
        assert_eq!(text(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(text("caf\u{e9}".as_bytes()), "caf\u{e9}");
    }

    #[test]
    fn answers_have_clean_headers() {
        let (name, value) = for_client("X-A", " one\r\ntwo ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-a", &b"one  two"[..]));
        assert!(for_client("not a name", "x").is_none());
        assert!(for_client("Content-Length", "7").is_none());
    }
}
