//! The keys of the top level, and the tables that belong to no actor of their own.

use std::collections::BTreeMap;
use std::iter;

use coproc_control::table::ControlTable;
use coproc_coordinator::table::CoordinatorTable;
use coproc_coprocess::table::CoprocessTable;
use coproc_core::count::Count;
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::scalar::Scalar;
use coproc_core::text::Text;
use coproc_core::words::Words;
use coproc_exec::table::ExecSocketsTable;
use coproc_gateway::table::GatewayTable;
use coproc_main::table::MainTable;
use schemars::JsonSchema;
use serde::de::Visitor;
use serde::de::value::{self, MapDeserializer};
use serde::{Deserialize, Deserializer};

use crate::log::table::LogTable;

/// The config of coproc: a main process and its coprocesses under one supervision tree.
///
/// Keys of the top level that coproc does not know are values for templates. Keys within its own
/// tables that it does not know are errors.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "coproc")]
pub struct RootTable {
    /// What tells this machine from others, for `${host_id}` and templates. Default: the machine's
    /// id in `/var/lib/dbus/machine-id` or `/etc/machine-id`, else a digest of the network cards'
    /// addresses, else a random one.
    #[schemars(example = &"edge-17")]
    pub host_id: Option<Text>,
    /// The folder of what exists while the wrapper runs: the control socket, pid files, rendered
    /// templates, and what nginx is given as its prefix (`-p`). It is made if it is missing. Each
    /// wrapper of a machine needs one of its own. Default: `nginx-wrapper` in the folder of
    /// temporary files (`TMPDIR`, else `/tmp`).
    #[schemars(example = &"/run/coproc")]
    pub run_path: Option<String>,
    /// The folder of nginx's configuration: nginx is started with `-c` and the `nginx.conf` in it.
    /// Default: `conf` in `run_path`.
    #[schemars(example = &"/etc/nginx")]
    pub conf_path: Option<String>,
    /// The folder of nginx's modules, for `${modules_path}` and templates. Default: what `nginx -V`
    /// says, else `/usr/lib/nginx/modules`.
    #[schemars(example = &"/usr/lib/nginx/modules")]
    pub modules_path: Option<String>,
    /// nginx: a path, or a name that is looked up on PATH.
    #[schemars(example = &"/usr/sbin/nginx")]
    pub nginx_binary: Option<String>,
    /// Found out by asking nginx (`nginx -V`). A value that is set has no effect.
    pub nginx_version: Option<Text>,
    /// Found out by asking nginx (`nginx -V`). A value that is set has no effect.
    pub nginx_is_plus: Option<Flag>,
    /// The folder of nginx-wrapper's plugins, for `${plugin_path}`. coproc loads none.
    #[schemars(example = &"/usr/lib/nginx-wrapper/plugins")]
    pub plugin_path: Option<String>,
    /// Which of the tables `coprocess` and `template` are in force. Default: those that are there.
    #[schemars(example = ["coprocess", "template"])]
    pub enabled_plugins: Option<Words>,
    /// The number of processors, for `${vcpu_count}` and templates. Default: those that the wrapper
    /// may run on, by its affinity mask.
    #[schemars(example = 4)]
    pub vcpu_count: Option<Vcpus>,
    /// Found out: the time of the last reload. A value that is set has no effect.
    pub last_reload_time: Option<Text>,
    /// Values for templates, as `.env`, besides the wrapper's own environment. Children do not get
    /// them: their variables are `main.env` and `coprocess.NAME.env`. Default: none.
    #[schemars(example = serde_json::json!({ "SITE_NAME": "example.test" }))]
    pub env: Option<BTreeMap<String, serde_json::Value>>,
    /// How long the wrapper may take to stop, from the first request to the last process. When it
    /// is over, what is left is killed.
    #[schemars(example = &"1m30s")]
    pub shutdown_timeout: Option<Span>,
    /// Whether what leaves its process group is found and ended as well: the wrapper becomes the
    /// parent of orphans (PR_SET_CHILD_SUBREAPER). As PID 1 it is so in any case.
    #[schemars(example = false)]
    pub subreaper: Option<Flag>,
    /// How long what left its process group has between TERM and KILL at the very end.
    #[schemars(example = &"3s")]
    pub stray_timeout: Option<Span>,
    /// The log.
    pub log: Option<LogTable>,
    /// The main process. Without this table it is nginx.
    pub main: Option<MainTable>,
    /// The coprocesses, started in the order in which they stand here.
    pub coprocess: Option<BTreeMap<String, CoprocessTable>>,
    /// Templates of nginx's configuration. Without this table, and where `enabled_plugins` does not
    /// name it, nothing is rendered.
    pub template: Option<TemplateTable>,
    /// Sockets over which clients have programs run.
    pub exec_socket: Option<ExecSocketsTable>,
    /// The coordinator of tasks. Without this table there is none.
    pub coordinator: Option<CoordinatorTable>,
    /// The gateway of HTTP. Without this table there is none.
    pub gateway: Option<GatewayTable>,
    /// The control socket.
    pub control: Option<ControlTable>,
}

/// Templates of nginx's configuration, in the language of Go's text/template. They are rendered
/// before nginx starts and at each reload.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct TemplateTable {
    /// A template, or a folder whose files that end in `template_suffix` are templates and whose
    /// other files are copied. Default: `./nginx.conf` with `template_suffix`.
    #[schemars(example = &"templates")]
    pub conf_template_path: Option<String>,
    /// The folder that is written to, and where nginx finds its `nginx.conf`. Default: `conf_path`.
    #[schemars(example = &"/run/coproc/nginx")]
    pub conf_output_path: Option<String>,
    /// How the names of templates end; it is taken off the names of what they are rendered to. Not
    /// empty.
    #[schemars(example = &".tpl")]
    pub template_suffix: Option<String>,
    /// What begins an action in a template. Not empty.
    #[schemars(example = &"{{")]
    pub template_var_left_delim: Option<String>,
    /// What ends an action in a template. Not empty.
    #[schemars(example = &"}}")]
    pub template_var_right_delim: Option<String>,
    /// The folders that are made below `run_path` before anything starts. With `main.user` they are
    /// that user's, but for the one with the outputs, which it can read.
    #[schemars(example = ["conf", "client_body", "proxy"])]
    pub run_path_subdirs: Option<Words>,
    /// Whether `run_path` is removed at the end, with all that is in it.
    #[schemars(example = true)]
    pub delete_run_path_on_exit: Option<Flag>,
    /// Whether the files that were rendered or copied are removed at the end, and files of others
    /// that were in their places put back.
    #[schemars(example = false)]
    pub delete_templated_conf_on_exit: Option<Flag>,
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
pub(super) const TABLES: [&str; 8] =
    ["log", "main", "coprocess", "template", "exec_socket", "coordinator", "gateway", "control"];

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

/// Whether this is a key of the top level that coproc knows.
pub fn is_top_level(key: &str) -> bool {
    top_level_keys().iter().any(|one| one == key)
}

/// The names of the keys of the top level, in their order. They come from what serde was told, since
/// a schema is much to make at each start.
pub(super) fn top_level_keys() -> Vec<String> {
    let mut names = Vec::new();
    // Every key is optional, so that none of them being there is no error.
    let _ = RootTable::deserialize(Names(&mut names));
    names
}

/// Is asked for a struct, notes the names of its fields, and has none of them.
struct Names<'a>(&'a mut Vec<String>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_map(MapDeserializer::new(iter::empty::<(&str, &str)>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        self.0.extend(fields.iter().map(|field| (*field).to_owned()));
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_top_level_are_those_of_the_schema() {
        let schema = schemars::schema_for!(RootTable);
        let properties = schema.get("properties").and_then(|all| all.as_object()).unwrap();
        assert!(properties.keys().eq(top_level_keys().iter()), "{:?}", top_level_keys());
        assert!(TABLES.iter().all(|table| properties.contains_key(*table)));
    }
}
