//! The two forms in which a child's lines stay what they are: alone, or behind a time and a name.

use coproc_core::output::{Level, Line, Part};

use super::stamp::Stamp;
use super::terminal::visible;

/// The layout of a time before a line where none is configured.
pub(super) const MILLIS: &str = "2006-01-02T15:04:05.000Z07:00";

/// Appends a child's line as it was written. coproc's own lines have their logger before them.
pub(super) fn raw(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.stream.is_none() {
        out.extend_from_slice(line.logger.as_bytes());
        out.extend_from_slice(b": ");
        grave(line, out);
    }
    out.extend_from_slice(line.text);
    out.push(b'\n');
}

/// Appends a line with its time and its logger before it. A plus in place of the bar says that it goes
/// on with the line before. What would steer a terminal is shown and not done.
pub(super) fn prefix(
    line: &Line<'_>,
    stamp: Option<&mut Stamp>,
    terminal: bool,
    out: &mut Vec<u8>,
) {
    if let Some(stamp) = stamp {
        out.extend_from_slice(stamp.at(line.time));
        out.push(b' ');
    }
    out.extend_from_slice(line.logger.as_bytes());
    out.extend_from_slice(match line.part {
        Part::Whole | Part::Begin => b" | ",
        Part::Middle | Part::End => b" + ",
    });
    if line.stream.is_none() {
        grave(line, out);
    }
    match terminal {
        true => visible(line.text, out),
        false => out.extend_from_slice(line.text),
    }
    out.push(b'\n');
}

/// A line of coproc itself has its level in front if it is more than news: no other place tells it.
fn grave(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.level >= Level::Warn {
        out.extend_from_slice(line.level.as_str().as_bytes());
        out.extend_from_slice(b": ");
    }
}
