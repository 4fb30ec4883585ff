//! What hooks say in the log.

use std::borrow::Cow;

/// How much of one line is told, in bytes: as much as of a program's own.
const LONGEST: usize = 16 << 10;

/// A line as far as it is told.
pub(super) fn told<'a>(line: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let line = line.into();
    if line.len() <= LONGEST {
        return line;
    }
    let end = (0..=LONGEST).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    format!("{}... ({} bytes)", &line[..end], line.len()).into()
}

/// Logs a line under a driver's name. A level that is none is info, as with Tyk.
macro_rules! say {
    ($driver:literal, $level:expr, $line:expr) => {{
        let line = $crate::driver::saying::told($line);
        match $level {
            "debug" => tracing::debug!(target: $driver, "{line}"),
            "warning" => tracing::warn!(target: $driver, "{line}"),
            "error" => tracing::error!(target: $driver, "{line}"),
            _ => tracing::info!(target: $driver, "{line}"),
        }
    }};
}

pub(super) use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(told("short"), "short");
        let long = "ä".repeat(LONGEST);
        let told = told(format!("x{long}"));
        assert!(told.len() < LONGEST + 40);
        assert!(told.ends_with("ä... (32769 bytes)"), "{}", &told[told.len() - 30..]);
    }
}
