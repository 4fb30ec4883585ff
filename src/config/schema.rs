//! The JSON Schema of the config files, by which editors complete and check them.

use super::core::RootTable;

/// The schema as JSON.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RootTable).to_value()
}
