//! `enabled_plugins`: which tables are in force.

use coproc_core::words::Words;

use super::core::PLUGINS;
use super::stack::Stack;
use super::tree::Data;

/// What the list says of the built-in plugins.
pub(super) struct Enabled {
    names: Option<Vec<String>>,
}

impl Enabled {
    /// Reads the list. One that cannot be read counts as absent: reading the whole config tells.
    pub(super) fn read(stack: &Stack) -> Self {
        let names = stack.said(&["enabled_plugins".to_owned()]).and_then(|node| match &node.data {
            Data::Text(text) => Words::split(text).map(|words| words.0),
            Data::List(nodes) => Some(nodes.iter().map(|node| node.show(&|_| false)).collect()),
            _ => None,
        });
        Self { names }
    }

    /// Whether the table of a plugin is in force if it is there.
    pub(super) fn allows(&self, plugin: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.iter().any(|name| name == plugin))
    }

    /// Whether the list names the plugin.
    pub(super) fn names(&self, plugin: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.iter().any(|name| name == plugin))
    }

    /// What is odd: names that coproc has nothing for, and tables that the list leaves out.
    pub(super) fn warnings(&self, stack: &Stack) -> Vec<String> {
        let Some(names) = &self.names else { return Vec::new() };
        let unknown = names
            .iter()
            .filter(|name| !PLUGINS.contains(&name.as_str()))
            .map(|name| format!("enabled_plugins: coproc has no plugin `{name}`"));
        let left_out = PLUGINS
            .iter()
            .filter(|plugin| !self.allows(plugin) && stack.node(&[(**plugin).to_owned()]).is_some())
            .map(|plugin| {
                format!(
                    "enabled_plugins: `{plugin}` is not in the list, so [{plugin}] is not in force"
                )
            });
        unknown.chain(left_out).collect()
    }
}
