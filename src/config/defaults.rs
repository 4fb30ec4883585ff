//! The lowest layer: what is in force where nobody says anything.

use super::core::{DEFAULTS, TEMPLATE_DEFAULTS};
use super::origin::Origin;
use super::tree::{Data, Entry, Layer, Node, Path};

/// Keys whose defaults are lists, with blanks between the words.
pub(super) const LISTS: [&str; 2] = ["run_path_subdirs", "success_exit_codes"];

/// Defaults of the top level, of every table and of each of the coprocesses. `is_there` says of other tables
/// whether they are.
pub(super) fn layer(
    coprocesses: &[String],
    template: bool,
    exec_sockets: &[Path],
    is_there: impl Fn(&[&str]) -> bool,
    environment: &[(String, String)],
) -> Layer {
    let mut layer = Layer::new("defaults");
    let mut fill = |table: &[&str], defaults: &[(&str, &str)]| {
        for (key, value) in defaults {
            let path = table.iter().chain([key]).map(|s| (*s).to_owned()).collect::<Vec<_>>();
            let node = match LISTS.contains(key) {
                false => Node::text(*value, Origin::Default),
                true => {
                    let words = value.split(' ').map(|word| Node {
                        data: word
                            .parse()
                            .map_or_else(|_| Data::Text(word.to_owned()), Data::Integer),
                        origin: Origin::Default,
                    });
                    Node { data: Data::List(words.collect()), origin: Origin::Default }
                }
            };
            layer.set(&path, node);
        }
    };
    fill(&[], &DEFAULTS);
    fill(&["log"], &crate::log::table::DEFAULTS);
    fill(&["main"], &coproc_main::table::DEFAULTS);
    fill(&["control"], &coproc_control::table::DEFAULTS);
    if template {
        fill(&["template"], &TEMPLATE_DEFAULTS);
    }
    if is_there(&["coordinator"]) {
        fill(&["coordinator"], &coproc_coordinator::table::DEFAULTS);
    }
    if is_there(&["coordinator", "nats"]) {
        fill(&["coordinator", "nats"], &coproc_coordinator::nats::table::DEFAULTS);
    }
    if is_there(&["gateway"]) {
        fill(&["gateway"], &coproc_gateway::table::DEFAULTS);
        fill(&["gateway", "limits"], &coproc_gateway::table::LIMITS_DEFAULTS);
        fill(&["gateway", "store"], &coproc_gateway::table::STORE_DEFAULTS);
    }
    if is_there(&["gateway", "python"]) {
        fill(&["gateway", "python"], &coproc_gateway::table::PYTHON_DEFAULTS);
    }
    if is_there(&["gateway", "lua"]) {
        fill(&["gateway", "lua"], &coproc_gateway::table::LUA_DEFAULTS);
    }
    for key in coprocesses {
        fill(&["coprocess", key], &coproc_coprocess::table::DEFAULTS);
    }
    for path in exec_sockets {
        let path = path.iter().map(String::as_str).collect::<Vec<_>>();
        fill(&path, &coproc_exec::table::DEFAULTS);
    }
    let words = |data| Node { data, origin: Origin::Default };
    for option in crate::log::table::OPTIONS_ON {
        let path = ["log", "formatter_options", option].map(str::to_owned);
        layer.set(&path, words(Data::Bool(true)));
    }
    layer.set(&["enabled_plugins".to_owned()], words(Data::List(Vec::new())));
    let variables = environment
        .iter()
        .map(|(key, value)| Entry {
            key: key.clone(),
            origin: Origin::Default,
            node: Node::text(value.as_str(), Origin::Default),
        })
        .collect();
    layer.set(&["env".to_owned()], words(Data::Table(variables)));
    layer
}
