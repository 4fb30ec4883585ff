//! `[exec_socket]`: one socket, or several by name, each read by itself.

use figment::value::{Dict, Value};

use super::tree::{Data, Layer, Path};

/// The table.
const TABLE: &str = "exec_socket";

/// The paths of the sockets' own tables. There is one socket if anything in the table is not itself a
/// table; else each key is the name of one.
pub(super) fn paths(layers: &[Layer]) -> Vec<Path> {
    let mut names = Vec::new();
    let mut found = false;
    for layer in layers {
        let Some(node) = layer.node(&[TABLE.to_owned()]) else { continue };
        // What is no table at all is told of where the whole config is read.
        let Data::Table(entries) = &node.data else { continue };
        found = true;
        for entry in entries {
            if !matches!(entry.node.data, Data::Table(_)) {
                return vec![vec![TABLE.to_owned()]];
            }
            if !names.contains(&entry.key) {
                names.push(entry.key.clone());
            }
        }
    }
    match (found, names.is_empty()) {
        (true, true) => vec![vec![TABLE.to_owned()]],
        _ => names.into_iter().map(|name| vec![TABLE.to_owned(), name]).collect(),
    }
}

/// By which name status and logs show the socket of this table.
pub(super) fn name(path: &[String]) -> &str {
    path.get(1).map_or("exec", String::as_str)
}

/// Takes the tables of the sockets out of the whole; what should be a table and is none stays.
pub(super) fn take(merged: &mut Dict, paths: &[Path]) -> Vec<(Path, Dict)> {
    let Some(Value::Dict(..)) = merged.get(TABLE) else { return Vec::new() };
    let Some(Value::Dict(_, mut all)) = merged.remove(TABLE) else { return Vec::new() };
    paths
        .iter()
        .filter_map(|path| {
            let table = match path.get(1) {
                None => std::mem::take(&mut all),
                Some(name) => all.remove(name)?.into_dict()?,
            };
            Some((path.clone(), table))
        })
        .collect()
}
