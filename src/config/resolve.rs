//! From the merged sources to one checked config.

mod resolver;
mod together;

use coproc_coprocess::table::CoprocessTable;
use coproc_exec::table::ExecSocketTable;
use coproc_gateway::driver::{COMPILED, Drivers};
use figment::value::{Dict, Value};

use self::resolver::Resolver;
use super::core::{COMPUTED, RootTable, top_level_keys};
use super::near::nearest;
use super::origin::Origin;
use super::plugins::Enabled;
use super::report::{Problem, Weight};
use super::stack::Stack;
use super::tree::{Data, Layer};
use super::{Loaded, Sources, defaults, env, exec, file, flags};

/// Reads all sources, and says everything that is wrong with them. There is a config to show only
/// if nothing worse is wrong than keys that are not known.
pub(super) fn examine(sources: &Sources) -> (Option<Loaded>, Vec<Problem>, Vec<String>) {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let variables = sources.variables();
    problems.extend(
        sources
            .not_text()
            .map(|variable| Problem::wrong(variable, "its value is not text").expected("UTF-8")),
    );
    let unread_variables = problems.len();
    let mut layers = file::layers(sources, &mut problems);
    // Without one of its files the config would seem to lack what that file says.
    let unread = problems.len() > unread_variables;

    let own = top_level_keys();
    let mut top = own.clone();
    let mut keys = Vec::new();
    for layer in &layers {
        top.extend(layer.entries().iter().map(|entry| entry.key.clone()));
        append(&mut keys, coprocess_keys(layer));
    }
    let known = env::Known { top: &top, coprocesses: &keys };
    let above = [
        env::old(&variables, &known),
        env::new(&variables, &sources.folder, &known, &mut problems, &mut warnings),
        flags::layer(sources, &mut problems),
    ];
    if unread {
        return (None, problems, warnings);
    }
    let mut new = above.iter().flat_map(coprocess_keys).collect::<Vec<_>>();
    new.sort();
    append(&mut keys, new);
    layers.extend(above);

    let mut stack = Stack(layers);
    let enabled = Enabled::read(&stack);
    warnings.extend(enabled.warnings(&stack));
    let is_there = |path: &[&str]| {
        let path = path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        stack.node(&path).is_some()
    };
    let template =
        enabled.allows("template") && (enabled.names("template") || is_there(&["template"]));
    if !enabled.allows("coprocess") {
        keys.clear();
    }
    let exec_sockets = exec::paths(&stack.0);
    let defaults = defaults::layer(&keys, template, &exec_sockets, is_there, &variables);
    stack.0.insert(0, defaults);
    let mut merged = stack.merged();
    if !enabled.allows("coprocess") {
        merged.remove("coprocess");
    }
    if !enabled.allows("template") {
        merged.remove("template");
    }

    let mut unknown_top = Vec::new();
    for key in merged.keys() {
        if !own.contains(key) {
            unknown_top.push(key.clone());
            if let Some(near) = nearest(key, own.iter().map(String::as_str)) {
                warnings.push(format!(
                    "{key}: is a value for templates and no key of coproc, did you mean `{near}`?{}",
                    place(&stack, key)
                ));
            }
        }
    }
    for key in COMPUTED {
        if stack.said(&[key.to_owned()]).is_some() {
            warnings.push(format!(
                "{key}: is found out by coproc, the value that is set has no effect{}",
                place(&stack, key)
            ));
        }
    }

    lacking_drivers(&stack, &mut merged, &mut problems);
    let before = problems.len();
    let mut refused = Vec::new();
    // One by one, so that a problem of one coprocess does not have all others read again.
    let tables = take_coprocesses(&mut merged)
        .into_iter()
        .map(|(key, table)| {
            let at = ["coprocess".to_owned(), key.clone()];
            (key, stack.extract::<CoprocessTable>(&at, table, &mut problems, &mut refused))
        })
        .collect::<Vec<_>>();
    let exec_sockets = exec::take(&mut merged, &exec_sockets)
        .into_iter()
        .map(|(path, table)| {
            let table = stack.extract::<ExecSocketTable>(&path, table, &mut problems, &mut refused);
            (path, table)
        })
        .collect::<Vec<_>>();
    let mut root = stack.extract::<RootTable>(&[], merged, &mut problems, &mut refused);
    if let Some(coprocesses) = &mut root.coprocess {
        coprocesses.extend(tables);
    }
    let unknown = refused
        .iter()
        .zip(&problems[before..])
        .filter(|(_, problem)| problem.weight == Weight::Unknown)
        .map(|(path, _)| path.clone())
        .collect();

    let mut resolver = Resolver {
        sources,
        stack: &stack,
        root: &root,
        refused: &refused,
        template,
        problems,
        warnings,
    };
    let config = resolver.config(&keys, exec_sockets);
    let Resolver { mut problems, warnings, .. } = resolver;
    problems.sort_by_key(Problem::order);
    let loaded = config.map(|config| Loaded {
        config,
        stack,
        root,
        sources: sources.clone(),
        keys,
        unknown_top,
        unknown,
        template,
    });
    (loaded, problems, warnings)
}

/// Takes the tables of coprocesses out of the whole; what should be one and is not stays.
fn take_coprocesses(merged: &mut Dict) -> Vec<(String, Dict)> {
    let Some(Value::Dict(_, all)) = merged.get_mut("coprocess") else { return Vec::new() };
    let (tables, rest) = std::mem::take(all)
        .into_iter()
        .partition::<Dict, _>(|(_, value)| matches!(value, Value::Dict(..)));
    *all = rest;
    tables.into_iter().filter_map(|(key, value)| Some((key, value.into_dict()?))).collect()
}

/// Takes out of `[gateway]` what names a driver that this program lacks, and tells of it.
fn lacking_drivers(stack: &Stack, merged: &mut Dict, problems: &mut Vec<Problem>) {
    let Some(Value::Dict(_, gateway)) = merged.get_mut("gateway") else { return };
    for driver in Drivers::NAMES.into_iter().filter(|name| !COMPILED.contains(name)) {
        if gateway.remove(driver).is_some() {
            let path = ["gateway", driver].map(str::to_owned);
            let what = format!("this coproc is built without the driver `{driver}`");
            problems.push(stack.wrong(&path, what).expected("a coproc with that driver"));
        }
    }
}

/// Where a key is said, for the end of a warning.
fn place(stack: &Stack, key: &str) -> String {
    stack.said(&[key.to_owned()]).map(|node| format!(" ({})", node.origin)).unwrap_or_default()
}

fn coprocess_keys(layer: &Layer) -> Vec<String> {
    match layer.node(&["coprocess".to_owned()]).map(|node| &node.data) {
        Some(Data::Table(entries)) => entries.iter().map(|entry| entry.key.clone()).collect(),
        _ => Vec::new(),
    }
}

fn append(keys: &mut Vec<String>, more: Vec<String>) {
    for key in more {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}

impl Problem {
    /// Problems are told by their place in the files, then by variable, then by flag.
    fn order(&self) -> (u8, String, usize, usize) {
        match self.origin() {
            None | Some(Origin::Default) => (0, String::new(), 0, 0),
            Some(Origin::File(place)) => (1, place.path().to_owned(), place.line(), place.column()),
            Some(Origin::Env { variable, .. }) => (2, variable.clone(), 0, 0),
            Some(Origin::Flag { flag }) => (3, flag.clone(), 0, 0),
        }
    }
}
