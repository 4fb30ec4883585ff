//! The name of a level, as a config writes it.

use coproc_core::output::Level;
use coproc_core::scalar::Scalar;

/// The name of a level.
#[derive(Clone, Copy, Debug)]
pub struct LevelWord(pub Level);

impl Scalar for LevelWord {
    const NOUN: &'static str = "a log level";
    const EXPECTED: &'static str =
        "`TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL` or `PANIC`, in any case";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

coproc_core::impl_scalar!(LevelWord, "Level", {
    "type": "string",
    "pattern": "^([Tt][Rr][Aa][Cc][Ee]|[Dd][Ee][Bb][Uu][Gg]|[Ii][Nn][Ff][Oo]|[Ww][Aa][Rr][Nn]([Ii][Nn][Gg])?|[Ee][Rr][Rr][Oo][Rr]|[Ff][Aa][Tt][Aa][Ll]|[Pp][Aa][Nn][Ii][Cc])$"
});
