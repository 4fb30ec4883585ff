//! The effective config as `coproc debug` shows it: every value, who said it, and what it overrides.

use serde_json::{Value as Json, json};

use super::core::TABLES;
use super::origin::Origin;
use super::secrets::{MASK, secret, secret_path};
use super::tree::{Data, Node, Path, dotted};
use super::{Config, Loaded, computed, kinds};

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// nginx-wrapper's: one aligned line a key.
    Text,
    /// One `key = value` a line, with the origin as a comment.
    Toml,
    /// `{"values": {KEY: {"value", "origin", "overrides"}}}`.
    Json,
}

/// One line of the output.
struct Shown {
    key: String,
    text: String,
    json: Json,
    origin: Origin,
    overrides: Vec<(String, Json, Origin)>,
}

/// Tables whose keys are the user's own; they are shown as one value.
const MAPS: [&[&str]; 3] =
    [&["env"], &["log", "formatter_options"], &["gateway", "event_handlers"]];

/// Renders the config. `config` is the one with facts.
pub fn debug(loaded: &Loaded, config: &Config, format: Format) -> String {
    let values = values(loaded, config);
    let unknown = unknown(loaded);
    match format {
        Format::Text => text(&values, &unknown),
        Format::Toml => toml(&values, &unknown),
        Format::Json => json_form(&values, &unknown),
    }
}

/// Renders what the config says at `key` and below it; `None` where it says nothing there.
pub fn origin_of(loaded: &Loaded, config: &Config, key: &str, format: Format) -> Option<String> {
    let below = format!("{key}.");
    let concerned = |shown: &Shown| shown.key == key || shown.key.starts_with(&below);
    let of = |all: Vec<Shown>| all.into_iter().filter(concerned).collect::<Vec<_>>();
    let (values, unknown) = (of(values(loaded, config)), of(unknown(loaded)));
    if values.is_empty() && unknown.is_empty() {
        return None;
    }
    Some(match format {
        Format::Text => text(&values, &unknown),
        Format::Toml => toml(&values, &unknown),
        Format::Json => json_form(&values, &unknown),
    })
}

fn values(loaded: &Loaded, config: &Config) -> Vec<Shown> {
    let mut paths = Vec::new();
    for key in super::core::top_level_keys() {
        if TABLES.contains(&key.as_str()) {
            leaves(loaded, vec![key], &mut paths);
        } else {
            paths.push(vec![key]);
        }
    }
    let computed = computed::computed(loaded, config);
    for (path, _) in &computed {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
    let allowed = |path: &Path| {
        !loaded.unknown.iter().any(|unknown| path.starts_with(unknown))
            && match path[0].as_str() {
                "template" => loaded.template,
                "coprocess" => path.get(1).is_some_and(|key| loaded.keys.contains(key)),
                _ => true,
            }
    };
    let mut values = paths
        .into_iter()
        .filter(allowed)
        .filter_map(|path| {
            let said = computed.iter().find(|(p, _)| *p == path).map(|(_, value)| value);
            shown(loaded, &path, said)
        })
        .collect::<Vec<_>>();
    values.sort_by(|a, b| a.key.cmp(&b.key));
    values
}

/// The paths of all values below a table, in all layers.
fn leaves(loaded: &Loaded, path: Path, out: &mut Vec<Path>) {
    let map = MAPS.iter().any(|map| path.iter().map(String::as_str).eq(map.iter().copied()));
    let tables = loaded
        .stack
        .all(&path)
        .filter_map(|node| match &node.data {
            Data::Table(entries) if !map => Some(entries),
            _ => None,
        })
        .collect::<Vec<_>>();
    if tables.is_empty() {
        if !out.contains(&path) {
            out.push(path);
        }
        return;
    }
    for entries in tables {
        for entry in entries {
            let mut path = path.clone();
            path.push(entry.key.clone());
            leaves(loaded, path, out);
        }
    }
}

fn shown(loaded: &Loaded, path: &Path, computed: Option<&Json>) -> Option<Shown> {
    let nodes = loaded.stack.all(path).collect::<Vec<_>>();
    let hide = secret_path(path) || nodes.iter().any(|node| node.origin.is_secret());
    let last = path.last().map(String::as_str).unwrap_or_default();
    let show = |node: &Node| match hide {
        true => (MASK.to_owned(), Json::from(MASK)),
        false => (node.show(&secret), typed(last, node)),
    };
    let mut origin = nodes.first().map_or(Origin::Default, |node| node.origin.clone());
    let mut nodes_below = nodes.get(1..).unwrap_or_default().to_vec();
    let (mut text, mut json) = match nodes.first() {
        Some(node) => show(node),
        None => (String::new(), Json::Null),
    };
    if MAPS.iter().any(|map| path.iter().map(String::as_str).eq(map.iter().copied())) {
        // Layers are joined here, so that none overrides the other as a whole.
        let merged = merged_map(loaded, path);
        (text, json) = show(&merged);
        nodes_below.clear();
        if let Some(node) = nodes.iter().find(|node| matches!(node.origin, Origin::File(_))) {
            origin = node.origin.clone();
        }
    }
    if let Some(value) = computed
        && !hide
    {
        text = go(value);
        json = value.clone();
    }
    if super::core::COMPUTED.contains(&last) && path.len() == 1 {
        origin = Origin::Default;
    }
    if nodes.is_empty() && computed.is_none() {
        return None;
    }
    let overrides = nodes_below
        .iter()
        .filter(|node| node.origin != Origin::Default)
        .map(|node| {
            let (text, json) = show(node);
            (text, json, node.origin.clone())
        })
        .collect();
    Some(Shown { key: dotted(path), text, json, origin, overrides })
}

fn merged_map(loaded: &Loaded, path: &Path) -> Node {
    let mut entries: Vec<super::tree::Entry> = Vec::new();
    for node in loaded.stack.all(path) {
        let Data::Table(more) = &node.data else { continue };
        for entry in more {
            if entries.iter().all(|e| e.key != entry.key) {
                entries.push(entry.clone());
            }
        }
    }
    Node { data: Data::Table(entries), origin: Origin::Default }
}

/// A value in its key's own type.
fn typed(key: &str, node: &Node) -> Json {
    let typed = match &node.data {
        Data::Text(text) => kinds::typed(key, text),
        _ => None,
    };
    typed.unwrap_or_else(|| node.to_json(&secret))
}

/// Go's notation of a value.
fn go(value: &Json) -> String {
    match value {
        Json::Null => "not set".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(values) => {
            format!("[{}]", values.iter().map(go).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// Keys that coproc does not know: values for templates, and misspelt ones.
fn unknown(loaded: &Loaded) -> Vec<Shown> {
    let mut paths = Vec::new();
    for key in &loaded.unknown_top {
        leaves(loaded, vec![key.clone()], &mut paths);
    }
    for path in &loaded.unknown {
        leaves(loaded, path.clone(), &mut paths);
    }
    let mut values = paths.iter().filter_map(|path| shown(loaded, path, None)).collect::<Vec<_>>();
    values.sort_by(|a, b| a.key.cmp(&b.key));
    values
}

fn text(values: &[Shown], unknown: &[Shown]) -> String {
    let mut out = lines(values);
    if !unknown.is_empty() {
        out.push_str("\nUnknown keys:\n");
        out.push_str(&lines(unknown));
    }
    out
}

fn lines(values: &[Shown]) -> String {
    let width = values.iter().map(|value| value.key.chars().count()).max().unwrap_or(0);
    values
        .iter()
        .map(|Shown { key, text, .. }| (key, text))
        .zip(values)
        .map(|((key, text), value)| format!("{key:>width$}: {text}  ({})\n", origins(value)))
        .collect()
}

fn origins(value: &Shown) -> String {
    let mut out = value.origin.to_string();
    for (text, _, origin) in &value.overrides {
        out.push_str(&format!(", overriding {text} from {origin}"));
    }
    out
}

fn toml(values: &[Shown], unknown: &[Shown]) -> String {
    let line = |value: &Shown| match toml_value(&value.json) {
        // As a setting it would have no effect but a warning.
        Some(text) if super::core::COMPUTED.contains(&value.key.as_str()) => {
            format!("# {} = {text} # {}\n", value.key, origins(value))
        }
        Some(text) => format!("{} = {text} # {}\n", value.key, origins(value)),
        None => format!("# {} is not set\n", value.key),
    };
    let mut out = values.iter().map(line).collect::<String>();
    if !unknown.is_empty() {
        out.push_str("\n# Unknown keys:\n");
        out.extend(unknown.iter().map(line));
    }
    out
}

/// A JSON value on one line of TOML; TOML has no null.
fn toml_value(value: &Json) -> Option<String> {
    Some(match value {
        Json::Null => return None,
        Json::String(text) => toml_text(text),
        Json::Array(values) => {
            let values = values.iter().filter_map(toml_value).collect::<Vec<_>>();
            format!("[{}]", values.join(", "))
        }
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| {
                Some(format!("{} = {}", toml_text(key), toml_value(value)?))
            };
            let pairs = map.iter().filter_map(pair).collect::<Vec<_>>();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    })
}

fn toml_text(text: &str) -> String {
    ::toml::Value::String(text.to_owned()).to_string().replace('\n', "\\n")
}

fn json_form(values: &[Shown], unknown: &[Shown]) -> String {
    let object = |values: &[Shown]| {
        values
            .iter()
            .map(|value| {
                let overrides = value
                    .overrides
                    .iter()
                    .map(|(_, json, origin)| json!({ "value": json, "origin": origin.to_json() }))
                    .collect::<Vec<_>>();
                let shown = json!({
                    "value": value.json,
                    "origin": value.origin.to_json(),
                    "overrides": overrides,
                });
                (value.key.clone(), shown)
            })
            .collect::<serde_json::Map<_, _>>()
    };
    let mut out = json!({ "values": object(values) });
    if !unknown.is_empty() {
        out["unknown"] = object(unknown).into();
    }
    format!("{out:#}\n")
}
