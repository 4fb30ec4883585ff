//! What the whole config is to templates.

use coproc_template::Settings;
use serde_json::{Map, Value as Json};

use super::core::TABLES;
use super::kinds::typed;
use super::{Config, Loaded, computed};

/// Everything that templates see: the whole config, the user's own keys and tables included, and
/// each value below a table once more by its path with `_` for the dots.
pub(super) fn values(loaded: &Loaded, config: &Config) -> Map<String, Json> {
    let mut values = match serde_json::to_value(loaded.stack.merged()) {
        Ok(Json::Object(values)) => values,
        _ => Map::new(),
    };
    // What is the user's own is left as it is written.
    for key in TABLES.into_iter().chain(["subreaper"]) {
        values.get_mut(key).iter_mut().for_each(|value| give_types(key, value));
    }
    for (path, value) in computed::computed(loaded, config) {
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
fn give_types(key: &str, value: &mut Json) {
    match value {
        Json::String(text) => {
            if let Some(typed) = typed(key, text) {
                *value = typed;
            }
        }
        Json::Object(map) => map.iter_mut().for_each(|(key, value)| give_types(key, value)),
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
