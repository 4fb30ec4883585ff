//! `[template]` with its defaults.

use std::path::{Path, PathBuf};

use coproc_template::Settings;

use super::core::{TEMPLATE_DEFAULTS, TemplateTable};
use super::report::Problem;
use super::stack::Stack;
use super::tree::{Data, Node};

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

/// `template.conf_template_path` where nobody says it.
pub(super) fn default_source(suffix: &str) -> String {
    format!("./nginx.conf{suffix}")
}

/// A path without the dots that mean nothing.
fn plain(path: PathBuf) -> PathBuf {
    path.components().collect()
}
