//! Values that remember where they were said: what every source of the config is read into.

use figment::value::{Dict, Value};
use figment::{Metadata, Profile, Provider};

use super::origin::Origin;
use super::secrets::MASK;

/// The keys on the way to a value.
pub(super) type Path = Vec<String>;

/// One value and where it was said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) data: Data,
    pub(super) origin: Origin,
}

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table; tables keep the order in which they were written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) origin: Origin,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { data: Data::Text(text.into()), origin }
    }

    /// The entry at the end of a path; a list's elements are keyed by their number.
    fn step(&self, key: &str) -> Option<(Option<&Entry>, &Node)> {
        match &self.data {
            Data::Table(entries) => {
                let entry = entries.iter().find(|entry| entry.key == key)?;
                Some((Some(entry), &entry.node))
            }
            Data::List(nodes) => Some((None, nodes.get(key.parse::<usize>().ok()?)?)),
            _ => None,
        }
    }

    /// As it is shown in messages and in `debug`: Go's notation of lists and maps.
    pub(super) fn show(&self, secret: &dyn Fn(&str) -> bool) -> String {
        match &self.data {
            Data::Null => String::new(),
            Data::Bool(value) => value.to_string(),
            Data::Integer(value) => value.to_string(),
            Data::Float(value) => value.to_string(),
            Data::Text(text) => coproc_core::scalar::printable(text),
            Data::List(nodes) => {
                let words = nodes.iter().map(|node| node.show(secret)).collect::<Vec<_>>();
                format!("[{}]", words.join(" "))
            }
            Data::Table(entries) => {
                let mut pairs = entries
                    .iter()
                    .map(|entry| match secret(&entry.key) {
                        true => format!("{}:{}", entry.key, MASK),
                        false => format!("{}:{}", entry.key, entry.node.show(secret)),
                    })
                    .collect::<Vec<_>>();
                pairs.sort();
                format!("map[{}]", pairs.join(" "))
            }
        }
    }

    /// As JSON, with the values of secret keys masked.
    pub(super) fn to_json(&self, secret: &dyn Fn(&str) -> bool) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.data {
            Data::Null => Json::Null,
            Data::Bool(value) => Json::Bool(*value),
            Data::Integer(value) => match i64::try_from(*value) {
                Ok(value) => value.into(),
                Err(_) => value.to_string().into(),
            },
            Data::Float(value) => (*value).into(),
            Data::Text(text) => text.as_str().into(),
            Data::List(nodes) => nodes.iter().map(|node| node.to_json(secret)).collect(),
            Data::Table(entries) => entries
                .iter()
                .map(|entry| match secret(&entry.key) {
                    true => (entry.key.clone(), Json::from(MASK)),
                    false => (entry.key.clone(), entry.node.to_json(secret)),
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    fn to_figment(&self) -> Value {
        match &self.data {
            Data::Null => Value::Empty(Default::default(), figment::value::Empty::None),
            Data::Bool(value) => (*value).into(),
            Data::Integer(value) => match i64::try_from(*value) {
                Ok(value) => value.into(),
                Err(_) => (*value).into(),
            },
            Data::Float(value) => (*value).into(),
            Data::Text(text) => text.as_str().into(),
            Data::List(nodes) => nodes.iter().map(Self::to_figment).collect::<Vec<_>>().into(),
            Data::Table(entries) => to_dict(entries).into(),
        }
    }
}

fn to_dict(entries: &[Entry]) -> Dict {
    entries.iter().map(|entry| (entry.key.clone(), entry.node.to_figment())).collect()
}

/// One source of the config: a file, the environment in one of its two forms, the flags, or the
/// defaults.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    name: String,
    root: Node,
}

impl Layer {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self::of(name, Vec::new())
    }

    pub(super) fn of(name: impl Into<String>, entries: Vec<Entry>) -> Self {
        let root = Node { data: Data::Table(entries), origin: Origin::Default };
        Self { name: name.into(), root }
    }

    /// The top-level keys.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.root.data {
            Data::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The value at a path.
    pub(super) fn node(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, key| Some(node.step(key)?.1))
    }

    /// The last key of a path, with its value.
    pub(super) fn entry(&self, path: &[String]) -> Option<&Entry> {
        let (last, parents) = path.split_last()?;
        self.node(parents)?.step(last)?.0
    }

    /// Sets the value at a path, and makes the tables on the way to it.
    pub(super) fn set(&mut self, path: &[String], node: Node) {
        let Some((last, parents)) = path.split_last() else { return };
        let origin = node.origin.clone();
        let mut table = &mut self.root;
        for key in parents {
            table = child(table, key, &origin);
        }
        *child(table, last, &origin) = node;
    }
}

/// The value of a key, made if it is not there. What is no table becomes an empty one.
fn child<'a>(node: &'a mut Node, key: &str, origin: &Origin) -> &'a mut Node {
    if !matches!(node.data, Data::Table(_)) {
        node.data = Data::Table(Vec::new());
    }
    let Data::Table(entries) = &mut node.data else { unreachable!("made a table above") };
    let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(Entry {
            key: key.to_owned(),
            origin: origin.clone(),
            node: Node { data: Data::Null, origin: origin.clone() },
        });
        entries.len() - 1
    });
    &mut entries[at].node
}

/// The values at a path and below it by their dotted keys, as texts.
pub(super) fn flatten(
    path: &str,
    value: Option<&serde_json::Value>,
    out: &mut std::collections::BTreeMap<String, String>,
) {
    use serde_json::Value as Json;
    match value {
        None | Some(Json::Null) => {}
        Some(Json::Object(map)) if !map.is_empty() => {
            for (key, value) in map {
                flatten(&format!("{path}.{key}"), Some(value), out);
            }
        }
        Some(Json::String(text)) => drop(out.insert(path.to_owned(), text.clone())),
        Some(other) => drop(out.insert(path.to_owned(), other.to_string())),
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<figment::value::Map<Profile, Dict>> {
        Ok(figment::value::Map::from([(Profile::Default, to_dict(self.entries()))]))
    }
}

/// The keys below which names of variables stand.
const OF_VARIABLES: [&str; 2] = ["env", "secrets"];

/// Whether keys keep their case at this depth: below an `env` they are names of variables, and in the
/// tables of forwarded lines names of others.
pub(super) fn keeps_case<S: AsRef<str>>(parents: &[S]) -> bool {
    let parents = parents.iter().map(AsRef::as_ref).collect::<Vec<_>>();
    let of_variables = |key: &str| OF_VARIABLES.contains(&key);
    match parents[..] {
        ["env", ..] => true,
        ["gateway", "event_handlers", ..] => parents.len() > 2,
        ["log", "forward", _, "headers" | "resource", ..] => true,
        ["gateway", "python", key, ..] | ["main", key, ..] => of_variables(key),
        ["exec_socket", key] if of_variables(key) => true,
        ["coprocess" | "exec_socket", _, key, ..] => of_variables(key),
        _ => false,
    }
}

/// The dotted form of a path; keys that are not bare are quoted, elements of lists in brackets.
pub(super) fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for (depth, key) in path.iter().enumerate() {
        let bare =
            !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        if depth > 0 && key.bytes().all(|b| b.is_ascii_digit()) && depth + 1 == path.len() {
            out.push_str(&format!("[{key}]"));
            continue;
        }
        if depth > 0 {
            out.push('.');
        }
        match bare {
            true => out.push_str(key),
            false => out.push_str(&format!("{key:?}")),
        }
    }
    out
}
