//! How bundles are got.

use std::path::PathBuf;
use std::time::Duration;

use super::signature::PublicKey;
use super::source::Base;
use super::unpack::Bounds;

/// How bundles are got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleConfig {
    /// The folder in which `bundles` is; `None`: the one in the run path.
    pub middleware_path: Option<PathBuf>,
    /// Whether sources are asked at all.
    pub download: bool,
    /// Where bundles come from; `None`: they have to be on disk.
    pub base: Option<Base>,
    /// Whether what is on disk is taken as it is.
    pub skip_verify: bool,
    /// The key that bundles have to be signed with; `None`: they need not be signed.
    pub public_key: Option<PathBuf>,
    /// Whether the source is asked each time that APIs are read whether a bundle has changed.
    pub refresh: bool,
    /// Whether servers need not prove who they are.
    pub insecure: bool,
    /// Whether bundles go that no API names any more.
    pub remove_unused: bool,
    /// How long an attempt to get one may take.
    pub timeout: Duration,
    /// The largest archive, in bytes.
    pub max_size: u64,
    /// What it may come to.
    pub bounds: Bounds,
}

impl Default for BundleConfig {
    fn default() -> Self {
        Self {
            middleware_path: None,
            download: true,
            base: None,
            skip_verify: false,
            public_key: None,
            refresh: false,
            insecure: false,
            remove_unused: true,
            timeout: Duration::from_secs(5),
            max_size: 32 << 20,
            bounds: Bounds { bytes: 128 << 20, entries: 10_000 },
        }
    }
}

impl BundleConfig {
    /// The key that bundles have to be signed with.
    ///
    /// # Errors
    /// Why there is none in its file.
    pub fn key(&self) -> Result<Option<PublicKey>, String> {
        let read = |path: &PathBuf| {
            let key = PublicKey::read(path);
            key.map_err(|why| format!("public_key_path: `{}` {why}", path.display()))
        };
        self.public_key.as_ref().map(read).transpose()
    }
}
