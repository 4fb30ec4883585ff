//! The `[gateway.native]` table.

use std::path::PathBuf;

use coproc_core::refusal::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::driver::native::NativeConfig;

/// Hooks in native code: they run in this process, on the threads that serve requests. One that crashes takes
/// the process down.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct NativeTable {
    /// The shared object with the hooks, as `coproc.h` says. `${name}` is replaced.
    #[schemars(required, example = &"/usr/lib/coproc/hooks.so")]
    pub library: Option<String>,
}

impl NativeTable {
    pub(super) fn resolve(self, refusals: &mut Vec<Refusal>) -> Option<NativeConfig> {
        let library = self.library.filter(|path| !path.is_empty());
        if library.is_none() {
            let missing = Refusal::wrong("native", "`library` is required");
            refusals.push(missing.expected("the path of a shared object"));
        }
        Some(NativeConfig { library: PathBuf::from(library?) })
    }
}
