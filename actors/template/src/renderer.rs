//! A rendering from its settings to its outputs, and the clean-up at the end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::balance::Delimiters;
use crate::beside::PASSING;
use crate::engine;
use crate::fault::Fault;
use crate::identity::id;
use crate::listing::{self, Unreadable, kind};
use crate::memory::Published;
use crate::owner::Owner;
use crate::plan::{self, Action, Nameless, Planned};
use crate::publish::{Exchange, Failed, Ready};
use crate::values::value;

/// How many files a warning names.
const NAMED: usize = 8;

/// What the config says about templates, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The template or the folder of templates; absolute.
    pub source: PathBuf,
    /// The folder that is written to; absolute.
    pub output: PathBuf,
    /// How the names of templates end.
    pub suffix: String,
    /// What begins an action.
    pub left: String,
    /// What ends an action.
    pub right: String,
    /// The folder of what exists while the wrapper runs; absolute.
    pub run_path: PathBuf,
    /// The folders that are made below it.
    pub subfolders: Vec<String>,
    /// Whether `run_path` is removed at the end.
    pub delete_run_path: bool,
    /// Whether what was written is removed at the end.
    pub delete_output: bool,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A folder below the run path cannot be made.
    #[error("run_path: `{}` cannot be made: {error}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The source is not there, or is nothing that can be rendered.
    #[error("template.conf_template_path: `{}` {why}", .path.display())]
    Source {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The folder for the outputs is not there.
    #[error("template.conf_output_path: `{}` {why}", .path.display())]
    Output {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A template is wrong.
    #[error("{}:{fault}", .path.display())]
    Template {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        fault: Fault,
    },
    /// An output cannot be written.
    #[error("`{}` cannot be written: {error}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Renders as often as it is asked to, and remembers what it made.
#[derive(Debug)]
pub struct Renderer {
    settings: Settings,
    /// What templates see, but for the time of the latest rendering.
    values: Map<String, Json>,
    /// Who reads the outputs, if that is another than the wrapper.
    owner: Option<Owner>,
    published: Published,
    /// The latest rendering, as long as it is open whether it is taken.
    open: Option<Exchange>,
}

impl Renderer {
    /// A renderer that has rendered nothing yet; `values` is what templates see, `owner` who reads
    /// the outputs if that is another than the wrapper.
    pub fn new(settings: Settings, values: Map<String, Json>, owner: Option<Owner>) -> Self {
        Self { settings, values, owner, published: Published::default(), open: None }
    }

    /// What templates see from the next rendering on.
    pub fn see(&mut self, values: Map<String, Json>) {
        self.values = values;
    }

    /// Makes the run path and the folders in it, and learns what a wrapper left there that was
    /// killed. The folders that are made are the reader's to write to, but for those that lead to
    /// the outputs.
    pub fn make_folders(&mut self) -> Result<(), RenderError> {
        let Settings { run_path, output, .. } = &self.settings;
        let below = self.settings.subfolders.iter().map(|name| {
            // A name with a slash in front is meant to be below the run path as well.
            run_path.join(name.trim_start_matches('/'))
        });
        for path in [run_path.clone()].into_iter().chain(below) {
            let is_new = !path.is_dir();
            let made = fs::create_dir_all(&path).and_then(|()| match self.owner {
                Some(_) if !is_new || path == *run_path => Ok(()),
                Some(owner) if output.starts_with(&path) => owner.share_folder(&path),
                Some(owner) => owner.give_folder(&path),
                None => Ok(()),
            });
            made.map_err(|error| RenderError::Folder { path, error })?;
        }
        if self.owner.is_some_and(|owner| !owner.passes(run_path)) {
            let run_path = run_path.display();
            tracing::warn!(target: "template", "run_path: the main process's user cannot enter `{run_path}`");
        }
        self.published = Published::read(&self.record());
        Ok(())
    }

    /// Renders all templates and puts the outputs in place; an error has changed nothing. What was
    /// there before can be restored until [`Renderer::settle`]. Takes as long as it takes: nothing
    /// for an actor's thread.
    pub fn render(&mut self, last_reload_time: &str) -> Result<(), RenderError> {
        self.settle(true);
        let ready = self.ready(last_reload_time)?;
        let failed = |Failed { path, error }| RenderError::Write { path, error };
        let open = Exchange::begin(ready, &self.published, self.owner).map_err(failed)?;
        self.tell_of(open.originals());
        self.remember(&open.either(&self.published));
        self.open = Some(open);
        Ok(())
    }

    /// Lets the latest outputs stay and removes older ones that have no source any more, or restores
    /// what was before.
    pub fn settle(&mut self, taken: bool) {
        match self.open.take() {
            Some(exchange) if taken => exchange.keep(&mut self.published),
            Some(exchange) => exchange.take_back(),
            None => return,
        }
        self.remember(&self.published);
    }

    /// Where it is written down which outputs are the wrapper's own.
    fn record(&self) -> PathBuf {
        self.settings.run_path.join(format!("{PASSING}outputs"))
    }

    fn remember(&self, published: &Published) {
        let record = self.record();
        if let Err(error) = published.write(&record) {
            tracing::warn!(target: "template", "`{}` cannot be written: {error}", record.display());
        }
    }

    /// One line for all, however many they are.
    fn tell_of(&self, originals: &BTreeMap<PathBuf, PathBuf>) {
        if originals.is_empty() {
            return;
        }
        let named = originals.keys().take(NAMED).map(|path| format!("`{}`", path.display()));
        let mut named = named.collect::<Vec<_>>().join(", ");
        if originals.len() > NAMED {
            named.push_str(&format!(" and {} more", originals.len() - NAMED));
        }
        let until = match self.settings.delete_output {
            true => ", and put back at the end",
            false => "",
        };
        tracing::warn!(
            target: "template",
            "replaced, though coproc did not write it: {named}; what was there is kept beside, as \
             `{PASSING}before-NAME`{until}"
        );
    }

    /// Removes at the end what is not to stay. The error is a sentence.
    pub fn clean_up(&mut self, working_directory: &Path) -> Result<(), String> {
        self.settle(true);
        let published = std::mem::take(&mut self.published);
        let Settings { delete_output, delete_run_path, run_path, source, .. } = &self.settings;
        if *delete_output {
            published.remove();
            self.remember(&self.published);
        }
        if !delete_run_path {
            return Ok(());
        }
        let stays = |why: &str| {
            Err(format!("delete_run_path_on_exit: `{}` stays: {why}", run_path.display()))
        };
        match fs::canonicalize(run_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return stays(&error.to_string()),
            Ok(real) => {
                // A slip in the config shall not cost what the wrapper did not make.
                for (path, what) in
                    [(working_directory, "the working directory"), (source, "the template")]
                {
                    if fs::canonicalize(path).is_ok_and(|path| path.starts_with(&real)) {
                        return stays(&format!("{what} is in it"));
                    }
                }
            }
        }
        fs::remove_dir_all(run_path).or_else(|error| stays(&error.to_string()))
    }

    /// All outputs in memory.
    fn ready(&self, last_reload_time: &str) -> Result<Vec<Ready>, RenderError> {
        let Settings { output, left, right, .. } = &self.settings;
        let plan = self.plan()?;
        let mut values = self.values.clone();
        values.insert("last_reload_time".to_owned(), last_reload_time.into());
        let values = value(&Json::Object(values));
        let mut ready = Vec::with_capacity(plan.len());
        for Planned { from, to, action } in plan {
            let to = output.join(to);
            if let Action::Folder(mode) = action {
                ready.push(Ready::Folder(to, mode));
                continue;
            }
            let path = self.source_of(&from);
            let unreadable = |error: io::Error| RenderError::Source {
                path: path.clone(),
                why: format!("cannot be read: {error}"),
            };
            match action {
                // The source is the output's own place, where templates and outputs share a folder.
                Action::Copy(_) if same(&path, &to) => {}
                Action::Copy(mode) => {
                    let content = fs::read(&path).map_err(unreadable)?;
                    ready.push(Ready::File { to, content, mode: Some(mode) });
                }
                _ => {
                    let bytes = fs::read(&path).map_err(unreadable)?;
                    let by = Delimiters { left, right };
                    let rendered = text(&bytes)
                        .and_then(|text| engine::render(text, by, &values))
                        .map_err(|fault| RenderError::Template { path, fault })?;
                    ready.push(Ready::File { to, content: rendered.into_bytes(), mode: None });
                }
            }
        }
        Ok(ready)
    }

    fn plan(&self) -> Result<Vec<Planned>, RenderError> {
        let Settings { source, output, suffix, run_path, .. } = &self.settings;
        let wrong = |path: &Path, why: String| RenderError::Source { path: path.to_owned(), why };
        let found = fs::metadata(source).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => wrong(source, "does not exist".to_owned()),
            _ => wrong(source, format!("cannot be read: {error}")),
        })?;
        let no_output = |why: String| RenderError::Output { path: output.clone(), why };
        match fs::metadata(output) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(no_output("is no folder".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(no_output("does not exist".to_owned()));
            }
            Err(error) => return Err(no_output(format!("cannot be used: {error}"))),
        }
        let mut warn = |warning: String| tracing::warn!(target: "template", "{warning}");
        let plan = if found.is_dir() {
            let ignored = [output, run_path].into_iter().filter_map(|path| fs::metadata(path).ok());
            let ignored = ignored.map(|metadata| id(&metadata)).collect::<Vec<_>>();
            let found = listing::list(source, &ignored, &mut warn).map_err(
                |Unreadable { path, error }| wrong(&path, format!("cannot be read: {error}")),
            )?;
            plan::folder(&found, suffix, &mut warn)
        } else if let Some(kind) = kind(&found) {
            return Err(wrong(source, format!("is {kind}, neither a file nor a folder")));
        } else {
            let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
            plan::single(source, mode, suffix)
        };
        plan.map_err(|Nameless(path)| {
            let why =
                format!("has no name but the suffix `{suffix}`, so its output would have none");
            wrong(&self.source_of(&path), why)
        })
    }

    fn source_of(&self, below: &Path) -> PathBuf {
        match below.as_os_str().is_empty() {
            true => self.settings.source.clone(),
            false => self.settings.source.join(below),
        }
    }
}

fn same(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => id(&a) == id(&b),
        _ => false,
    }
}

/// The engine takes nothing but UTF-8.
fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[begin..]).chars().count() + 1;
        Fault { line, column, what: "the template is not UTF-8".to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new(files: &[(&str, &str)]) -> Self {
            let bench = Self { folder: tempfile::tempdir().unwrap() };
            fs::create_dir_all(bench.at("run/conf")).unwrap();
            fs::create_dir_all(bench.at("in")).unwrap();
            for (name, content) in files {
                fs::write(bench.at(name), content).unwrap();
            }
            bench
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.at(name)).ok()
        }

        fn renderer(&self, source: &str, output: &str) -> Renderer {
            let settings = Settings {
                source: self.at(source),
                output: self.at(output),
                suffix: ".tmpl".into(),
                left: "[[".into(),
                right: "]]".into(),
                run_path: self.at("run"),
                subfolders: vec!["conf".into(), "a/b".into(), "/c".into()],
                delete_run_path: false,
                delete_output: true,
            };
            let values = serde_json::json!({ "x": "X" });
            Renderer::new(settings, values.as_object().unwrap().clone(), None)
        }
    }

    #[test]
    fn w42_a_failure_leaves_everything_as_it_was() {
        let bench = Bench::new(&[("in/a.tmpl", "[[.x]]"), ("in/b.tmpl", "[[.last_reload_time]]")]);
        let mut renderer = bench.renderer("in", "run/conf");
        renderer.render("one").unwrap();
        fs::write(bench.at("in/a.tmpl"), "new").unwrap();
        fs::write(bench.at("in/b.tmpl"), "x\n[[.x.y]]").unwrap();
        let error = renderer.render("two").unwrap_err().to_string();
        let place = format!("{}:2:3: ", bench.at("in/b.tmpl").display());
        assert!(error.starts_with(&place), "{error}");
        assert_eq!(
            (bench.read("run/conf/a"), bench.read("run/conf/b")),
            (Some("X".into()), Some("one".into()))
        );
        fs::write(bench.at("in/b.tmpl"), "b").unwrap();
        renderer.render("two").unwrap();
        assert_eq!(bench.read("run/conf/a").as_deref(), Some("new"));
        renderer.settle(false);
        assert_eq!(bench.read("run/conf/a").as_deref(), Some("X"));
        renderer.settle(false);
        renderer.clean_up(Path::new("/")).unwrap();
        assert_eq!(fs::read_dir(bench.at("run/conf")).unwrap().count(), 0);
    }

    #[test]
    fn templates_and_outputs_may_share_a_folder() {
        let bench = Bench::new(&[("in/nginx.conf.tmpl", "[[.x]]"), ("in/mime.types", "m")]);
        let mut renderer = bench.renderer("in", "in");
        for _ in 0..2 {
            renderer.render("").unwrap();
            assert_eq!(bench.read("in/nginx.conf").as_deref(), Some("X"));
        }
        fs::rename(bench.at("in/nginx.conf.tmpl"), bench.at("in/other.tmpl")).unwrap();
        renderer.render("").unwrap();
        renderer.settle(true);
        assert_eq!((bench.read("in/nginx.conf"), bench.read("in/other")), (None, Some("X".into())));
        renderer.clean_up(Path::new("/")).unwrap();
        assert_eq!((bench.read("in/other"), bench.read("in/mime.types")), (None, Some("m".into())));
    }

    #[test]
    fn w89_folders_below_the_run_path() {
        let bench = Bench::new(&[]);
        let mut renderer = bench.renderer("in", "run/conf");
        renderer.make_folders().unwrap();
        assert!(bench.at("run/a/b").is_dir() && bench.at("run/c").is_dir());
    }

    #[test]
    fn the_run_path_is_removed_unless_something_precious_is_in_it() {
        let bench = Bench::new(&[("run/x.tmpl", "x")]);
        let mut renderer = bench.renderer("run/x.tmpl", "run/conf");
        renderer.settings.delete_run_path = true;
        let why = renderer.clean_up(Path::new("/")).unwrap_err();
        assert!(why.contains("the template is in it"), "{why}");
        renderer.settings.source = bench.at("in");
        let why = renderer.clean_up(&bench.at("run/conf")).unwrap_err();
        assert!(why.contains("the working directory is in it"), "{why}");
        renderer.clean_up(&bench.at("in")).unwrap();
        assert!(!bench.at("run").exists());
        renderer.clean_up(&bench.at("in")).unwrap();
    }

    #[test]
    fn a_template_that_is_not_utf_8() {
        assert_eq!(text(b"a\nb \xff").unwrap_err().to_string(), "2:3: the template is not UTF-8");
    }
}
