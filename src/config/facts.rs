//! What a config needs to know of the machine: its id, its processors and its nginx.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use coproc_core::exit;
use coproc_core::process::find_program;
use coproc_core::scope::Scope;
use coproc_main::config::Kind;
use coproc_main::version::Version;

use super::core::{MODULES_PATH, RootTable};
use super::host_id::host_id;
use super::report::Problem;
use super::{Config, Loaded};

/// What was found out, and what the config says in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What tells this machine from others.
    pub host_id: String,
    /// The path of nginx, or its name where it was not found.
    pub nginx_binary: String,
    /// Such as `1.22.1`; `unknown` where nginx was not asked.
    pub nginx_version: String,
    /// Whether it is NGINX Plus.
    pub nginx_is_plus: bool,
    /// The folder of nginx's modules.
    pub modules_path: String,
    /// The number of processors.
    pub vcpu_count: u32,
}

impl Facts {
    /// What the config says, before anything is looked up.
    pub(super) fn unknown(nginx: &str, root: &RootTable) -> Self {
        Self {
            host_id: root.host_id.as_ref().map(|id| id.0.clone()).unwrap_or_default(),
            nginx_binary: nginx.to_owned(),
            nginx_version: "unknown".to_owned(),
            nginx_is_plus: false,
            modules_path: root
                .modules_path
                .clone()
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| MODULES_PATH.to_owned()),
            vcpu_count: root.vcpu_count.map_or(1, |count| count.0),
        }
    }
}

/// The main process cannot be started on this machine.
#[derive(Clone, Debug)]
pub struct FactsError {
    problem: Box<Problem>,
    /// The exit status that says so.
    pub code: u8,
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: the main process cannot be started\n\n{}", self.problem)
    }
}

impl std::error::Error for FactsError {}

impl Loaded {
    /// Looks at the machine, for `run` and `debug`: finds nginx and asks for its version if it is
    /// the main process, and fills the names in that commands may use. `wrapper_pid` is the pid
    /// that stands for the wrapper to the outside.
    pub fn with_facts(&self, wrapper_pid: u32) -> Result<Config, FactsError> {
        let mut config = self.config.clone();
        self.look_at_the_machine(&mut config);
        let facts = &mut config.facts;
        let path = self.sources.variable("PATH");
        let find = |name: &str| find_program(name, path, &self.sources.folder);
        let exec = self.root.main.as_ref().and_then(|main| main.exec.as_ref());
        let is_nginx = config.main.kind == Kind::Nginx;
        let found = find(&facts.nginx_binary);
        if let Ok(found) = &found {
            facts.nginx_binary = found.display().to_string();
        }
        let version = match exec {
            None if is_nginx => {
                let key = ["nginx_binary".to_owned()];
                let fail = |what: String, code| FactsError {
                    problem: Box::new(self.stack.wrong(&key, what)),
                    code,
                };
                let program = found.map_err(|error| fail(error.to_string(), error.code()))?;
                config.main.exec[0] = program.display().to_string();
                Some(ask(&program).map_err(|what| fail(what, exit::USAGE))?)
            }
            // A program of the user's own that happens to be called nginx owes nobody a version.
            Some(words) if is_nginx => words.0.first().and_then(|word| {
                let program = find(word).ok()?;
                ask(&program)
                    .map_err(|what| config.warnings.push(format!("main.exec: {what}")))
                    .ok()
            }),
            _ => None,
        };
        if let Some(version) = version {
            facts.nginx_version = version.number;
            facts.nginx_is_plus = version.plus;
            let set = self.stack.said(&["modules_path".to_owned()]).is_some();
            if let (false, Some(path)) = (set, version.modules_path) {
                facts.modules_path = path;
            }
        }
        config.scope = Arc::new(self.scope(&config, Some(wrapper_pid)));
        if config.template.is_some() {
            config.template_values = super::values::values(self, &config);
        }
        Ok(config)
    }

    /// As [`Loaded::with_facts`], with what the running wrapper found out when it began: a program
    /// is not asked again while others run, and names mean the same for all.
    pub fn with_facts_of(&self, running: &Config) -> Config {
        let mut config = self.config.clone();
        config.facts = running.facts.clone();
        config.scope = running.scope.clone();
        let own = self.root.main.as_ref().is_some_and(|main| main.exec.is_some());
        if let (Kind::Nginx, false, Some(program)) =
            (config.main.kind, own, config.main.exec.first_mut())
        {
            program.clone_from(&config.facts.nginx_binary);
        }
        if config.template.is_some() {
            config.template_values = super::values::values(self, &config);
        }
        config
    }

    /// The names that a path may use whose client this process is: all but what the wrapper alone
    /// knows, its pid and what it found of nginx.
    pub fn scope_for_clients(&self) -> Scope {
        let mut config = self.config.clone();
        self.look_at_the_machine(&mut config);
        self.scope(&config, None)
    }

    /// Finds out what the config does not say and what has nothing to do with nginx.
    fn look_at_the_machine(&self, config: &mut Config) {
        let facts = &mut config.facts;
        if facts.host_id.is_empty() {
            facts.host_id = host_id(Path::new("/"), &mut config.warnings);
        }
        if self.root.vcpu_count.is_none() {
            facts.vcpu_count = processors();
        }
    }

    fn scope(&self, config: &Config, wrapper_pid: Option<u32>) -> Scope {
        let facts = &config.facts;
        let plugin_path = self.root.plugin_path.clone().unwrap_or_default();
        let mut settings = BTreeMap::from([
            ("host_id", facts.host_id.clone()),
            ("modules_path", facts.modules_path.clone()),
            ("nginx_binary", facts.nginx_binary.clone()),
            ("plugin_path", plugin_path),
            ("run_path", config.run_path.display().to_string()),
            ("vcpu_count", facts.vcpu_count.to_string()),
        ]);
        settings.extend(wrapper_pid.map(|pid| ("wrapper_pid", pid.to_string())));
        Scope::new(settings, self.sources.variables().into_iter().collect())
    }
}

/// Asks an nginx what it is; the error is a sentence.
fn ask(program: &Path) -> Result<Version, String> {
    let shown = program.display();
    // Nothing of the supervision runs yet, and this child is waited for right here.
    #[allow(clippy::disallowed_methods)]
    let output = Command::new(program).arg("-V").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{shown} -V` cannot be run: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    if !output.status.success() {
        return Err(format!("`{shown} -V` failed with {}", output.status));
    }
    match (text.lines().next(), Version::parse(&text)) {
        (_, Some(version)) => Ok(version),
        (None, _) => Err(format!("`{shown} -V` printed nothing")),
        (Some(line), None) => Err(format!(
            "`{shown} -V` printed `{}`, which holds no version of nginx",
            coproc_core::scalar::printable(line)
        )),
    }
}

/// The processors in the affinity mask.
fn processors() -> u32 {
    let mask = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    let count = mask.map(|mask| {
        (0..nix::sched::CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)).count()
    });
    // The mask of a machine with more processors than it has bits cannot be read.
    let count = count.or_else(|_| std::thread::available_parallelism().map(usize::from));
    count.ok().and_then(|count| u32::try_from(count).ok()).unwrap_or(1).max(1)
}
