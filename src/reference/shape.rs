//! What the schema says, table by table and key by key.

use coproc_core::scalar::{EXPECTED, NOUN};
use serde_json::{Map, Value};

/// What follows a key whose table has names of the user's own.
const EACH: &str = ".NAME";

/// The noun of a value that is a table.
const TABLE: &str = "a table";

/// All tables of the config.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The tables, the top level first.
    pub tables: Vec<Table>,
    /// The types of values, in the order in which they are met.
    pub types: Vec<Type>,
}

/// A kind of value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// What it is, with its article.
    pub noun: String,
    /// How it is written.
    pub written: String,
}

/// One table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Where it stands, with dots between the keys; empty for the top level. Several tables of one
    /// shape are one.
    pub paths: Vec<String>,
    /// What it is.
    pub about: String,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What it means.
    pub about: String,
    /// What its value is, with the article.
    pub noun: String,
    /// Its default where that is one value.
    pub default: Option<Value>,
    /// Values that it may have.
    pub examples: Vec<Value>,
    /// Whether it has to be there.
    pub required: bool,
    /// Whether its value is a table that is described on its own.
    pub is_table: bool,
}

impl Reference {
    /// Reads the schema.
    pub fn new(schema: &Value) -> Self {
        let mut reference = Self { tables: Vec::new(), types: Vec::new() };
        let mut waiting = vec![(String::new(), schema)];
        let mut seen: Vec<(&Value, usize)> = Vec::new();
        while !waiting.is_empty() {
            let (path, table) = waiting.remove(0);
            // Tables of one shape are told once.
            if let Some((_, at)) = seen.iter().find(|(known, _)| std::ptr::eq(*known, table)) {
                reference.tables[*at].paths.push(path);
                continue;
            }
            seen.push((table, reference.tables.len()));
            let required = strings(&table["required"]);
            let mut keys = Vec::new();
            let mut below = Vec::new();
            for (name, property) in table["properties"].as_object().into_iter().flatten() {
                let whole = join(&path, name);
                let inner = inner_table(schema, property);
                below.extend(inner.map(|(suffix, table)| (format!("{whole}{suffix}"), table)));
                keys.push(Key {
                    name: name.clone(),
                    about: sentences(property),
                    noun: reference.noun(property, inner.is_some()),
                    default: property.get("default").cloned(),
                    examples: property["examples"].as_array().cloned().unwrap_or_default(),
                    required: required.contains(&name.as_str()),
                    is_table: inner.is_some(),
                });
            }
            // A table's own tables come right after it.
            waiting.splice(0..0, below);
            reference.tables.push(Table { paths: vec![path], about: sentences(table), keys });
        }
        reference
    }

    /// The names of all keys with their paths.
    pub fn paths(&self) -> impl Iterator<Item = (String, &Key)> {
        self.tables.iter().flat_map(|table| {
            let path = table.path();
            table.keys.iter().map(move |key| (join(path, &key.name), key))
        })
    }

    /// How values of a kind are written, where its noun does not say it.
    pub fn kind(&self, noun: &str) -> Option<&Type> {
        self.types.iter().find(|kind| kind.noun == noun)
    }

    /// What the values of a key are; a type that is met for the first time is noted.
    fn noun(&mut self, property: &Value, is_table: bool) -> String {
        let schema = without_null(property);
        if let (Some(noun), Some(written)) = (schema[NOUN].as_str(), schema[EXPECTED].as_str()) {
            // A text is a text.
            if noun != written && self.kind(noun).is_none() {
                let written = written.to_owned();
                self.types.push(Type { noun: noun.to_owned(), written });
            }
            return noun.to_owned();
        }
        let kinds = strings(&schema["type"]);
        let noun = match is_table || kinds.contains(&"object") {
            true => TABLE,
            false if kinds.contains(&"array") => "an array",
            false => "a text",
        };
        noun.to_owned()
    }
}

impl Key {
    /// Whether its value is a table of the user's own keys.
    pub fn is_map(&self) -> bool {
        self.noun == TABLE && !self.is_table
    }
}

impl Table {
    /// Where the first of its kind stands; empty for the top level.
    pub fn path(&self) -> &str {
        self.paths.first().map_or("", String::as_str)
    }

    /// The variable that sets a key of it.
    pub fn variable(&self, key: &Key) -> String {
        let path = join(self.path(), &key.name);
        format!("COPROC_{}", path.replace('-', "_").replace('.', "__").to_uppercase())
    }
}

/// The table that a key's value is, and what follows the key in its path.
fn inner_table<'a>(root: &'a Value, property: &'a Value) -> Option<(&'static str, &'a Value)> {
    let schema = resolve(root, without_null(property));
    // One table, or several of its shape by name, is told as the one.
    let first = schema["anyOf"].as_array().and_then(|all| all.first());
    let schema = first.map_or(schema, |first| resolve(root, first));
    if schema.get("properties").is_some() {
        return Some(("", schema));
    }
    let each = schema.get("additionalProperties")?;
    let each = resolve(root, each);
    each.get("properties").map(|_| (EACH, each))
}

/// The schema that a reference stands for.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

/// The schema of a value that is there.
fn without_null(schema: &Value) -> &Value {
    let inner = schema["anyOf"].as_array().and_then(|all| match all.as_slice() {
        [inner, null] if null["type"] == "null" => Some(inner),
        _ => None,
    });
    inner.unwrap_or(schema)
}

/// The description, with lines joined and empty lines between paragraphs.
fn sentences(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The path of a key in a table.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value as TOML on one line.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(all) => {
            format!("[{}]", all.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => inline_table(map),
        Value::String(text) => ::toml::Value::String(text.clone()).to_string(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
    }
}

fn inline_table(map: &Map<String, Value>) -> String {
    let pairs = map.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}
