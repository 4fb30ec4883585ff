//! The coloured short form for people at a terminal.

use std::io::Write;
use std::time::SystemTime;

use coproc_core::output::{Level, Line, Part};

use super::stamp::Stamp;
use super::text::hex;
use crate::log::config::TextOptions;

/// The width of a message, so that short ones make a column.
const MESSAGE: usize = 44;

/// What stands between the level and the message.
#[derive(Debug)]
pub(super) enum When {
    /// Nothing.
    Never,
    /// Seconds since the start.
    Since(SystemTime),
    /// The time.
    Full(Stamp),
}

/// How the level is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    pad: bool,
    whole: bool,
}

impl Levels {
    pub(super) fn new(options: &TextOptions) -> Self {
        Self { pad: options.pad_level_text, whole: options.disable_level_truncation }
    }
}

/// Appends a line.
pub(super) fn line(line: &Line<'_>, levels: Levels, when: &mut When, out: &mut Vec<u8>) {
    let colour = match line.level {
        Level::Trace | Level::Debug => 37,
        Level::Info => 36,
        Level::Warn => 33,
        Level::Error | Level::Fatal | Level::Panic => 31,
    };
    let word = line.level.as_str().to_ascii_uppercase();
    let (word, width) = match levels {
        Levels { pad: true, .. } => (word.as_str(), 7),
        Levels { whole: true, .. } => (word.as_str(), 0),
        Levels { .. } => (&word[..4], 0),
    };
    // A Vec takes everything.
    let _ = write!(out, "\x1b[{colour}m{word:width$}\x1b[0m");
    match when {
        When::Never => {}
        When::Since(start) => {
            let since = line.time.duration_since(*start).unwrap_or_default();
            let _ = write!(out, "[{:04}]", since.as_secs());
        }
        When::Full(stamp) => {
            out.push(b'[');
            out.extend_from_slice(stamp.at(line.time));
            out.push(b']');
        }
    }
    out.push(b' ');
    let begin = out.len();
    if !line.logger.is_empty() {
        visible(line.logger.as_bytes(), out);
        out.extend_from_slice(b": ");
    }
    visible(line.text, out);
    if matches!(line.part, Part::Begin | Part::Middle) {
        out.extend_from_slice(" \u{2026}".as_bytes());
    }
    let shown = out[begin..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
    out.resize(out.len() + MESSAGE.saturating_sub(shown) + 1, b' ');
    out.push(b'\n');
}

/// The text with a child's own colours, but nothing else that could steer the terminal.
pub(super) fn visible(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let colour = colour(rest);
        if colour > 0 {
            out.extend_from_slice(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match byte {
            b'\t' => out.push(byte),
            0..0x20 | 0x7F => hex(byte, out),
            _ => out.push(byte),
        }
        rest = after;
    }
}

/// The length of the colour sequence that `text` begins with, or zero.
fn colour(text: &[u8]) -> usize {
    let Some(inner) = text.strip_prefix(b"\x1b[") else { return 0 };
    let digits = inner.iter().take_while(|b| b.is_ascii_digit() || **b == b';').count();
    if inner.get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}
