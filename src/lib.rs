//! coproc.
pub mod log;
