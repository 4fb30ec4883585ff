//! The `[gateway.python]` table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coproc_core::count::{Bytes, Count, Positive};
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::refusal::Refusal;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bundle::InstallConfig;
use crate::driver::python::{PythonConfig, variable};

coproc_core::program_table! {
/// Hooks in Python: they run in worker processes, which are coprocesses named `gateway-python-1` and so on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct PythonTable {
    /// The folder with the hooks' `*.py` files. When one of them changes, workers make way for new ones,
    /// one after another. `${name}` is replaced. Default: hooks are in bundles alone.
    #[schemars(example = &"/etc/coproc/hooks")]
    pub path: Option<String>,
    /// How many workers there are.
    #[schemars(example = 4)]
    pub workers: Option<Positive>,
    /// How many hooks each worker runs at once.
    #[schemars(example = 8)]
    pub threads: Option<Positive>,
    /// The program that runs Python, 3.8 or later: a name or a path. Default: `python3`, or that of
    /// `virtualenv`.
    #[schemars(example = &"/usr/bin/python3.11")]
    pub interpreter: Option<String>,
    /// The folder of a virtual environment whose Python and packages are used. Default: none.
    #[schemars(example = &"/opt/hooks/venv")]
    pub virtualenv: Option<String>,
    /// How long calls may take that a worker still has when it makes way for its successor.
    #[schemars(example = &"5s")]
    pub drain: Option<Span>,
    /// How long a worker may take from its start until it can be called; calls wait that long for one.
    #[schemars(example = &"20s")]
    pub start_timeout: Option<Span>,
    /// The largest message to or from a worker. A body that is text is in it twice.
    #[schemars(example = &"64MiB")]
    pub max_message: Option<Bytes>,
    /// Calls on their way to all workers at once.
    #[schemars(example = 64)]
    pub max_in_flight: Option<Positive>,
    /// Calls that wait for others to end; one more fails at once.
    #[schemars(example = 128)]
    pub queue: Option<Count>,
    /// How long a call may wait for others to end.
    #[schemars(example = &"1s")]
    pub queue_timeout: Option<Span>,
    /// Whether packages are installed that a bundle asks for in its `requirements.txt`, in a virtual environment
    /// that the interpreter makes.
    #[schemars(example = false)]
    pub install_requirements: Option<Flag>,
    /// Options of `pip install`, such as where packages come from. Default: none.
    #[schemars(example = ["--no-index", "--find-links=/srv/wheels"])]
    pub pip_options: Option<Words>,
    /// How long the packages of a bundle may take.
    #[schemars(example = &"10m")]
    pub install_timeout: Option<Span>,
}
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 10] = [
    ("workers", "2"),
    ("threads", "4"),
    ("drain", "30s"),
    ("start_timeout", "5s"),
    ("max_message", "16MiB"),
    ("max_in_flight", "512"),
    ("queue", "1024"),
    ("queue_timeout", "5s"),
    ("install_requirements", "true"),
    ("install_timeout", "2m"),
];

/// The most workers; each has a name that others may not have.
const MOST: u32 = 1024;

impl PythonTable {
    pub(super) fn resolve(mut self, refusals: &mut Vec<Refusal>) -> Option<PythonConfig> {
        let keys = self.context_keys();
        let text = |set: Option<String>| set.filter(|text| !text.is_empty());
        let wrong = |key: &'static str, what: &str| Refusal::wrong("python", what).below(key);
        let default = PythonConfig::default();
        if self.workers.is_some_and(|workers| workers.0 > MOST) {
            refusals.push(wrong("workers", "is too many").expected("1024 workers at most"));
        }
        let (interpreter, virtualenv) = (text(self.interpreter), text(self.virtualenv));
        if interpreter.is_some() && virtualenv.is_some() {
            refusals.push(wrong("virtualenv", "`interpreter` and `virtualenv` exclude each other"));
        }
        let virtualenv =
            virtualenv.map(|folder| Path::new(&folder).join("bin/python").display().to_string());
        for mut refusal in keys.refusals() {
            refusal.key.insert(0, "python".into());
            refusals.push(refusal);
        }
        let context = keys.of_helper();
        for name in context.env.keys().filter(|name| variable::ALL.contains(&name.as_str())) {
            refusals.push(wrong("env", "this variable is the gateway's own").below(name.clone()));
        }
        let time = |set: Option<Span>, default: Duration| set.map_or(default, Span::get);
        let number =
            |set: Option<Positive>, default| set.map_or(default, |number| number.0 as usize);
        let size = |bytes: Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
        Some(PythonConfig {
            path: text(self.path).map(PathBuf::from),
            workers: number(self.workers, default.workers),
            threads: number(self.threads, default.threads),
            interpreter: virtualenv.or(interpreter).unwrap_or(default.interpreter),
            context,
            drain: time(self.drain, default.drain),
            start_timeout: time(self.start_timeout, default.start_timeout),
            // A frame's length has 4 bytes.
            max_message: self.max_message.map_or(default.max_message, size).min(u32::MAX as usize),
            max_in_flight: number(self.max_in_flight, default.max_in_flight),
            queue: self.queue.map_or(default.queue, |count| count.0 as usize),
            queue_timeout: time(self.queue_timeout, default.queue_timeout),
            install: self.install_requirements.is_none_or(|flag| flag.0).then(|| {
                let default = InstallConfig::default();
                InstallConfig {
                    options: self.pip_options.map_or(default.options, |words| words.0),
                    timeout: time(self.install_timeout, default.timeout),
                }
            }),
            folder: default.folder,
            socket: default.socket,
        })
    }
}
