//! The JSON Schema of the config files, by which editors complete and check them.

use serde_json::Value;

use super::core::{COMPUTED, DEFAULTS, RootTable, TEMPLATE_DEFAULTS};
use super::defaults::LISTS;

/// A key and its default, as a text.
type Defaults = [(&'static str, &'static str)];

/// The tables whose defaults are a layer of the config of their own, by the names of their types.
const TABLES: [(&str, &Defaults); 13] = [
    ("LogTable", &crate::log::table::DEFAULTS),
    ("MainTable", &coproc_main::table::DEFAULTS),
    ("CoprocessTable", &coproc_coprocess::table::DEFAULTS),
    ("ExecSocketTable", &coproc_exec::table::DEFAULTS),
    ("CoordinatorTable", &coproc_coordinator::table::DEFAULTS),
    ("NatsTable", &coproc_coordinator::nats::table::DEFAULTS),
    ("GatewayTable", &coproc_gateway::table::DEFAULTS),
    ("PythonTable", &coproc_gateway::table::PYTHON_DEFAULTS),
    ("LuaTable", &coproc_gateway::table::LUA_DEFAULTS),
    ("StoreTable", &coproc_gateway::table::STORE_DEFAULTS),
    ("LimitsTable", &coproc_gateway::table::LIMITS_DEFAULTS),
    ("ControlTable", &coproc_control::table::DEFAULTS),
    ("TemplateTable", &TEMPLATE_DEFAULTS),
];

/// The schema as JSON.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RootTable).to_value();
    // What is found out is no default, and of nginx's modules nginx itself knows better.
    let found_out = |key: &str| COMPUTED.contains(&key) || key == "modules_path";
    for (key, text) in DEFAULTS.into_iter().filter(|(key, _)| !found_out(key)) {
        set_default(&mut schema["properties"], key, text);
    }
    for (table, defaults) in TABLES {
        for (key, text) in defaults {
            set_default(&mut schema["$defs"][table]["properties"], key, text);
        }
    }
    schema
}

/// Puts the default into the key's own schema, in a type that it allows.
fn set_default(properties: &mut Value, key: &str, text: &str) {
    let Some(property) = properties.get_mut(key) else { return };
    let one = |text: &str| match text.parse::<i64>() {
        Ok(number) if allows(property, "integer") => number.into(),
        _ if !allows(property, "boolean") => text.into(),
        _ => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
    };
    let value = match LISTS.contains(&key) {
        true => text.split(' ').map(one).collect(),
        false => one(text),
    };
    property["default"] = value;
}

/// Whether a value of this type would be valid, wherever in the schema that is said.
fn allows(schema: &Value, kind: &str) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(key, value)| match key.as_str() {
            "type" => {
                value == kind || value.as_array().is_some_and(|all| all.contains(&kind.into()))
            }
            _ => allows(value, kind),
        }),
        Value::Array(all) => all.iter().any(|value| allows(value, kind)),
        _ => false,
    }
}
