//! Reads the keys of a definition one by one, and notes everything that is wrong with them.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use coproc_core::duration::GoDuration;
use coproc_core::scalar::{Scalar, printable};
use serde_json::{Map, Value};

/// What is wrong with a key of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The keys on the way to it, elements of lists by their numbers.
    pub path: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: Option<String>,
}

impl Fault {
    pub(super) fn new<S: Into<String>>(
        path: impl IntoIterator<Item = S>,
        what: impl Into<String>,
    ) -> Self {
        let path = path.into_iter().map(Into::into).collect();
        Self { path, what: what.into(), expected: None }
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// The path with dots between its keys.
    pub fn key(&self) -> String {
        self.path.join(".")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.what)?,
            false => write!(f, "{}: {}", self.key(), self.what)?,
        }
        match &self.expected {
            Some(expected) => write!(f, ", expected {expected}"),
            None => Ok(()),
        }
    }
}

/// What was found out while a definition is read.
#[derive(Debug)]
pub(super) struct Notes {
    strict: bool,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
    unknown: RefCell<Vec<String>>,
}

impl Notes {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            strict,
            faults: RefCell::default(),
            warnings: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Faults, warnings, and keys that are not known.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Fault>, Vec<String>) {
        (self.faults.into_inner(), self.warnings.into_inner(), self.unknown.into_inner())
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    pub(super) fn warn(&self, fault: Fault) {
        self.warnings.borrow_mut().push(fault);
    }

    /// What is let through with a warning, unless the gateway is strict.
    pub(super) fn lenient(&self, fault: Fault) {
        match self.strict {
            true => self.fault(fault),
            false => self.warn(fault),
        }
    }
}

/// A table of a definition, which notes which of its keys were asked for. What is null is not there.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: Vec<String>,
    table: Option<&'a Map<String, Value>>,
    asked: RefCell<Vec<&'static str>>,
    pub(super) notes: &'a Notes,
}

impl<'a> Fields<'a> {
    /// The definition itself; what is no table is a fault.
    pub(super) fn of(value: &'a Value, notes: &'a Notes) -> Self {
        Self::at(Vec::new(), Some(value), notes)
    }

    fn at(path: Vec<String>, value: Option<&'a Value>, notes: &'a Notes) -> Self {
        let table = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(table)) => Some(table),
            Some(other) => {
                let what = format!("{} has the wrong type", shown(other));
                notes.fault(Fault::new(path.clone(), what).expected("a table"));
                None
            }
        };
        Self { path, table, asked: RefCell::default(), notes }
    }

    /// Whether it is there at all.
    pub(super) fn there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().push(key);
        self.table?.get(key).filter(|value| !value.is_null())
    }

    /// The path of a key in it.
    pub(super) fn path(&self, key: &str) -> Vec<String> {
        self.path.iter().cloned().chain([key.to_owned()]).collect()
    }

    /// A fault of a key in it.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>) -> Fault {
        Fault::new(self.path(key), what)
    }

    fn refuse(&self, key: &str, value: &Value, expected: &str) {
        let what = format!("{} has the wrong type", shown(value));
        self.notes.fault(self.wrong(key, what).expected(expected));
    }

    /// A text; one that is not there is empty.
    pub(super) fn text(&self, key: &'static str) -> &'a str {
        match self.get(key) {
            None => "",
            Some(Value::String(text)) => text,
            Some(other) => {
                self.refuse(key, other, "a text");
                ""
            }
        }
    }

    /// Whether a text is there that can be judged, or none at all: what is no text is refused already.
    pub(super) fn is_text(&self, key: &'static str) -> bool {
        self.get(key).is_none_or(Value::is_string)
    }

    /// A boolean; one that is not there is as `default`.
    pub(super) fn flag(&self, key: &'static str, default: bool) -> bool {
        match self.get(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.refuse(key, other, "`true` or `false`");
                default
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&self, key: &'static str) -> Option<i64> {
        let value = self.get(key)?;
        let number = value.as_i64().or_else(|| {
            let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
            (float.abs() < 1e15).then_some(float as i64)
        });
        if number.is_none() {
            self.refuse(key, value, "a whole number");
        }
        number
    }

    /// A duration above zero, as a text with a unit.
    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let text = match self.get(key)? {
            Value::String(text) => text,
            other => {
                self.refuse(key, other, "a duration such as `500ms`");
                return None;
            }
        };
        let duration = GoDuration::read(text).map(GoDuration::pause);
        let duration = duration.filter(|duration| !duration.is_zero());
        if duration.is_none() {
            let what = format!("`{}` is not a duration above zero", printable(text));
            self.notes.fault(self.wrong(key, what).expected(GoDuration::EXPECTED));
        }
        duration
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = match self.get(key)? {
            Value::String(text) => text.as_str(),
            other => {
                self.refuse(key, other, &listed(words.iter().map(|(word, _)| *word)));
                return None;
            }
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let what = format!("`{}` is not known", printable(text));
            let expected = listed(words.iter().map(|(word, _)| *word));
            self.notes.fault(self.wrong(key, what).expected(expected));
        }
        found
    }

    /// A table within it.
    pub(super) fn table(&self, key: &'static str) -> Fields<'a> {
        Fields::at(self.path(key), self.get(key), self.notes)
    }

    /// A table as it stands.
    pub(super) fn object(&self, key: &'static str) -> Option<&'a Map<String, Value>> {
        let value = self.get(key)?;
        if !value.is_object() {
            self.refuse(key, value, "a table");
        }
        value.as_object()
    }

    /// The keys and values of a table whose keys are the user's own.
    pub(super) fn each(&self, key: &'static str) -> Vec<(&'a str, Fields<'a>)> {
        let path = self.path(key);
        let below = |(name, value): (&'a String, &'a Value)| {
            let path = path.iter().cloned().chain([name.clone()]).collect();
            (name.as_str(), Fields::at(path, Some(value), self.notes))
        };
        self.object(key).into_iter().flatten().map(below).collect()
    }

    /// The elements of a list.
    pub(super) fn list(&self, key: &'static str) -> &'a [Value] {
        match self.get(key) {
            None => &[],
            Some(Value::Array(all)) => all,
            Some(other) => {
                self.refuse(key, other, "a list");
                &[]
            }
        }
    }

    /// The elements of a list, each a table.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Fields<'a>> {
        let path = self.path(key);
        let element = |(number, value): (usize, &'a Value)| {
            let path = path.iter().cloned().chain([number.to_string()]).collect();
            Fields::at(path, Some(value), self.notes)
        };
        self.list(key).iter().enumerate().map(element).collect()
    }

    /// Knows of keys that have no effect here and need no word about them.
    pub(super) fn passes_over(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }
}

impl Drop for Fields<'_> {
    /// Notes the keys that nobody asked for.
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        let keys = self.table.into_iter().flatten().map(|(key, _)| key);
        for key in keys.filter(|key| !asked.contains(&key.as_str())) {
            self.notes.unknown.borrow_mut().push(self.path(key).join("."));
        }
    }
}

/// A value as errors show it.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("`{}`", printable(text)),
        other => format!("`{other}`"),
    }
}

/// `a`, `b` or `c`, each in backquotes.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
