//! Definitions of APIs: the classic JSON, one file for each, or the same keys in TOML.
//!
//! A definition that is wrong is left out with a problem for everything that is wrong with it; the others
//! are loaded all the same.

mod api;
mod auth;
mod fields;
mod hooks;
mod place;
mod unguarded;
mod versions;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::api::Api;
use crate::bundle::{Bundled, Names};

pub use self::api::handlers;
pub use self::fields::Fault;
use self::fields::Notes;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What definitions are held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether what Tyk lets through with a warning is refused.
    pub strict: bool,
    /// Whether hooks run at all.
    pub hooks: bool,
    /// The drivers that there are.
    pub drivers: Vec<&'static str>,
    /// Whether nothing is served: then a driver that this program lacks is an error in any case.
    pub checking: bool,
}

/// What came of definitions.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The APIs, in the order of their files.
    pub apis: Vec<Arc<Api>>,
    /// Those whose hooks are in bundles.
    pub bundled: Vec<Bundled>,
    /// What keeps a definition from being loaded.
    pub problems: Vec<Problem>,
    /// What is odd, and does not.
    pub warnings: Vec<Problem>,
}

/// What is wrong with a definition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// Line and column, from 1; `None` for the file as a whole.
    pub place: Option<(usize, usize)>,
    /// The key with dots between its parts; empty for the whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        match &self.expected {
            Some(expected) => write!(f, ", expected {expected}"),
            None => Ok(()),
        }
    }
}

/// What one definition comes to.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The API; `None` if it is switched off or something is wrong.
    pub api: Option<Arc<Api>>,
    /// The bundles that it has hooks in: without them it is not to be served.
    pub bundle: Option<Names>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What is odd.
    pub warnings: Vec<Fault>,
    /// Keys that mean nothing here.
    pub unknown: Vec<String>,
}

/// Reads one definition. Pure.
pub fn read(definition: &Value, rules: &Rules) -> Reading {
    reading(definition, rules, false)
}

/// Reads one whose bundles are there, with `hooks` of theirs in place of its own. Pure.
pub fn read_opened(definition: &Value, hooks: Value, rules: &Rules) -> Reading {
    let mut definition = definition.clone();
    definition["custom_middleware"] = hooks;
    reading(&definition, rules, true)
}

fn reading(definition: &Value, rules: &Rules, opened: bool) -> Reading {
    let notes = Notes::new(rules.strict);
    let read = api::read(definition, rules, &notes, opened);
    let (faults, warnings, unknown) = notes.into_parts();
    let (api, bundle) = read.filter(|_| faults.is_empty()).unzip();
    Reading { api: api.map(Arc::new), bundle: bundle.flatten(), faults, warnings, unknown }
}

impl Reading {
    /// The API as one that waits for its bundles, if it has any; then there is no other any more.
    pub fn take_bundled(
        &mut self,
        definition: Value,
        file: (String, Option<(usize, usize)>),
        at: usize,
    ) -> Option<Bundled> {
        let names = self.bundle.take()?;
        let text = definition[hooks::BUNDLE].as_str().unwrap_or_default().to_owned();
        self.api.take().map(|api| Bundled { api, names, text, definition, file, at })
    }
}

/// APIs and those whose bundles are there by now, in the order of their definitions.
pub fn in_order(apis: &[Arc<Api>], mut bundled: Vec<(usize, Arc<Api>)>) -> Vec<Arc<Api>> {
    let mut all: Vec<_> =
        apis.iter().cloned().enumerate().map(|(at, api)| ((at, 1), api)).collect();
    all.extend(bundled.drain(..).map(|(at, api)| ((at, 0), api)));
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, api)| api).collect()
}

/// Reads the files `*.json` of a folder in the order of their names. Ids and paths of `before` are taken.
///
/// Definitions of another format (`*-oas.json`), which Tyk keeps beside the classic ones, are passed over.
pub fn load(folder: &Path, rules: &Rules, before: &[Arc<Api>]) -> Loaded {
    let mut loaded = Loaded::default();
    let whole = |what: String| Problem {
        file: folder.display().to_string(),
        place: None,
        key: String::new(),
        what,
        expected: Some("a folder of definitions".to_owned()),
    };
    let mut names = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => names.push(entry.file_name()),
                    Err(error) => loaded.problems.push(whole(format!("cannot be read: {error}"))),
                }
            }
        }
        Err(error) => loaded.problems.push(whole(format!("cannot be read: {error}"))),
    }
    names.sort();
    let mut taken = Taken::default();
    for api in before {
        taken.take(api, "the config");
    }
    for name in names {
        let shown = name.to_string_lossy().into_owned();
        if !shown.ends_with(".json") || shown.starts_with('.') || shown.ends_with("-oas.json") {
            continue;
        }
        one_file(&folder.join(&name), &shown, rules, &mut taken, &mut loaded);
    }
    loaded
}

fn one_file(path: &Path, name: &str, rules: &Rules, taken: &mut Taken, loaded: &mut Loaded) {
    let problem = |place, what: String| Problem {
        file: name.to_owned(),
        place,
        key: String::new(),
        what,
        expected: None,
    };
    let text = match read_file(path) {
        Ok(text) => text,
        Err(what) => return loaded.problems.push(problem(None, what)),
    };
    let definition: Value = match serde_json::from_str(&text) {
        Ok(definition) => definition,
        Err(error) => {
            let place = (error.line(), error.column().max(1));
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            return loaded.problems.push(problem(Some(place), format!("is no JSON: {what}")));
        }
    };
    let mut read = read(&definition, rules);
    for key in &read.unknown {
        tracing::debug!(target: "gateway", "{name}: `{key}` is not known and has no effect");
    }
    taken.judge(&mut read, name, rules.strict);
    let placed = |fault: &Fault| Problem {
        file: name.to_owned(),
        place: Some(place::of(&text, &fault.path)),
        key: fault.key(),
        what: fault.what.clone(),
        expected: fault.expected.clone(),
    };
    loaded.warnings.extend(read.warnings.iter().map(placed));
    loaded.problems.extend(read.faults.iter().map(placed));
    if !read.faults.is_empty() {
        return;
    }
    let place = place::of(&text, &[hooks::BUNDLE.to_owned()]);
    let bundled = read.take_bundled(definition, (name.to_owned(), Some(place)), loaded.apis.len());
    loaded.bundled.extend(bundled);
    loaded.apis.extend(read.api);
}

fn read_file(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("is larger than {MAX_FILE} bytes"));
    }
    String::from_utf8(text)
        .map_err(|error| format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}

/// Ids and paths that are taken, and by whom.
#[derive(Debug, Default)]
pub struct Taken {
    ids: BTreeMap<String, String>,
    paths: BTreeMap<String, String>,
}

impl Taken {
    /// What of an API is taken already; if nothing is, it takes its own from then on. `name` is what the
    /// definition is called.
    pub fn judge(&mut self, reading: &mut Reading, name: &str, strict: bool) {
        let Some(api) = &reading.api else { return };
        if let Some(other) = self.ids.get(&api.id) {
            let what = format!("`{}` is the id of the API in {other} already", api.id);
            reading.faults.push(Fault::new(["api_id"], what).expected("an id of its own"));
        }
        if let Some(other) = self.paths.get(&api.listen_path) {
            let path = &api.listen_path;
            let what = format!("`{path}` is the path of the API in {other} already");
            let fault = |what| Fault::new(["proxy", "listen_path"], what);
            // As Tyk does, which the routes know how to do.
            match strict {
                true => reading.faults.push(fault(what).expected("a path of its own")),
                false => {
                    let what = format!("{what}: this one is served at `{path}-{}`", api.id);
                    reading.warnings.push(fault(what));
                }
            }
        }
        if reading.faults.is_empty() {
            let api = api.clone();
            self.take(&api, name);
        }
    }

    /// Takes what an API has that was judged before.
    fn take(&mut self, api: &Api, name: &str) {
        self.ids.insert(api.id.clone(), name.to_owned());
        self.paths.entry(api.listen_path.clone()).or_insert_with(|| name.to_owned());
    }
}

#[cfg(test)]
mod tests;
