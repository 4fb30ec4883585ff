//! From the merged sources to one checked config.

mod together;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use coproc_control::table::ControlConfig;
use coproc_coordinator::config::Coordinator;
use coproc_coprocess::config::Coprocess;
use coproc_coprocess::replicas::{self, Replicas};
use coproc_coprocess::table::CoprocessTable;
use coproc_core::duration::Span;
use coproc_core::event::Phase;
use coproc_core::refusal::Refusal;
use coproc_core::scope::Scope;
use coproc_exec::table::ExecSocketTable;
use coproc_gateway::config::Config as Gateway;
use coproc_gateway::driver::{COMPILED, Drivers};
use coproc_main::config::Kind;
use serde_json::Map;

use figment::value::{Dict, Value};

use super::core::{COMPUTED, RootTable, top_level_keys};
use super::env;

use super::near::nearest;
use super::origin::Origin;
use super::plugins::Enabled;
use super::python;
use super::report::{Problem, Weight};
use super::stack::Stack;
use super::tree::{Data, Layer, Path};
use super::{Config, Facts, Loaded, Sources, defaults, exec, file, flags, template};

/// Reads all sources, and says everything that is wrong with them. There is a config to show only
/// if nothing worse is wrong than keys that are not known.
pub(super) fn examine(sources: &Sources) -> (Option<Loaded>, Vec<Problem>, Vec<String>) {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let variables = sources.variables();
    problems.extend(
        sources
            .not_text()
            .map(|variable| Problem::wrong(variable, "its value is not text").expected("UTF-8")),
    );
    let unread_variables = problems.len();
    let mut layers = file::layers(sources, &mut problems);
    // Without one of its files the config would seem to lack what that file says.
    let unread = problems.len() > unread_variables;

    let own = top_level_keys();
    let mut top = own.clone();
    let mut keys = Vec::new();
    for layer in &layers {
        top.extend(layer.entries().iter().map(|entry| entry.key.clone()));
        append(&mut keys, coprocess_keys(layer));
    }
    let known = env::Known { top: &top, coprocesses: &keys };
    let above = [
        env::old(&variables, &known),
        env::new(&variables, &sources.folder, &known, &mut problems, &mut warnings),
        flags::layer(sources, &mut problems),
    ];
    if unread {
        return (None, problems, warnings);
    }
    let mut new = above.iter().flat_map(coprocess_keys).collect::<Vec<_>>();
    new.sort();
    append(&mut keys, new);
    layers.extend(above);

    let mut stack = Stack(layers);
    let enabled = Enabled::read(&stack);
    warnings.extend(enabled.warnings(&stack));
    let is_there = |path: &[&str]| {
        let path = path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        stack.node(&path).is_some()
    };
    let template =
        enabled.allows("template") && (enabled.names("template") || is_there(&["template"]));
    if !enabled.allows("coprocess") {
        keys.clear();
    }
    let exec_sockets = exec::paths(&stack.0);
    let defaults = defaults::layer(&keys, template, &exec_sockets, is_there, &variables);
    stack.0.insert(0, defaults);
    let mut merged = stack.merged();
    if !enabled.allows("coprocess") {
        merged.remove("coprocess");
    }
    if !enabled.allows("template") {
        merged.remove("template");
    }

    let mut unknown_top = Vec::new();
    for key in merged.keys() {
        if !own.contains(key) {
            unknown_top.push(key.clone());
            if let Some(near) = nearest(key, own.iter().map(String::as_str)) {
                warnings.push(format!(
                    "{key}: is a value for templates and no key of coproc, did you mean `{near}`?{}",
                    place(&stack, key)
                ));
            }
        }
    }
    for key in COMPUTED {
        if stack.said(&[key.to_owned()]).is_some() {
            warnings.push(format!(
                "{key}: is found out by coproc, the value that is set has no effect{}",
                place(&stack, key)
            ));
        }
    }

    lacking_drivers(&stack, &mut merged, &mut problems);
    let before = problems.len();
    let mut refused = Vec::new();
    // One by one, so that a problem of one coprocess does not have all others read again.
    let tables = take_coprocesses(&mut merged)
        .into_iter()
        .map(|(key, table)| {
            let at = ["coprocess".to_owned(), key.clone()];
            (key, stack.extract::<CoprocessTable>(&at, table, &mut problems, &mut refused))
        })
        .collect::<Vec<_>>();
    let exec_sockets = exec::take(&mut merged, &exec_sockets)
        .into_iter()
        .map(|(path, table)| {
            let table = stack.extract::<ExecSocketTable>(&path, table, &mut problems, &mut refused);
            (path, table)
        })
        .collect::<Vec<_>>();
    let mut root = stack.extract::<RootTable>(&[], merged, &mut problems, &mut refused);
    if let Some(coprocesses) = &mut root.coprocess {
        coprocesses.extend(tables);
    }
    let unknown = refused
        .iter()
        .zip(&problems[before..])
        .filter(|(_, problem)| problem.weight == Weight::Unknown)
        .map(|(path, _)| path.clone())
        .collect();

    let mut resolver = Resolver {
        sources,
        stack: &stack,
        root: &root,
        refused: &refused,
        template,
        problems,
        warnings,
    };
    let config = resolver.config(&keys, exec_sockets);
    let Resolver { mut problems, warnings, .. } = resolver;
    problems.sort_by_key(Problem::order);
    let loaded = config.map(|config| Loaded {
        config,
        stack,
        root,
        sources: sources.clone(),
        keys,
        unknown_top,
        unknown,
        template,
    });
    (loaded, problems, warnings)
}

/// Takes the tables of coprocesses out of the whole; what should be one and is not stays.
fn take_coprocesses(merged: &mut Dict) -> Vec<(String, Dict)> {
    let Some(Value::Dict(_, all)) = merged.get_mut("coprocess") else { return Vec::new() };
    let (tables, rest) = std::mem::take(all)
        .into_iter()
        .partition::<Dict, _>(|(_, value)| matches!(value, Value::Dict(..)));
    *all = rest;
    tables.into_iter().filter_map(|(key, value)| Some((key, value.into_dict()?))).collect()
}

/// Takes out of `[gateway]` what names a driver that this program lacks, and tells of it.
fn lacking_drivers(stack: &Stack, merged: &mut Dict, problems: &mut Vec<Problem>) {
    let Some(Value::Dict(_, gateway)) = merged.get_mut("gateway") else { return };
    for driver in Drivers::NAMES.into_iter().filter(|name| !COMPILED.contains(name)) {
        if gateway.remove(driver).is_some() {
            let path = ["gateway", driver].map(str::to_owned);
            let what = format!("this coproc is built without the driver `{driver}`");
            problems.push(stack.wrong(&path, what).expected("a coproc with that driver"));
        }
    }
}

/// Where a key is said, for the end of a warning.
fn place(stack: &Stack, key: &str) -> String {
    stack.said(&[key.to_owned()]).map(|node| format!(" ({})", node.origin)).unwrap_or_default()
}

fn coprocess_keys(layer: &Layer) -> Vec<String> {
    match layer.node(&["coprocess".to_owned()]).map(|node| &node.data) {
        Some(Data::Table(entries)) => entries.iter().map(|entry| entry.key.clone()).collect(),
        _ => Vec::new(),
    }
}

fn append(keys: &mut Vec<String>, more: Vec<String>) {
    for key in more {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}

struct Resolver<'a> {
    sources: &'a Sources,
    stack: &'a Stack,
    root: &'a RootTable,
    refused: &'a [Path],
    /// Whether `[template]` is in force.
    template: bool,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Resolver<'_> {
    fn config(
        &mut self,
        keys: &[String],
        exec_sockets: Vec<(Path, ExecSocketTable)>,
    ) -> Option<Config> {
        let root = self.root;
        let seconds =
            |value: Option<Span>, default| value.unwrap_or(Span::from_secs(default)).get();
        let run_path = self.run_path();
        let conf_path = self.path(root.conf_path.as_deref(), || run_path.join("conf"));
        let nginx = root.nginx_binary.as_deref().filter(|b| !b.is_empty()).unwrap_or("nginx");
        let template = self.template.then(|| {
            let folder = &self.sources.folder;
            template::settings(root.template.as_ref(), folder, &run_path, &conf_path)
        });
        // Where the configuration is rendered to, there nginx finds it.
        let conf = template.as_ref().map_or(&conf_path, |settings| &settings.output);
        let arguments = [
            "-p".to_owned(),
            run_path.display().to_string(),
            "-c".to_owned(),
            conf.join("nginx.conf").display().to_string(),
        ];
        let main = root.main.clone().unwrap_or_default().resolve(
            nginx,
            arguments,
            &self.refused(&["main".to_owned()]),
        );
        let main = self.took(&["main".to_owned()], main);
        if self.template {
            self.problems.extend(template::empty(self.stack));
        }
        self.check_watch(main.as_ref(), template.as_ref());
        let log = root.log.clone().unwrap_or_default().resolve(&self.misdirected());
        let log = self.took(&["log".to_owned()], log);
        let mut coprocesses = keys.iter().map(|key| self.coprocess(key)).collect::<Vec<_>>();
        self.follow(keys, &mut coprocesses);
        let exec_paths = exec_sockets.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        let exec_sockets = exec_sockets
            .into_iter()
            .map(|(path, table)| {
                let refused = self.refused(&path);
                let resolved = table.resolve(exec::name(&path), &refused);
                self.took(&path, resolved)
            })
            .collect::<Vec<_>>();
        self.check_sockets(&exec_paths, &exec_sockets);
        let coordinator = self.coordinator();
        let gateway = self.gateway();
        let control = self.control(&run_path);
        if let Some(control) = &control {
            self.check_listens(control, gateway.as_ref().and_then(Option::as_ref));
        }
        self.check_names(keys);
        self.check_tasks(keys);
        self.check_events(keys);
        self.check_plugin(keys);
        let (log, log_warnings) = log?;
        self.warnings.extend(log_warnings);
        let facts = Facts::unknown(nginx, root);
        let coprocesses = coprocesses.into_iter().collect::<Option<Vec<_>>>()?;
        let mut coprocesses = self.replicated(&coprocesses);
        let gateway = gateway?;
        let main = main?;
        if main.kind == Kind::None {
            // Nothing else than the wrapper's own start could begin a schedule.
            let unasked = |one: &&mut Coprocess| one.schedule.as_ref().is_some_and(|s| !s.at_once);
            coprocesses.iter_mut().filter(unasked).for_each(|one| {
                one.exec_event = Phase::PreStart.into();
            });
        }
        if let Some(gateway) = &gateway {
            coprocesses.extend(python::workers(gateway, &self.sources.folder, &run_path));
            self.check_workers(&coprocesses);
        }
        let mut config = Config {
            main,
            coprocesses,
            exec_sockets: exec_sockets.into_iter().collect::<Option<_>>()?,
            coordinator: coordinator?,
            gateway,
            log,
            control: control?,
            run_path,
            conf_path,
            template,
            template_values: Map::new(),
            shutdown_timeout: seconds(root.shutdown_timeout, 30),
            subreaper: root.subreaper.is_none_or(|flag| flag.0),
            stray_timeout: seconds(root.stray_timeout, 1),
            scope: Arc::new(Scope::default()),
            facts,
            warnings: self.warnings.clone(),
        };
        config.warnings.extend(crate::budget::odd(&config));
        Some(config)
    }

    /// `RUN_PATH`, by default in the folder of temporary files.
    fn run_path(&self) -> PathBuf {
        self.path(self.root.run_path.as_deref(), || {
            let folder = self.sources.variable("TMPDIR").unwrap_or("/tmp");
            PathBuf::from(folder).join("nginx-wrapper")
        })
    }

    /// The absolute form of a path; blank is unset.
    fn path(&self, set: Option<&str>, default: impl FnOnce() -> PathBuf) -> PathBuf {
        let path = set.filter(|p| !p.is_empty()).map_or_else(default, PathBuf::from);
        self.sources.folder.join(path)
    }

    /// The control socket; `None` where its table is wrong.
    fn control(&mut self, run_path: &std::path::Path) -> Option<ControlConfig> {
        let table = self.root.control.clone().unwrap_or_default();
        self.took(&["control".to_owned()], table.resolve(&self.sources.folder, run_path))
    }

    /// The coordinator, if there is one; `None` where its table is wrong.
    fn coordinator(&mut self) -> Option<Option<Coordinator>> {
        let path = ["coordinator".to_owned()];
        let Some(table) = self.root.coordinator.clone() else { return Some(None) };
        let refused = self.refused(&path);
        self.took(&path, table.resolve(&refused)).map(Some)
    }

    /// The gateway, if there is one; `None` where its table is wrong.
    fn gateway(&mut self) -> Option<Option<Gateway>> {
        let path = ["gateway".to_owned()];
        let Some(table) = self.root.gateway.clone() else { return Some(None) };
        let (gateway, warnings) = self.took(&path, table.resolve())?;
        self.warnings.extend(warnings);
        Some(Some(gateway))
    }

    /// Turns what a table found wrong with itself into problems with their places.
    fn took<T>(&mut self, table: &[String], result: Result<T, Vec<Refusal>>) -> Option<T> {
        let refusals = match result {
            Ok(value) => return Some(value),
            Err(refusals) => refusals,
        };
        for Refusal { key, what, expected, hint } in refusals {
            let whole = key.is_empty();
            let path = table.iter().cloned().chain(key.into_iter().map(Cow::into_owned));
            let path = path.collect::<Vec<_>>();
            let mut problem = match whole {
                false => self.stack.wrong(&path, what),
                true => self.stack.lacking(table, what),
            };
            if let Some(expected) = expected {
                problem = problem.expected(expected);
            }
            if let Some(hint) = hint {
                problem = problem.hint(hint);
            }
            self.problems.push(problem);
        }
        None
    }

    /// The places that lines are forwarded to whose `to` is known to be wrong.
    fn misdirected(&self) -> Vec<&str> {
        let refused = self.refused.iter().map(Vec::as_slice);
        let misdirected = refused.filter_map(|path| match path {
            [log, forward, name, to] if [log, forward, to] == ["log", "forward", "to"] => {
                Some(name.as_str())
            }
            _ => None,
        });
        misdirected.collect()
    }

    /// The keys of a table whose values are known to be wrong.
    fn refused(&self, table: &[String]) -> Vec<String> {
        self.refused
            .iter()
            .filter(|refused| refused.len() > table.len() && refused.starts_with(table))
            .map(|refused| refused[table.len()].clone())
            .collect()
    }

    fn table(&self, key: &str) -> Option<&CoprocessTable> {
        self.root.coprocess.as_ref()?.get(key)
    }

    fn coprocess(&mut self, key: &str) -> Option<Coprocess> {
        let path = ["coprocess".to_owned(), key.to_owned()];
        let refused = self.refused(&path);
        let table = self.table(key)?.clone();
        self.took(&path, table.resolve(key, &refused))
    }

    /// Each as often as it is to be there.
    fn replicated(&self, coprocesses: &[Coprocess]) -> Vec<Coprocess> {
        let each = |one: &Coprocess| match self.table(&one.key).and_then(|table| table.replicas) {
            Some(Replicas(count)) => replicas::expand(one, count).collect(),
            None => vec![one.clone()],
        };
        coprocesses.iter().flat_map(each).collect()
    }
}

impl Problem {
    /// Problems are told by their place in the files, then by variable, then by flag.
    fn order(&self) -> (u8, String, usize, usize) {
        match self.origin() {
            None | Some(Origin::Default) => (0, String::new(), 0, 0),
            Some(Origin::File(place)) => (1, place.path().to_owned(), place.line(), place.column()),
            Some(Origin::Env { variable }) => (2, variable.clone(), 0, 0),
            Some(Origin::Flag { flag }) => (3, flag.clone(), 0, 0),
        }
    }
}
