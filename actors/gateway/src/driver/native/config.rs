//! How hooks in native code are found.

use std::path::PathBuf;

/// Hooks in native code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativeConfig {
    /// The shared object with the hooks.
    pub library: PathBuf,
}
