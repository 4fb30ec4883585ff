//! The layers of the config on top of each other: their merge, and who said what.

use coproc_core::scalar::printable;
use figment::Figment;
use figment::Profile;
use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::near::nearest;
use super::origin::Origin;
use super::report::Problem;
use super::secrets::{MASK, secret, secret_path};
use super::tree::{Data, Entry, Layer, Node, Path, dotted};

/// All layers, the defaults first.
#[derive(Clone, Debug)]
pub(super) struct Stack(pub(super) Vec<Layer>);

impl Stack {
    /// All layers as one table, by figment's rules: tables are joined, all else is replaced.
    pub(super) fn merged(&self) -> Dict {
        let figment = self.0.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
        let data = figment::Provider::data(&figment).unwrap_or_default();
        data.into_iter().find(|(p, _)| *p == Profile::Default).map(|(_, d)| d).unwrap_or_default()
    }

    /// Every value that was said for a path, the one in force first. Defaults are among them.
    pub(super) fn all(&self, path: &[String]) -> impl Iterator<Item = &Node> {
        self.0.iter().rev().filter_map(move |layer| layer.node(path))
    }

    /// The value in force.
    pub(super) fn node(&self, path: &[String]) -> Option<&Node> {
        self.all(path).next()
    }

    /// The value in force, unless it is a default.
    pub(super) fn said(&self, path: &[String]) -> Option<&Node> {
        self.node(path).filter(|node| node.origin != Origin::Default)
    }

    fn entry(&self, path: &[String]) -> Option<&Entry> {
        self.0.iter().rev().find_map(|layer| layer.entry(path))
    }

    /// A problem with the value at a path, with its place and what it overrides. An element of a
    /// list or a key of a table that is not there is shown at what it is missing from.
    pub(super) fn wrong(&self, path: &[String], what: impl Into<String>) -> Problem {
        let mut what = what.into();
        let nodes = (1..=path.len()).rev().find_map(|end| {
            let nodes = self.all(&path[..end]).collect::<Vec<_>>();
            (!nodes.is_empty()).then_some((end == path.len(), nodes))
        });
        let Some((exact, nodes)) = nodes else { return Problem::wrong(dotted(path), what) };
        let hide = secret_path(path) || nodes.iter().any(|node| node.origin.is_secret());
        if hide
            && let Data::Text(text) = &nodes[0].data
            && !text.is_empty()
        {
            what = masked(&what, text);
        }
        let mut problem = Problem::wrong(dotted(path), what).said(&nodes[0].origin);
        if hide {
            problem = problem.without_snippet();
        }
        let below = nodes[1..].iter().find(|node| node.origin != Origin::Default);
        if let (true, Some(below)) = (exact, below) {
            let value = if hide { MASK.to_owned() } else { below.show(&secret) };
            problem = problem.note(format!("overriding `{value}` from {}", below.origin));
        }
        problem
    }

    /// A problem with a table as a whole, such as a key that it lacks.
    pub(super) fn lacking(&self, path: &[String], what: impl Into<String>) -> Problem {
        let entries = || self.0.iter().rev().filter_map(|layer| layer.entry(path));
        let problem = Problem::wrong(dotted(path), what).without_snippet();
        if let Some(place) = entries().find_map(|entry| entry.origin.place()) {
            return problem.at("table begins at", place.header());
        }
        match entries().find(|entry| entry.origin != Origin::Default) {
            Some(entry) => problem.note(format!("named by {}", entry.origin)),
            None => problem,
        }
    }

    /// A problem with a key that coproc does not have.
    pub(super) fn unknown(&self, path: &[String], what: impl Into<String>) -> Problem {
        let problem = Problem::unknown(dotted(path), what);
        match self.entry(path) {
            Some(Entry {
                origin: Origin::File(key),
                node: Node { data: Data::Table(_), .. },
                ..
            }) => problem.at("set in", key.header()),
            Some(entry) => problem.said(&entry.origin),
            None => problem,
        }
    }

    /// Reads the merged table that stands at `at`, and tells of every problem in it: after each one
    /// the value that caused it is taken out, and the rest is read again. The paths that were taken
    /// out go to `refused`, one for each problem.
    pub(super) fn extract<T: DeserializeOwned + Default>(
        &self,
        at: &[String],
        merged: Dict,
        problems: &mut Vec<Problem>,
        refused: &mut Vec<Path>,
    ) -> T {
        let mut merged = Value::from(merged);
        loop {
            let error = match T::deserialize(&merged) {
                Ok(table) => return table,
                Err(error) => error,
            };
            let path = [at, &error.path].concat();
            let problem = match error.kind {
                Kind::UnknownField(key, known) => {
                    let problem = self.unknown(&path, "unknown key");
                    match nearest(&key, known.iter().copied()) {
                        Some(near) => problem.hint(format!("did you mean `{near}`?")),
                        None => problem,
                    }
                }
                Kind::Message(message) => match message.split_once('\n') {
                    Some((what, expected)) => self.wrong(&path, what).expected(expected),
                    None => self.wrong(&path, message),
                },
                Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
                    let expected = match expected.as_str() {
                        "a string" => "a text",
                        "a map" => "a table",
                        expected => expected,
                    };
                    let found = self.node(&path).map_or("this".to_owned(), found);
                    self.wrong(&path, format!("{found} has the wrong type")).expected(expected)
                }
                other => self.wrong(&path, other.to_string()),
            };
            problems.push(problem);
            refused.push(path);
            let Value::Dict(_, table) = &mut merged else { return T::default() };
            if !remove(table, &error.path) {
                return T::default();
            }
        }
    }
}

/// How long a secret is that can be no word of the error's own.
const NO_WORD: usize = 16;

/// An error without the secret that it is about: where it is quoted, and a long one wherever it stands.
fn masked(what: &str, secret: &str) -> String {
    let mut out = what.to_owned();
    for secret in [secret, &printable(secret)] {
        for quote in ['`', '"', '\''] {
            out = out.replace(&format!("{quote}{secret}{quote}"), &format!("{quote}{MASK}{quote}"));
        }
        if secret.chars().count() >= NO_WORD {
            out = out.replace(secret, MASK);
        }
    }
    out
}

fn found(node: &Node) -> String {
    match &node.data {
        Data::Null => "a blank value".to_owned(),
        Data::List(_) => "a list".to_owned(),
        Data::Table(_) => "a table".to_owned(),
        _ => format!("`{}`", node.show(&secret)),
    }
}

/// Takes out what is at the path, or the innermost value on the way to it that is no table.
fn remove(table: &mut Dict, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match table.get_mut(first) {
        Some(Value::Dict(_, inner)) if !rest.is_empty() => {
            remove(inner, rest) || table.remove(first).is_some()
        }
        Some(_) => table.remove(first).is_some(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_joined_and_all_else_is_replaced() {
        let layer = |said: &[(&[&str], &str)]| {
            let mut layer = Layer::new("a test");
            for (path, text) in said {
                let path = path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
                layer.set(&path, Node::text(*text, Origin::Default));
            }
            layer
        };
        let below =
            layer(&[(&["a", "b"], "1"), (&["a", "c"], "2"), (&["d"], "3"), (&["e", "f"], "4")]);
        let above = layer(&[(&["a", "c"], "5"), (&["d", "g"], "6"), (&["e"], "7")]);
        let merged = serde_json::to_value(Stack(vec![below, above]).merged()).unwrap();
        assert_eq!(
            merged,
            serde_json::json!({ "a": { "b": "1", "c": "5" }, "d": { "g": "6" }, "e": "7" })
        );
    }

    #[test]
    fn a_secret_is_masked_where_it_is_quoted_and_leaves_the_words_alone() {
        for (what, secret, expected) in [
            ("`a` is not a flag", "a", "`********` is not a flag"),
            ("`no` is no token", "no", "`********` is no token"),
            ("\"is\" is wrong", "is", "\"********\" is wrong"),
            ("`\\n` is a line break", "\n", "`********` is a line break"),
            ("at a-very-long-secret-text", "a-very-long-secret-text", "at ********"),
        ] {
            assert_eq!(masked(what, secret), expected);
        }
    }
}
