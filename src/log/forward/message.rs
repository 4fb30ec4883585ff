//! A line as a message of RFC 5424.

use std::io::Write;

use coproc_core::output::{Level, LogLine};
use jiff::Timestamp;

/// The longest name of a host and of an application.
const NAMES: (usize, usize) = (255, 48);

/// Appends the message, without any framing. `host` is as [`name_of`] gives it.
pub(super) fn write(line: &LogLine, facility: u8, host: &str, out: &mut Vec<u8>) {
    let priority = u16::from(facility) * 8 + severity(line.level);
    let time = Timestamp::try_from(line.time).unwrap_or(Timestamp::UNIX_EPOCH);
    let stream = line.stream.map_or("-", |stream| stream.as_str());
    // A Vec takes everything.
    let _ =
        write!(out, "<{priority}>1 {time:.6} {host} {} - {stream} - ", name(&line.logger, NAMES.1));
    // Receivers take NUL for the end.
    out.extend(line.text.iter().map(|&byte| if byte == 0 { b' ' } else { byte }));
}

/// The name of a host as a message has it.
pub(super) fn host(text: &str) -> String {
    name(text, NAMES.0)
}

/// What is left of a name in visible ASCII; a hyphen for nothing.
fn name(text: &str, most: usize) -> String {
    let visible: String =
        text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if visible.is_empty() { "-".into() } else { visible }
}

/// The seven levels as the eight severities; none of ours is an emergency of the whole machine.
fn severity(level: Level) -> u16 {
    match level {
        Level::Trace | Level::Debug => 7,
        Level::Info => 6,
        Level::Warn => 4,
        Level::Error => 3,
        Level::Fatal | Level::Panic => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_core::output::{Part, Stream};
    use std::time::{Duration, UNIX_EPOCH};

    fn message(logger: &str, stream: Option<Stream>, text: &[u8], host_name: &str) -> String {
        let line = LogLine {
            time: UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_250),
            logger: logger.into(),
            stream,
            level: Level::Warn,
            text: text.into(),
            part: Part::Whole,
            missed: 0,
        };
        let mut out = Vec::new();
        write(&line, 3, &host(host_name), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn messages() {
        assert_eq!(
            message("agent", Some(Stream::Stderr), b"a \"b\" \xC3\xA9", "edge-1"),
            "<28>1 2023-11-14T22:13:20.000250Z edge-1 agent - stderr - a \"b\" \u{e9}"
        );
        assert_eq!(
            message("a b\u{e9}", None, b"x\0y", ""),
            "<28>1 2023-11-14T22:13:20.000250Z - a_b_ - - - x y"
        );
        assert!(
            message(&"x".repeat(99), None, b"", "h").contains(&format!(" {} ", "x".repeat(48)))
        );
    }
}
