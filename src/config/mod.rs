//! The config: its sources, their precedence, and what they resolve to.

mod after;
mod computed;
mod core;
mod debug;
mod defaults;
mod env;
mod exec;
mod facts;
mod file;
mod flags;
mod host_id;
mod json;
mod kinds;
mod near;
mod origin;
mod plugins;
mod python;
mod report;
mod resolve;
mod schema;
mod secrets;
mod stack;
mod template;
mod toml;
mod tree;
mod values;
mod yaml;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coproc_control::table::ControlConfig;
use coproc_coordinator::config::Coordinator;
use coproc_coprocess::config::Coprocess;
use coproc_core::output::Rules;
use coproc_core::scope::Scope;
use coproc_exec::config::ExecSocket;
use coproc_gateway::config::Config as Gateway;
use coproc_main::config::Main;
use coproc_template::Settings;
use serde_json::{Map, Value};

use crate::log::LogConfig;

pub use self::core::{RootTable, is_top_level};
pub use self::debug::{Format, debug, origin_of};
pub use self::env::CONFIG_VARIABLE;
pub use self::facts::{Facts, FactsError};
pub use self::file::{DEFAULT_FILES, order_of_coprocesses, top_level_values};
pub(crate) use self::near::nearest;
pub use self::origin::{Origin, Place, Source};
pub use self::report::{ConfigErrors, Problem};
pub use self::schema::schema;
pub use self::secrets::secret;

use self::report::Weight;
use self::stack::Stack;

/// The variable that sets `main.exec`.
const MAIN_VARIABLE: &str = "COPROC_MAIN__EXEC";

/// Where the config comes from. Nothing else is looked at: neither the environment nor the current
/// directory of the process.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The files of `-c`, later ones win.
    pub files: Vec<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The texts of `--set`.
    pub set: Vec<String>,
    /// The main program and its arguments, after `--`.
    pub main: Vec<String>,
    /// The folder in which relative paths begin.
    pub folder: PathBuf,
    /// Whether there may be no default file: then it is as an empty one.
    pub file_optional: bool,
    /// Whether no file is read at all, whatever there is.
    pub no_files: bool,
}

/// What makes a config that of one table alone. Without the split the pid is the serving process's, and
/// what a program leaves running outlives the server, both as with the programs that are stood in for.
const ALONE: [&str; 5] = [
    "main.kind=none",
    "control.socket=none",
    "subreaper=false",
    "log.destination=STDERR",
    "stray_timeout=0",
];

impl Sources {
    /// The sources of a wrapper that is there for one table and nothing else: `set`, and variables of
    /// that table and of the log. Those of a wrapper around it are not for it.
    pub fn alone(table: &str, mut set: Vec<String>) -> Self {
        set.extend(ALONE.map(str::to_owned));
        let meant = [format!("COPROC_{}__", table.to_uppercase()), "COPROC_LOG__".to_owned()];
        let stays = |key: &OsStr| {
            let begins = |prefix: &str| key.as_bytes().starts_with(prefix.as_bytes());
            meant.iter().any(|prefix| begins(prefix)) || !(begins("COPROC_") || begins("NW_"))
        };
        Self {
            environment: std::env::vars_os().filter(|(key, _)| stays(key)).collect(),
            set,
            folder: std::env::current_dir().unwrap_or_default(),
            no_files: true,
            ..Self::default()
        }
    }

    /// The value of a variable that is set, is text and is not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(key, _)| key == name)?;
        value.to_str().filter(|value| !value.is_empty())
    }

    /// Whether there has to be a file: not where the command line or a variable names the main
    /// program.
    pub fn needs_file(&self) -> bool {
        let names = |set: &String| set.trim_start().to_lowercase().starts_with("main.exec=");
        !self.file_optional
            && self.main.is_empty()
            && !self.set.iter().any(names)
            && self.variable(MAIN_VARIABLE).is_none()
    }

    /// The environment as far as it is text.
    fn variables(&self) -> Vec<(String, String)> {
        let text = |(key, value): &(OsString, OsString)| {
            Some((key.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        self.environment.iter().filter_map(text).collect()
    }

    /// The variables of coproc that are not text.
    fn not_text(&self) -> impl Iterator<Item = &str> {
        self.environment.iter().filter_map(|(key, value)| {
            let key = key.to_str().filter(|key| key.starts_with(env::PREFIX))?;
            value.to_str().is_none().then_some(key)
        })
    }
}

/// The whole config, checked and with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main process.
    pub main: Main,
    /// The coprocesses in the order of the files.
    pub coprocesses: Vec<Coprocess>,
    /// The exec sockets.
    pub exec_sockets: Vec<ExecSocket>,
    /// The coordinator; its folder is not yet interpolated.
    pub coordinator: Option<Coordinator>,
    /// The gateway; its paths are not yet interpolated.
    pub gateway: Option<Gateway>,
    /// The log.
    pub log: LogConfig,
    /// The control socket.
    pub control: ControlConfig,
    /// The folder of what exists while the wrapper runs; absolute.
    pub run_path: PathBuf,
    /// The folder of nginx's configuration; absolute.
    pub conf_path: PathBuf,
    /// The templates, if `[template]` is in force.
    pub template: Option<Settings>,
    /// What templates see; empty before [`Loaded::with_facts`].
    pub template_values: Map<String, Value>,
    /// How long all may take to stop.
    pub shutdown_timeout: Duration,
    /// Whether what leaves its process group is found and ended as well.
    pub subreaper: bool,
    /// How long what left its process group has between TERM and KILL at the end.
    pub stray_timeout: Duration,
    /// What `${name}` stands for; empty before [`Loaded::with_facts`].
    pub scope: Arc<Scope>,
    /// What was found out about the machine; guesses before [`Loaded::with_facts`].
    pub facts: Facts,
    /// What is odd and no error, in whole sentences.
    pub warnings: Vec<String>,
}

impl Config {
    /// How lines are treated, by the names that they are logged under; those that are treated as any
    /// are left out.
    pub fn log_rules(&self) -> Vec<(Arc<str>, Rules)> {
        let main = (Arc::from(self.main.kind.logger()), &self.main.log);
        let coprocesses = self.coprocesses.iter().flat_map(|one| {
            let stop = Arc::from(format!("stop-{}", one.name));
            [(one.name.shared(), &one.log), (stop, &one.log)]
        });
        let all = std::iter::once(main).chain(coprocesses);
        all.filter(|(_, rules)| !rules.is_plain()).map(|(name, one)| (name, one.clone())).collect()
    }
}

/// A config that was read and checked, with the memory of who said what.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// All that can be known without looking at the machine.
    pub config: Config,
    stack: Stack,
    root: RootTable,
    sources: Sources,
    /// The keys of the coprocesses in the order of the files.
    keys: Vec<String>,
    /// Keys of the top level that coproc does not know.
    unknown_top: Vec<String>,
    /// Keys within coproc's own tables that it does not know.
    unknown: Vec<Vec<String>>,
    /// Whether `[template]` is in force.
    template: bool,
}

impl Config {
    /// The coordinator with the names in its folder replaced, and that folder absolute: where the
    /// wrapper was started, there relative paths begin.
    pub fn placed_coordinator(&self) -> Option<Coordinator> {
        let mut coordinator = self.coordinator.clone()?;
        let folder = self.scope.interpolate(&coordinator.socket_dir.to_string_lossy());
        coordinator.socket_dir = std::path::absolute(&folder).unwrap_or(folder.into());
        Some(coordinator)
    }
}

impl Config {
    /// The gateway with the names in its paths replaced, and those absolute: where the wrapper was
    /// started, there relative paths begin.
    pub fn placed_gateway(&self) -> Option<Gateway> {
        let folder = std::env::current_dir().unwrap_or_default();
        let gateway = self.gateway.clone()?;
        Some(gateway.placed(|text| self.scope.interpolate(text), &folder, &self.run_path))
    }
}

impl Loaded {
    /// The gateway as `check` looks at it; the error is a sentence. The machine is looked at only where
    /// its paths depend on that.
    pub fn gateway(&self) -> Result<Option<Gateway>, String> {
        let Some(gateway) = &self.config.gateway else { return Ok(None) };
        let depends = |path: &Option<PathBuf>| {
            path.as_ref().is_some_and(|path| path.to_string_lossy().contains("${"))
        };
        let paths = [&gateway.app_path, &gateway.policies, &gateway.template_path];
        if paths.into_iter().any(depends) {
            let config = self.with_facts(std::process::id()).map_err(|error| error.to_string())?;
            return Ok(config.placed_gateway());
        }
        Ok(self.config.placed_gateway())
    }

    /// The coordinator as a client looks for it; the error is a sentence. The machine is looked at
    /// only where its folder depends on that.
    pub fn coordinator(&self) -> Result<Option<Coordinator>, String> {
        let folder = self.config.coordinator.as_ref().map(|one| one.socket_dir.to_string_lossy());
        match folder {
            Some(folder) if folder.contains("${") => {
                let config = self.with_facts(std::process::id());
                config.map(|config| config.placed_coordinator()).map_err(|error| error.to_string())
            }
            _ => Ok(self.config.placed_coordinator()),
        }
    }

    /// Where it was read from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The keys of the top level that coproc does not know.
    pub fn unknown_top(&self) -> &[String] {
        &self.unknown_top
    }

    /// The dotted keys at `key` and below it that have another value in the other config; the same
    /// value in another type is none. What only one of both has at all is named by `key` alone.
    pub fn differing(&self, other: &Self, key: &str) -> Vec<String> {
        let [ours, theirs] = [self, other].map(|loaded| {
            let value = loaded.stack.merged().remove(key);
            let mut leaves = std::collections::BTreeMap::new();
            let json = value.and_then(|value| serde_json::to_value(value).ok());
            tree::flatten(key, json.as_ref(), &mut leaves);
            leaves
        });
        if ours.is_empty() != theirs.is_empty() {
            return vec![key.to_owned()];
        }
        let keys = ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>();
        keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).cloned().collect()
    }

    /// The table of all keys as they were read, before defaults that depend on others.
    pub fn table(&self) -> &RootTable {
        &self.root
    }
}

/// Reads and checks the config, with every problem at once. Looks at nothing but the config files:
/// no user, no program, no network card.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let (loaded, problems, warnings) = resolve::examine(sources);
    match loaded {
        Some(loaded) if problems.is_empty() => Ok(loaded),
        _ => Err(ConfigErrors::new(problems, warnings)),
    }
}

/// As [`load`], but keys that coproc does not know are let through, for `debug` to list.
pub fn load_leniently(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let (loaded, problems, warnings) = resolve::examine(sources);
    match loaded {
        Some(loaded) if problems.iter().all(|p| p.weight == Weight::Unknown) => Ok(loaded),
        _ => Err(ConfigErrors::new(problems, warnings)),
    }
}
