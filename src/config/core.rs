//! The keys of the top level, and the tables that belong to no actor of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coproc_coprocess::table::CoprocessTable;
use coproc_core::count::Count;
use coproc_core::duration::GoDuration;
use coproc_core::flag::Flag;
use coproc_core::mode::Mode;
use coproc_core::scalar::Scalar;
use coproc_core::text::Text;
use coproc_core::words::Words;
use coproc_exec::table::ExecSocketsTable;
use coproc_main::table::MainTable;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::log::table::LogTable;

/// The config of coproc: a main process and its coprocesses under one supervision tree.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "coproc")]
pub struct RootTable {
    /// What tells this machine from others. Default: the machine's id.
    pub host_id: Option<Text>,
    /// The folder of what exists while the wrapper runs. Default: `nginx-wrapper` in the folder of
    /// temporary files.
    pub run_path: Option<String>,
    /// The folder of nginx's configuration. Default: `conf` in `run_path`.
    pub conf_path: Option<String>,
    /// The folder of nginx's modules. Default: as nginx was built.
    pub modules_path: Option<String>,
    /// nginx, looked up on PATH. Default: `nginx`.
    pub nginx_binary: Option<String>,
    /// Found out; a value that is set has no effect.
    pub nginx_version: Option<Text>,
    /// Found out; a value that is set has no effect.
    pub nginx_is_plus: Option<Flag>,
    /// The folder of nginx-wrapper's plugins. Default: `./plugins`.
    pub plugin_path: Option<String>,
    /// The tables that are in force: `coprocess`, `template`. Default: those that are there.
    pub enabled_plugins: Option<Words>,
    /// The number of processors. Default: those that the wrapper may run on.
    pub vcpu_count: Option<Vcpus>,
    /// Found out; a value that is set has no effect.
    pub last_reload_time: Option<Text>,
    /// Values for templates, besides the wrapper's own environment.
    pub env: Option<BTreeMap<String, serde_json::Value>>,
    /// How long all may take to stop. Default: `30s`.
    pub shutdown_timeout: Option<GoDuration>,
    /// Whether what leaves its process group is found and ended as well. Default: `true`.
    pub subreaper: Option<Flag>,
    /// How long what left its process group has between TERM and KILL at the end. Default: `1s`.
    pub stray_timeout: Option<GoDuration>,
    /// The log.
    pub log: Option<LogTable>,
    /// The main process.
    pub main: Option<MainTable>,
    /// The coprocesses, started in the order in which they stand here.
    pub coprocess: Option<BTreeMap<String, CoprocessTable>>,
    /// Templates of nginx's configuration.
    pub template: Option<TemplateTable>,
    /// Sockets over which clients have programs run.
    pub exec_socket: Option<ExecSocketsTable>,
    /// The control socket.
    pub control: Option<ControlTable>,
}

/// Templates of nginx's configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct TemplateTable {
    /// A template or a folder of them. Default: `./nginx.conf` with `template_suffix`.
    pub conf_template_path: Option<String>,
    /// The folder that is written to. Default: `conf_path`.
    pub conf_output_path: Option<String>,
    /// How the names of templates end. Default: `.tmpl`.
    pub template_suffix: Option<String>,
    /// What begins an action. Default: `[[`.
    pub template_var_left_delim: Option<String>,
    /// What ends an action. Default: `]]`.
    pub template_var_right_delim: Option<String>,
    /// The folders that are made below `run_path`.
    pub run_path_subdirs: Option<Words>,
    /// Whether `run_path` is removed at the end. Default: `false`.
    pub delete_run_path_on_exit: Option<Flag>,
    /// Whether what was written is removed at the end. Default: `true`.
    pub delete_templated_conf_on_exit: Option<Flag>,
}

/// The control socket, over which the other commands talk to a running wrapper.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ControlTable {
    /// Its path, or `none`. Default: `control.sock` in `run_path`.
    pub socket: Option<String>,
    /// Its mode in octal digits. Default: `"0600"`.
    pub mode: Option<Mode>,
}

/// The control socket, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// Its path; `None` where it is turned off.
    pub socket: Option<PathBuf>,
    /// Whether the path was asked for: then it is an error if it cannot be used.
    pub configured: bool,
    /// Its mode.
    pub mode: u32,
}

/// The number of processors: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vcpus(pub u32);

impl Scalar for Vcpus {
    const NOUN: &'static str = "a number of processors";
    const EXPECTED: &'static str = "a whole number that is not below 1";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        Count::read(text).filter(|count| count.0 > 0).map(|count| Self(count.0))
    }
}

coproc_core::impl_scalar!(Vcpus, "Vcpus", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 4294967295u32 },
        { "type": "string", "pattern": "^0*[1-9][0-9]*$" }
    ]
});

/// The keys of the top level that are tables.
pub(super) const TABLES: [&str; 6] =
    ["log", "main", "coprocess", "template", "exec_socket", "control"];

/// Tables that a later version of coproc reads.
pub(super) const RESERVED: [&str; 2] = ["gateway", "coordinator"];

/// What the program sets itself.
pub(super) const COMPUTED: [&str; 3] = ["nginx_version", "nginx_is_plus", "last_reload_time"];

/// The built-in plugins, in the order in which they are loaded.
pub(super) const PLUGINS: [&str; 2] = ["coprocess", "template"];

/// The default of `modules_path` where nginx does not say.
pub(super) const MODULES_PATH: &str = "/usr/lib/nginx/modules";

/// The defaults of the top level that are texts.
pub(super) const DEFAULTS: [(&str, &str); 9] = [
    ("last_reload_time", coproc_core::scope::NOT_RELOADED),
    ("modules_path", MODULES_PATH),
    ("nginx_binary", "nginx"),
    ("nginx_is_plus", "false"),
    ("nginx_version", "unknown"),
    ("plugin_path", "./plugins"),
    ("shutdown_timeout", "30s"),
    ("stray_timeout", "1s"),
    ("subreaper", "true"),
];

/// The defaults of `[template]` that depend on nothing.
pub(super) const TEMPLATE_DEFAULTS: [(&str, &str); 6] = [
    ("delete_run_path_on_exit", "false"),
    ("delete_templated_conf_on_exit", "true"),
    ("run_path_subdirs", "client_body conf proxy fastcgi uswsgi scgi"),
    ("template_suffix", ".tmpl"),
    ("template_var_left_delim", "[["),
    ("template_var_right_delim", "]]"),
];

/// The names of the keys of the top level.
pub(super) fn top_level_keys() -> Vec<String> {
    let schema = schemars::schema_for!(RootTable);
    let properties = schema.get("properties").and_then(|p| p.as_object());
    properties.into_iter().flatten().map(|(key, _)| key.clone()).collect()
}
