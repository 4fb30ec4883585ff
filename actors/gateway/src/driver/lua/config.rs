//! How hooks in Lua are run.

use std::path::PathBuf;

/// How hooks in Lua are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LuaConfig {
    /// The folder with their files; `None`: all of them are in bundles.
    pub path: Option<PathBuf>,
    /// How many instructions a call may take; 0: any number, compiled.
    pub instructions: u32,
    /// How many bytes a state may have; 0: any number.
    pub memory: usize,
    /// Whether each call has a state of its own.
    pub fresh_state: bool,
}

impl Default for LuaConfig {
    fn default() -> Self {
        Self { path: None, instructions: 10_000_000, memory: 64 << 20, fresh_state: false }
    }
}
