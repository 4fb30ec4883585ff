//! From the tables that were read to the config, table by table.

use std::borrow::Cow;
use std::path::{self, PathBuf};
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
use coproc_main::config::Kind;
use serde_json::Map;

use crate::config::core::RootTable;
use crate::config::report::Problem;
use crate::config::stack::Stack;
use crate::config::tree::Path;
use crate::config::{Config, Facts, Sources, exec, python, template};

/// The tables that were read, and what is wrong with them so far.
pub(super) struct Resolver<'a> {
    pub(super) sources: &'a Sources,
    pub(super) stack: &'a Stack,
    pub(super) root: &'a RootTable,
    pub(super) refused: &'a [Path],
    /// Whether `[template]` is in force.
    pub(super) template: bool,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl Resolver<'_> {
    /// The config; `None` where something is missing that nothing can stand for.
    pub(super) fn config(
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
    fn control(&mut self, run_path: &path::Path) -> Option<ControlConfig> {
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

    /// The table of a coprocess, if it could be read.
    pub(super) fn table(&self, key: &str) -> Option<&CoprocessTable> {
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
