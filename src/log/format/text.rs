//! logrus's text form: `time="..." level=info msg="name: message"`.

use coproc_core::output::Line;

use super::stamp::Stamp;
use crate::log::config::TextOptions;

/// How values are quoted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotes {
    all: bool,
    empty: bool,
}

impl Quotes {
    pub(super) fn new(options: &TextOptions) -> Self {
        Self { all: options.force_quote, empty: options.quote_empty_fields }
    }
}

/// Appends a line.
pub(super) fn line(line: &Line<'_>, stamp: Option<&mut Stamp>, quotes: Quotes, out: &mut Vec<u8>) {
    if let Some(stamp) = stamp {
        out.extend_from_slice(b"time=");
        out.extend_from_slice(stamp.at(line.time));
        out.push(b' ');
    }
    out.extend_from_slice(b"level=");
    value(line.level.as_str().as_bytes(), quotes, out);
    out.extend_from_slice(b" msg=");
    if line.logger.is_empty() {
        value(line.text, quotes, out);
    } else {
        // The colon and the blank always make quotes needed.
        out.push(b'"');
        escape(line.logger.as_bytes(), out);
        out.extend_from_slice(b": ");
        escape(line.text, out);
        out.push(b'"');
    }
    if let Some(mark) = line.part.mark() {
        out.extend_from_slice(b" part=");
        value(mark.as_bytes(), quotes, out);
    }
    out.push(b'\n');
}

/// A time as a value; logrus quotes it by the same rule as any other.
pub(super) fn time(text: &[u8], out: &mut Vec<u8>) {
    value(text, Quotes { all: false, empty: false }, out);
}

/// The same where every value is quoted.
pub(super) fn quoted_time(text: &[u8], out: &mut Vec<u8>) {
    value(text, Quotes { all: true, empty: true }, out);
}

fn value(text: &[u8], quotes: Quotes, out: &mut Vec<u8>) {
    let bare = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(byte);
    if quotes.all || (text.is_empty() && quotes.empty) || !text.iter().all(bare) {
        out.push(b'"');
        escape(text, out);
        out.push(b'"');
    } else {
        out.extend_from_slice(text);
    }
}

/// Escapes as Go does, but for bytes above ASCII: they pass as they are, whatever they encode.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| SPECIAL[usize::from(byte)]) {
        out.extend_from_slice(&rest[..at]);
        let short = match rest[at] {
            b'"' => b'"',
            b'\\' => b'\\',
            0x07 => b'a',
            0x08 => b'b',
            0x0B => b'v',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            byte => {
                hex(byte, out);
                rest = &rest[at + 1..];
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// `\x1b`.
pub(super) fn hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
    out.extend_from_slice(&[b'\\', b'x', DIGITS[high], DIGITS[low]]);
}

/// The bytes that cannot stand in quotes as they are.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[0x7F] = true;
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};
