//! What comes from outside, as the log shows it.

use coproc_core::scalar::printable;

/// A text from outside as the log shows it.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut out = printable(&text.chars().take(LONGEST).collect::<String>());
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}
