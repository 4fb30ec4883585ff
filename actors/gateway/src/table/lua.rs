//! The `[gateway.lua]` table.

use std::path::PathBuf;

use coproc_core::count::{Bytes, Count};
use coproc_core::flag::Flag;
use coproc_core::refusal::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::driver::lua::LuaConfig;

/// Hooks in Lua: they run in this process, on the threads that serve requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct LuaTable {
    /// The folder with the hooks' `*.lua` files; a reload reads them anew. `${name}` is replaced. Default:
    /// hooks are in bundles alone.
    #[schemars(example = &"/etc/coproc/lua")]
    pub path: Option<String>,
    /// How many instructions a call may take. 0: any number, and hooks are compiled; one that never ends
    /// holds its thread then.
    #[schemars(example = 1000000)]
    pub instructions: Option<Count>,
    /// How much memory the hooks of each thread may have, and those of each bundle. 0: any amount.
    #[schemars(example = &"16MiB")]
    pub memory: Option<Bytes>,
    /// Whether each call finds what the files made, and nothing that calls before it left, as with Tyk.
    #[schemars(example = true)]
    pub fresh_state: Option<Flag>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 3] =
    [("instructions", "10000000"), ("memory", "64MiB"), ("fresh_state", "false")];

/// A state alone has some 100 KiB.
const LEAST: u64 = 1 << 20;

impl LuaTable {
    pub(super) fn resolve(self, refusals: &mut Vec<Refusal>) -> Option<LuaConfig> {
        let path = self.path.filter(|path| !path.is_empty());
        if self.memory.is_some_and(|memory| (1..LEAST).contains(&memory.0)) {
            let little = Refusal::wrong("lua", "is too little for any hook").below("memory");
            refusals.push(little.expected("0, or at least 1MiB"));
        }
        let default = LuaConfig::default();
        let size = |bytes: Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
        Some(LuaConfig {
            path: path.map(PathBuf::from),
            instructions: self.instructions.map_or(default.instructions, |count| count.0),
            memory: self.memory.map_or(default.memory, size),
            fresh_state: self.fresh_state.is_some_and(|flag| flag.0),
        })
    }
}
