//! One JSON object a line.
//!
//! A text that is not UTF-8 cannot stand in JSON. `msg` then shows U+FFFD in place of the wrong
//! bytes, and `msg_base64` holds the bytes as the child wrote them, so that nothing is lost.

use coproc_core::output::Line;

use super::stamp::Stamp;

/// What stands between the parts of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    open: &'static [u8],
    colon: &'static [u8],
    comma: &'static [u8],
    close: &'static [u8],
}

impl Layout {
    pub(super) fn new(pretty: bool) -> Self {
        if pretty {
            Self { open: b"{\n  ", colon: b": ", comma: b",\n  ", close: b"\n}\n" }
        } else {
            Self { open: b"{", colon: b":", comma: b",", close: b"}\n" }
        }
    }
}

/// Appends a line.
pub(super) fn line(
    line: &Line<'_>,
    stamp: Option<&mut Stamp>,
    data_key: Option<&str>,
    layout: Layout,
    out: &mut Vec<u8>,
) {
    let member = |name: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(layout.comma);
        string(name, out);
        out.extend_from_slice(layout.colon);
    };
    out.extend_from_slice(layout.open);
    if let Some(stamp) = stamp {
        out.extend_from_slice(b"\"time\"");
        out.extend_from_slice(layout.colon);
        out.extend_from_slice(stamp.at(line.time));
        out.extend_from_slice(layout.comma);
    }
    out.extend_from_slice(b"\"level\"");
    out.extend_from_slice(layout.colon);
    string(line.level.as_str(), out);
    member("logger", out);
    string(line.logger, out);
    if let Some(stream) = line.stream {
        member("stream", out);
        string(stream.as_str(), out);
    }
    member("msg", out);
    match std::str::from_utf8(line.text) {
        Ok(text) => string(text, out),
        Err(_) => {
            string(&String::from_utf8_lossy(line.text), out);
            member("msg_base64", out);
            out.push(b'"');
            base64(line.text, out);
            out.push(b'"');
        }
    }
    if let Some(mark) = line.part.mark() {
        member("part", out);
        string(mark, out);
    }
    if let Some(key) = data_key {
        member(key, out);
        out.extend_from_slice(b"{}");
    }
    out.extend_from_slice(layout.close);
}

/// A time as a value.
pub(super) fn time(text: &[u8], out: &mut Vec<u8>) {
    string(&String::from_utf8_lossy(text), out);
}

/// A text as JSON has it.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    let special = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7F;
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Bytes as base64, with padding.
pub(in crate::log) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).copied().map_or(0, u32::from);
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit)) & 63;
            out.push(if digit <= chunk.len() { DIGITS[value as usize] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\xFF\xFE\xFD\xFC", "//79/A=="),
        ] {
            let mut out = Vec::new();
            base64(bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
