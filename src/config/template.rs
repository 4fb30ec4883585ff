//! `[template]` with its defaults, and what the whole config is to templates.

use std::path::{Path, PathBuf};

use coproc_template::Settings;
use serde_json::{Map, Value as Json};

use super::computed::{computed, default_source};
use super::core::{TABLES, TEMPLATE_DEFAULTS, TemplateTable};
use super::kinds;
use super::report::Problem;
use super::stack::Stack;
use super::tree::{Data, Node};
use super::{Config, Loaded};

/// Texts that must not be empty, and what is expected of them.
const NOT_EMPTY: [(&str, &str); 3] = [
    ("template_suffix", "how the names of templates end, such as `.tmpl`"),
    ("template_var_left_delim", "what begins an action, such as `[[`"),
    ("template_var_right_delim", "what ends an action, such as `]]`"),
];

/// Every name ends in nothing, and an action of nothing is everywhere.
pub(super) fn empty(stack: &Stack) -> impl Iterator<Item = Problem> {
    NOT_EMPTY.iter().filter_map(|(key, expected)| {
        let path = ["template", *key].map(str::to_owned);
        let is_empty = |node: &&Node| matches!(&node.data, Data::Text(text) if text.is_empty());
        stack.node(&path).filter(is_empty)?;
        Some(stack.wrong(&path, "is empty").expected(*expected))
    })
}

/// Fills the defaults in; paths that are blank are unset. `folder` is where relative paths begin.
pub(super) fn settings(
    table: Option<&TemplateTable>,
    folder: &Path,
    run_path: &Path,
    conf_path: &Path,
) -> Settings {
    let table = table.cloned().unwrap_or_default();
    let set = |value: Option<String>| value.filter(|text| !text.is_empty());
    let default = |key: &str| {
        let found = TEMPLATE_DEFAULTS.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| (*value).to_owned()).unwrap_or_default()
    };
    let text = |value, key| set(value).unwrap_or_else(|| default(key));
    let suffix = text(table.template_suffix, "template_suffix");
    let source = set(table.conf_template_path).unwrap_or_else(|| default_source(&suffix));
    let output = set(table.conf_output_path);
    let subfolders = table.run_path_subdirs.map(|words| words.0);
    Settings {
        source: plain(folder.join(source)),
        output: output.map_or_else(|| conf_path.to_owned(), |path| plain(folder.join(path))),
        suffix,
        left: text(table.template_var_left_delim, "template_var_left_delim"),
        right: text(table.template_var_right_delim, "template_var_right_delim"),
        run_path: run_path.to_owned(),
        subfolders: subfolders
            .unwrap_or_else(|| default("run_path_subdirs").split(' ').map(str::to_owned).collect()),
        delete_run_path: table.delete_run_path_on_exit.is_some_and(|flag| flag.0),
        delete_output: table.delete_templated_conf_on_exit.is_none_or(|flag| flag.0),
    }
}

/// A path without the dots that mean nothing.
fn plain(path: PathBuf) -> PathBuf {
    path.components().collect()
}

/// Everything that templates see: the whole config, the user's own keys and tables included, and
/// each value below a table once more by its path with `_` for the dots.
pub(super) fn values(loaded: &Loaded, config: &Config) -> Map<String, Json> {
    let mut values = match serde_json::to_value(loaded.stack.merged()) {
        Ok(Json::Object(values)) => values,
        _ => Map::new(),
    };
    // What is the user's own is left as it is written.
    for key in TABLES.into_iter().chain(["subreaper"]) {
        values.get_mut(key).iter_mut().for_each(|value| typed(key, value));
    }
    for (path, value) in computed(loaded, config) {
        set(&mut values, &path, value);
    }
    if let Some(settings) = &config.template {
        for (key, value) in of_settings(settings) {
            set(&mut values, &["template".to_owned(), key.to_owned()], value);
        }
    }
    if let Some(Json::Object(env)) = values.get_mut("env") {
        // A map of texts, as in the environment itself.
        for value in env.values_mut() {
            *value = match value.take() {
                Json::String(text) => text.into(),
                other => other.to_string().into(),
            };
        }
    }
    let mut flat = Map::new();
    for (key, value) in &values {
        // Names of variables are not the config's.
        if key != "env" {
            flatten(key, value, &mut flat);
        }
    }
    for (key, value) in flat {
        values.entry(key).or_insert(value);
    }
    values
}

/// What the settings come to where a value is blank.
fn of_settings(settings: &Settings) -> [(&'static str, Json); 5] {
    [
        ("conf_output_path", settings.output.display().to_string().into()),
        ("template_suffix", settings.suffix.as_str().into()),
        ("template_var_left_delim", settings.left.as_str().into()),
        ("template_var_right_delim", settings.right.as_str().into()),
        ("run_path_subdirs", settings.subfolders.clone().into()),
    ]
}

fn set(values: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [last] => drop(values.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let inner = values.entry(first.clone()).or_insert_with(|| Map::new().into());
            if let Json::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// Gives texts that stand for booleans and numbers, as those of variables do, their type.
fn typed(key: &str, value: &mut Json) {
    match value {
        Json::String(text) => {
            if let Some(typed) = kinds::typed(key, text) {
                *value = typed;
            }
        }
        Json::Object(map) => map.iter_mut().for_each(|(key, value)| typed(key, value)),
        _ => {}
    }
}

fn flatten(path: &str, value: &Json, flat: &mut Map<String, Json>) {
    let Json::Object(map) = value else { return };
    for (key, value) in map {
        let path = format!("{path}_{key}");
        flatten(&path, value, flat);
        flat.insert(path, value.clone());
    }
}
