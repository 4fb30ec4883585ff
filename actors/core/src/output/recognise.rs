//! Finds the level that a child itself gave a line, without searching where others may have written.

use super::{Level, nginx};

/// A level that stands further from the start than this is not looked for.
const REACH: usize = 512;

/// The level a child gave its line, if the line has a form that says it: nginx's head, logfmt
/// (`time=... level=warn`) or a JSON object (`{"level":"warn"`, also `severity`).
pub fn recognise(line: &[u8]) -> Option<Level> {
    match line.first()? {
        b'{' => json(&line[..line.len().min(REACH)]),
        b'0'..=b'9' => nginx::head(line).map(|head| head.level),
        first if first.is_ascii_alphabetic() => nginx::head(line)
            .map(|head| head.level)
            .or_else(|| logfmt(&line[..line.len().min(REACH)])),
        _ => None,
    }
}

/// Reads `key=value` pairs from the start on and gives up at the first word that is none, so that
/// an address or a user agent with `level=error` in it does not colour an access-log line.
fn logfmt(mut text: &[u8]) -> Option<Level> {
    loop {
        let end = text.iter().position(|&byte| !is_key(byte))?;
        let key = &text[..end];
        if key.is_empty() || text[end] != b'=' {
            return None;
        }
        let (value, rest) = logfmt_value(&text[end + 1..])?;
        if matches!(key, b"level" | b"lvl" | b"severity") {
            return word(value);
        }
        text = rest.strip_prefix(b" ")?;
    }
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn logfmt_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        return string(quoted);
    }
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Reads members from the start on and gives up at the first that is neither text, number nor word.
fn json(text: &[u8]) -> Option<Level> {
    let mut rest = blanks(&text[1..]);
    loop {
        let (key, after) = string(rest.strip_prefix(b"\"")?)?;
        rest = blanks(blanks(after).strip_prefix(b":")?);
        let (value, after) = match rest.strip_prefix(b"\"") {
            Some(quoted) => string(quoted)?,
            None => {
                let end = rest
                    .iter()
                    .position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte))?;
                rest.split_at(end)
            }
        };
        if matches!(key, b"level" | b"lvl" | b"severity") {
            return word(value);
        }
        rest = blanks(blanks(after).strip_prefix(b",")?);
    }
}

/// The inside of a quoted text, as it stands, and what follows the closing quote.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn blanks(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
    &text[end..]
}

/// The words of common loggers, and the numbers of pino and bunyan.
fn word(value: &[u8]) -> Option<Level> {
    const WORDS: [(&str, Level); 24] = [
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("warn", Level::Warn),
        ("warning", Level::Warn),
        ("error", Level::Error),
        ("trace", Level::Trace),
        ("notice", Level::Info),
        ("information", Level::Info),
        ("default", Level::Info),
        ("dbug", Level::Debug),
        ("err", Level::Error),
        ("eror", Level::Error),
        ("crit", Level::Error),
        ("critical", Level::Error),
        ("alert", Level::Error),
        ("emerg", Level::Error),
        ("emergency", Level::Error),
        ("fatal", Level::Fatal),
        ("panic", Level::Panic),
        ("10", Level::Trace),
        ("20", Level::Debug),
        ("40", Level::Warn),
        ("50", Level::Error),
        ("60", Level::Fatal),
    ];
    WORDS
        .iter()
        .find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes()))
        .map(|&(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms() {
        for (line, level) in [
            ("2026/11/21 08:28:12 [alert] 7#7: x", Some(Level::Error)),
            ("nginx: [warn] x", Some(Level::Warn)),
            ("level=warn msg=x", Some(Level::Warn)),
            ("time=\"2026 \\\" level=error\" level=debug", Some(Level::Debug)),
            ("ts=1 level=ERROR", Some(Level::Error)),
            ("{\"level\":\"warn\",\"msg\":\"x\"}", Some(Level::Warn)),
            (
                "{ \"time\" : \"a\\\"b\", \"n\": -1.5e3, \"severity\" : \"CRITICAL\" }",
                Some(Level::Error),
            ),
            ("{\"level\":40,\"msg\":\"x\"}", Some(Level::Warn)),
            ("{\"level\":\"loud\"}", None),
        ] {
            assert_eq!(recognise(line.as_bytes()), level, "{line}");
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        for line in [
            "",
            "plain text",
            "error: level=error",
            "127.0.0.1 - - \"GET /?level=error HTTP/1.1\" level=error",
            "x=1 and level=error",
            "=level=error",
            "{",
            "{}",
            "{\"a\":{\"level\":\"error\"}}",
            "{\"a\":[1],\"level\":\"error\"}",
            "{\"msg\":\"\\\"level\\\":\\\"error\\\"\"}",
            "{\"level",
            "{\"level\\",
            "{\"level\":\"error",
            "level",
            "level=",
            "level=\"error",
            "a=\"\\",
        ] {
            assert_eq!(recognise(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_level_far_off_is_not_looked_for() {
        let line = format!("{{\"a\":\"{}\",\"level\":\"error\"}}", "x".repeat(REACH));
        assert_eq!(recognise(line.as_bytes()), None);
    }
}
