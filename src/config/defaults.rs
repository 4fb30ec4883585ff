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
    let mut layer = Layer::of("defaults", table(&DEFAULTS));
    let mut fill = |path: &[&str], defaults: &[(&str, &str)]| {
        let path = path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        layer.set(&path, built_in(Data::Table(table(defaults))));
    };
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
    for path in exec_sockets {
        let path = path.iter().map(String::as_str).collect::<Vec<_>>();
        fill(&path, &coproc_exec::table::DEFAULTS);
    }
    if !coprocesses.is_empty() {
        let of_one = |key: &String| {
            let defaults = table(&coproc_coprocess::table::DEFAULTS);
            entry(key.clone(), Data::Table(defaults))
        };
        let all = coprocesses.iter().map(of_one).collect();
        layer.set(&["coprocess".to_owned()], built_in(Data::Table(all)));
    }
    for option in crate::log::table::OPTIONS_ON {
        let path = ["log", "formatter_options", option].map(str::to_owned);
        layer.set(&path, built_in(Data::Bool(true)));
    }
    layer.set(&["enabled_plugins".to_owned()], built_in(Data::List(Vec::new())));
    let variables = environment.iter().map(|(key, value)| {
        let value = Data::Text(value.clone());
        entry(key.clone(), value)
    });
    layer.set(&["env".to_owned()], built_in(Data::Table(variables.collect())));
    layer
}

/// The entries of a table of defaults.
fn table(defaults: &[(&str, &str)]) -> Vec<Entry> {
    let data = |key, value: &str| match LISTS.contains(&key) {
        false => Data::Text(value.to_owned()),
        true => {
            let word = |word: &str| {
                let number = word.parse().map(Data::Integer);
                built_in(number.unwrap_or_else(|_| Data::Text(word.to_owned())))
            };
            Data::List(value.split(' ').map(word).collect())
        }
    };
    defaults.iter().map(|(key, value)| entry((*key).to_owned(), data(*key, value))).collect()
}

fn entry(key: String, data: Data) -> Entry {
    Entry { key, origin: Origin::Default, node: built_in(data) }
}

fn built_in(data: Data) -> Node {
    Node { data, origin: Origin::Default }
}
