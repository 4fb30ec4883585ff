//! The `[gateway]` table as it is written, and what it resolves to.

mod bundles;
mod limits;
mod listen;
mod lua;
mod native;
mod python;
mod store;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use coproc_core::count::{Bytes, Count, Positive};
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::mode::Mode;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::printable;
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Config, Secret, Tls};
use crate::definition::{self, Rules, Taken};
use crate::driver::grpc::{Address, GrpcConfig, breaker};
use crate::session::keys::KeyOptions;

pub use self::limits::{DEFAULTS as LIMITS_DEFAULTS, LimitsTable};
pub use self::listen::Places;
pub use self::lua::{DEFAULTS as LUA_DEFAULTS, LuaTable};
pub use self::native::NativeTable;
pub use self::python::{DEFAULTS as PYTHON_DEFAULTS, PythonTable};
pub use self::store::{DEFAULTS as STORE_DEFAULTS, StoreTable};
pub use self::values::{Compat, Definitions, Function, Handlers};

/// The gateway: a reverse proxy whose requests pass through hooks that run in plugin servers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct GatewayTable {
    /// Where it listens: `IP:PORT`, `unix:///PATH`, or a list of them. `${name}` is replaced in paths.
    #[schemars(example = ["0.0.0.0:8080", "unix:///run/gateway.sock"])]
    pub listen: Option<Places>,
    /// The mode of its Unix sockets, in octal digits and in quotes.
    #[schemars(example = &"0666")]
    pub socket_mode: Option<Mode>,
    /// A folder in which each `*.json` is the classic definition of an API. `${name}` is replaced.
    /// Default: the APIs are those of `api`.
    #[schemars(example = &"/etc/coproc/apps")]
    pub app_path: Option<String>,
    /// APIs: tables with the keys of the classic definition. From a variable, they are JSON. Default:
    /// the APIs are those of `app_path`.
    #[schemars(example = [serde_json::json!({ "api_id": "orders", "use_keyless": true,
        "proxy": { "listen_path": "/orders/", "target_url": "http://127.0.0.1:9001/" } })])]
    pub api: Option<Definitions>,
    /// The folder in which `bundles` is, where the bundles of APIs are kept. `${name}` is replaced. Default:
    /// `middleware` in `run_path`.
    #[schemars(example = &"/var/lib/coproc/middleware")]
    pub middleware_path: Option<String>,
    /// Where bundles come from: `https://HOST/PATH`, `http://HOST/PATH` or `file:///PATH`. Default: they
    /// have to be on disk.
    #[schemars(example = &"https://bundles.example.test/hooks/")]
    pub bundle_base_url: Option<Text>,
    /// Whether bundles are got that are not on disk.
    #[schemars(example = false)]
    pub enable_bundle_downloader: Option<Flag>,
    /// A file with a public key of RSA, as PEM: bundles that are got have to be signed with it. Default:
    /// they need not be signed.
    #[schemars(example = &"/etc/coproc/bundles.pem")]
    pub public_key_path: Option<String>,
    /// Whether signed bundles that are on disk are taken unseen.
    #[schemars(example = true)]
    pub skip_verify_existing_plugin_bundle: Option<Flag>,
    /// Whether at each reload the source is asked whether a bundle has changed. Default: `true` with
    /// `compat = "strict"`, else `false`.
    #[schemars(example = true)]
    pub bundle_refresh: Option<Flag>,
    /// Whether servers of bundles need not prove who they are: whoever is between takes their place.
    #[schemars(example = true)]
    pub bundle_insecure_skip_verify: Option<Flag>,
    /// Whether bundles that were got are removed when no API names them any more. The folder of bundles is
    /// one gateway's own then.
    #[schemars(example = false)]
    pub bundle_remove_unused: Option<Flag>,
    /// How long an attempt to get a bundle may take; there are five.
    #[schemars(example = &"2s")]
    pub bundle_timeout: Option<Span>,
    /// The largest archive of a bundle.
    #[schemars(example = &"1MiB")]
    pub bundle_max_size: Option<Bytes>,
    /// What the files of a bundle may come to.
    #[schemars(example = &"4MiB")]
    pub bundle_max_unpacked_size: Option<Bytes>,
    /// How many files and folders a bundle may have.
    #[schemars(example = 100)]
    pub bundle_max_files: Option<Positive>,
    /// Whether hooks run. If not, they are passed over with a warning.
    #[schemars(example = false)]
    pub enable_coprocess: Option<Flag>,
    /// Where plugin servers listen that speak gRPC: `tcp://HOST:PORT`, `unix:///PATH`,
    /// `dns:///NAME:PORT`, `HOST:PORT`, or a list of them. Default: there are none.
    #[schemars(example = &"unix:///run/plugin.sock")]
    pub grpc: Option<Words>,
    /// The name of the coprocess that is the plugin server: it is called once it is ready. Default: it
    /// is none of this wrapper's.
    #[schemars(example = &"agent")]
    pub grpc_coprocess: Option<Text>,
    /// What stands for host and port in `:authority`. Default: host and port, for Unix sockets
    /// `localhost`.
    #[schemars(example = &"plugins.example.test")]
    pub grpc_authority: Option<Text>,
    /// The largest answer of a plugin server.
    #[schemars(example = &"16MiB")]
    pub grpc_recv_max_size: Option<Bytes>,
    /// The largest object that is sent to one. Default: 2 GiB.
    #[schemars(example = &"16MiB")]
    pub grpc_send_max_size: Option<Bytes>,
    /// Connections to each plugin server, made as they are needed.
    #[schemars(example = 8)]
    pub grpc_channels: Option<Positive>,
    /// Calls on their way to plugin servers at once.
    #[schemars(example = 64)]
    pub grpc_max_in_flight: Option<Positive>,
    /// Calls that wait for others to end; one more fails at once.
    #[schemars(example = 128)]
    pub grpc_queue: Option<Count>,
    /// How long a call may wait for others to end.
    #[schemars(example = &"1s")]
    pub grpc_queue_timeout: Option<Span>,
    /// How long a connection to a plugin server may take.
    #[schemars(example = &"2s")]
    pub grpc_connect_timeout: Option<Span>,
    /// How long the addresses of a `dns:///` name are good.
    #[schemars(example = &"5s")]
    pub grpc_resolve_interval: Option<Span>,
    /// Whether plugin servers are asked for their health (`grpc.health.v1`).
    #[schemars(example = true)]
    pub grpc_health_check: Option<Flag>,
    /// How many failures in a row have a plugin server left alone.
    #[schemars(example = 3)]
    pub grpc_breaker_failures: Option<Positive>,
    /// How long it is left alone at first; each time after that is twice as long.
    #[schemars(example = &"500ms")]
    pub grpc_breaker_rest: Option<Span>,
    /// How long it is left alone at most.
    #[schemars(example = &"10s")]
    pub grpc_breaker_max_rest: Option<Span>,
    /// How long a hook may take that has no `timeout` of its own.
    #[schemars(example = &"1s")]
    pub hook_timeout: Option<Span>,
    /// Whether Tyk's oddities are kept (`tyk`), or mended (`strict`).
    #[schemars(example = &"strict")]
    pub compat: Option<Compat>,
    /// The text that requests to `/tyk/keys` and `/tyk/reload` bear in `X-Tyk-Authorization`. Default:
    /// nothing is there.
    #[schemars(example = &"a-long-random-text")]
    pub secret: Option<Text>,
    /// A file with policies: a JSON object of them by their ids. `${name}` is replaced. Default: there
    /// are none.
    #[schemars(example = &"/etc/coproc/policies.json")]
    pub policies: Option<String>,
    /// Whether the ids of keys are stored as hashes.
    #[schemars(example = true)]
    pub hash_keys: Option<Flag>,
    /// How ids of sessions name their hash: `murmur32`, `murmur64`, `murmur128` or `sha256`. Default:
    /// they name none, and are an organisation's id and their own.
    #[schemars(example = &"sha256")]
    pub hash_key_function: Option<Function>,
    /// Shorter keys are nobody's; 0 is 3.
    #[schemars(example = 16)]
    pub min_token_length: Option<Count>,
    /// How many sessions are remembered, for 10 seconds each.
    #[schemars(example = 1000)]
    pub max_cached_sessions: Option<Positive>,
    /// A folder with templates of error pages: `error_CODE.json` and `error_CODE.xml`, and `error.json`
    /// and `error.xml` for codes without one. `${name}` is replaced. Default: pages are as Tyk's own.
    #[schemars(example = &"/etc/coproc/pages")]
    pub template_path: Option<String>,
    /// Whether the names of headers that hooks set stay as hooks write them. It is taken, and changes
    /// nothing: names are sent in small letters, in which they mean the same.
    #[schemars(example = true)]
    pub ignore_canonical_mime_header_key: Option<Flag>,
    /// Whether error pages are without `X-Generator`.
    #[schemars(example = true)]
    pub hide_generator_header: Option<Flag>,
    /// Whether connections are closed after error pages.
    #[schemars(example = true)]
    pub close_connections: Option<Flag>,
    /// Whether responses say in `Server-Timing` how long hooks and upstream took.
    #[schemars(example = true)]
    pub server_timing: Option<Flag>,
    /// The path below which subrequests of nginx's `auth_request` are answered: `PATH/ID` by the hooks
    /// and checks of an API. Default: nowhere.
    #[schemars(example = &"/auth")]
    pub auth_request: Option<Text>,
    /// Whether each request is a line of the log.
    #[schemars(example = true)]
    pub access_log: Option<Flag>,
    /// Handlers of events that belong to no API, which are those of keys (`TokenCreated`, `TokenUpdated`,
    /// `TokenDeleted`) and plugins' own: for each name a list of handlers, as in definitions.
    /// Default: there are none.
    #[schemars(example = serde_json::json!({ "events": { "TokenDeleted":
        [{ "handler_name": "cp_dynamic_handler", "handler_meta": { "name": "my_handler" } }] } }))]
    pub event_handlers: Option<Handlers>,
    /// How long open requests may take when it stops.
    #[schemars(example = &"5s")]
    pub drain: Option<Span>,
    /// How many threads serve. Default: as many as there are processors.
    #[schemars(example = 2)]
    pub worker_threads: Option<Positive>,
    /// A file with the certificates that upstreams are verified by, as PEM. Default: the system's.
    #[schemars(example = &"/etc/coproc/ca.pem")]
    pub upstream_ca: Option<String>,
    /// Hooks in Python. Default: there are none.
    #[schemars(example = serde_json::json!({ "path": "/etc/coproc/hooks" }))]
    pub python: Option<PythonTable>,
    /// Hooks in Lua. Default: there are none.
    #[schemars(example = serde_json::json!({ "path": "/etc/coproc/lua" }))]
    pub lua: Option<LuaTable>,
    /// Hooks in native code. Default: there are none.
    #[schemars(example = serde_json::json!({ "library": "/usr/lib/coproc/hooks.so" }))]
    pub native: Option<NativeTable>,
    /// Where keys and sessions are kept. Default: in a file in `run_path`.
    #[schemars(example = serde_json::json!({ "redis": "redis://127.0.0.1:6379" }))]
    pub store: Option<StoreTable>,
    /// With what its ports speak TLS. Default: they do not.
    #[schemars(example = serde_json::json!({ "certificate": "/etc/coproc/cert.pem", "key": "/etc/coproc/key.pem" }))]
    pub tls: Option<TlsTable>,
    /// What clients and upstreams may ask of it. Default: as each of its keys says.
    #[schemars(example = serde_json::json!({ "max_connections": 1000 }))]
    pub limits: Option<LimitsTable>,
}

/// TLS on the gateway's ports; its Unix sockets do without.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct TlsTable {
    /// The file of the certificate and of those that lead to its root, as PEM. `${name}` is replaced.
    #[schemars(required, example = &"/etc/coproc/cert.pem")]
    pub certificate: Option<String>,
    /// The file of its key, as PEM. `${name}` is replaced.
    #[schemars(required, example = &"/etc/coproc/key.pem")]
    pub key: Option<String>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 33] = [
    ("listen", "127.0.0.1:8080"),
    ("socket_mode", "0660"),
    ("enable_bundle_downloader", "true"),
    ("skip_verify_existing_plugin_bundle", "false"),
    ("bundle_insecure_skip_verify", "false"),
    ("bundle_remove_unused", "true"),
    ("bundle_timeout", "5s"),
    ("bundle_max_size", "32MiB"),
    ("bundle_max_unpacked_size", "128MiB"),
    ("bundle_max_files", "10000"),
    ("enable_coprocess", "true"),
    ("grpc_recv_max_size", "4MiB"),
    ("grpc_channels", "4"),
    ("grpc_max_in_flight", "512"),
    ("grpc_queue", "1024"),
    ("grpc_queue_timeout", "5s"),
    ("grpc_connect_timeout", "20s"),
    ("grpc_resolve_interval", "30s"),
    ("grpc_health_check", "false"),
    ("grpc_breaker_failures", "5"),
    ("grpc_breaker_rest", "1s"),
    ("grpc_breaker_max_rest", "30s"),
    ("hook_timeout", "30s"),
    ("compat", "tyk"),
    ("hash_keys", "false"),
    ("min_token_length", "3"),
    ("max_cached_sessions", "10000"),
    ("ignore_canonical_mime_header_key", "false"),
    ("hide_generator_header", "false"),
    ("close_connections", "false"),
    ("server_timing", "false"),
    ("access_log", "false"),
    ("drain", "30s"),
];

impl GatewayTable {
    /// Checks what single values cannot show, and fills the defaults in. Paths stay as they are written.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn resolve(self) -> Result<(Config, Vec<String>), Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut warnings = Vec::new();
        let default = Config::default();
        let grpc = self.grpc(&mut refusals);
        let times = [
            ("hook_timeout", self.hook_timeout),
            ("grpc_connect_timeout", self.grpc_connect_timeout),
        ];
        limits::refuse_none(times, |key| Refusal::wrong(key, ""), &mut refusals);
        let time = |set: Option<Span>, default: Duration| set.map_or(default, Span::get);
        let flag = |set: Option<Flag>| set.is_some_and(|flag| flag.0);
        let number = |set: Option<Positive>| set.map(|number| number.0 as usize);
        let path = |set: &Option<String>| {
            set.as_deref().filter(|text| !text.is_empty()).map(PathBuf::from)
        };
        let mut config = Config {
            listen: self.listen.as_ref().map_or(default.listen, |places| places.0.clone()),
            socket_mode: self.socket_mode.map_or(default.socket_mode, |mode| mode.0),
            app_path: path(&self.app_path),
            enable_coprocess: self.enable_coprocess.is_none_or(|flag| flag.0),
            grpc,
            hook_timeout: time(self.hook_timeout, default.hook_timeout),
            strict: self.compat == Some(Compat::Strict),
            secret: self
                .secret
                .as_ref()
                .map(|Text(text)| text.clone())
                .filter(|secret| !secret.is_empty())
                .map(Secret),
            policies: path(&self.policies),
            keys: KeyOptions {
                hash_keys: flag(self.hash_keys),
                hash_function: self.hash_key_function.map(|function| function.0),
                min_token_length: match self.min_token_length {
                    None | Some(Count(0)) => default.keys.min_token_length,
                    Some(Count(length)) => length as usize,
                },
                max_cached: number(self.max_cached_sessions).unwrap_or(default.keys.max_cached),
            },
            template_path: path(&self.template_path),
            verbatim_names: flag(self.ignore_canonical_mime_header_key),
            hide_generator_header: flag(self.hide_generator_header),
            close_connections: flag(self.close_connections),
            server_timing: flag(self.server_timing),
            auth_request: self.auth_request(&mut refusals),
            plugin: self.grpc_coprocess.as_ref().map(|Text(name)| name.clone()),
            access_log: flag(self.access_log),
            drain: time(self.drain, default.drain),
            worker_threads: number(self.worker_threads),
            upstream_ca: path(&self.upstream_ca),
            python: self.python.clone().and_then(|table| table.resolve(&mut refusals)),
            lua: self.lua.clone().and_then(|table| table.resolve(&mut refusals)),
            native: self.native.clone().and_then(|table| table.resolve(&mut refusals)),
            store: self.store.clone().unwrap_or_default().resolve(&mut refusals),
            tls: self.tls.as_ref().and_then(|table| table.resolve(&mut refusals)),
            limits: self.limits.clone().unwrap_or_default().resolve(&mut refusals),
            apis: Vec::new(),
            events: Vec::new(),
            bundled: Vec::new(),
            bundles: self.bundles(&mut refusals),
        };
        if config.verbatim_names {
            let what = "gateway.ignore_canonical_mime_header_key changes nothing: names of headers are sent in \
                        small letters, in which they mean the same";
            warnings.push(what.to_owned());
        }
        if config.bundles.insecure {
            let what = "gateway.bundle_insecure_skip_verify: servers of bundles need not prove who they are, so \
                        that whoever is between can have hooks of his own run";
            warnings.push(what.to_owned());
        }
        // What this program lacks is an error here, where it can be mended before anything is served.
        let rules = Rules { checking: true, ..config.rules() };
        if let Some(Handlers(handlers)) = &self.event_handlers {
            let (events, faults) = definition::handlers(handlers);
            config.events = events;
            let fault = |fault| refusal(Refusal::wrong("event_handlers", ""), fault);
            refusals.extend(faults.into_iter().map(fault));
        }
        let mut taken = Taken::default();
        for (number, value) in self.api.iter().flat_map(|all| all.0.iter()).enumerate() {
            let mut read = definition::read(value, &rules);
            let name = format!("gateway.api[{number}]");
            taken.judge(&mut read, &name, rules.strict);
            let at = || Refusal::wrong("api", "").below(number.to_string());
            let faults = std::mem::take(&mut read.faults);
            refusals.extend(faults.into_iter().map(|fault| refusal(at(), fault)));
            warnings.extend(read.warnings.iter().map(|fault| format!("{name}: {fault}")));
            for key in &read.unknown {
                tracing::debug!(target: "gateway", "{name}: `{key}` is not known and has no effect");
            }
            let at = config.apis.len();
            config.bundled.extend(read.take_bundled(value.clone(), (name, None), at));
            config.apis.extend(read.api);
        }
        match refusals.is_empty() {
            true => Ok((config, warnings)),
            false => Err(refusals),
        }
    }

    fn auth_request(&self, refusals: &mut Vec<Refusal>) -> Option<String> {
        let Text(path) = self.auth_request.as_ref()?;
        if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c == '?') {
            let what = format!("`{}` is not a path", printable(path));
            let refusal = Refusal::wrong("auth_request", what);
            refusals.push(refusal.expected("a path that begins with `/`, such as `/auth`"));
        }
        Some(path.clone())
    }

    fn grpc(&self, refusals: &mut Vec<Refusal>) -> Option<GrpcConfig> {
        let default = GrpcConfig::default();
        let addresses = self.grpc.as_ref().map(|words| words.0.clone()).unwrap_or_default();
        for address in &addresses {
            if let Err(error) = Address::parse(address) {
                let what = format!("`{}` is not an address: {}", printable(address), error.problem);
                refusals.push(Refusal::wrong("grpc", what).expected(
                    "`tcp://HOST:PORT`, `unix:///PATH`, `dns:///NAME:PORT` or `HOST:PORT`",
                ));
            }
        }
        let time = |set: Option<Span>, default: Duration| set.map_or(default, Span::get);
        let number =
            |set: Option<Positive>, default| set.map_or(default, |number| number.0 as usize);
        let size = |set: Option<Bytes>| {
            set.map_or(0, |bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX))
        };
        (!addresses.is_empty()).then(|| GrpcConfig {
            addresses,
            authority: self.grpc_authority.as_ref().map(|Text(text)| text.clone()),
            receive_max: size(self.grpc_recv_max_size.or(Some(Bytes(4 << 20)))),
            send_max: size(self.grpc_send_max_size),
            connections: number(self.grpc_channels, default.connections),
            max_in_flight: number(self.grpc_max_in_flight, default.max_in_flight),
            queue: self.grpc_queue.map_or(default.queue, |count| count.0 as usize),
            queue_timeout: time(self.grpc_queue_timeout, default.queue_timeout),
            connect_timeout: time(self.grpc_connect_timeout, default.connect_timeout),
            resolve_every: time(self.grpc_resolve_interval, default.resolve_every),
            health: self.grpc_health_check.is_some_and(|flag| flag.0),
            breaker: breaker::Limits {
                failures: self
                    .grpc_breaker_failures
                    .map_or(default.breaker.failures, |number| number.0),
                rest: time(self.grpc_breaker_rest, default.breaker.rest),
                longest: time(self.grpc_breaker_max_rest, default.breaker.longest),
            },
        })
    }
}

impl TlsTable {
    fn resolve(&self, refusals: &mut Vec<Refusal>) -> Option<Tls> {
        let mut file = |key: &'static str, set: &Option<String>| {
            let set = set.as_deref().filter(|text| !text.is_empty());
            if set.is_none() {
                let missing = Refusal::wrong("tls", format!("`{key}` is required"));
                refusals.push(missing.expected("the path of a file in PEM"));
            }
            set.map(PathBuf::from)
        };
        let certificate = file("certificate", &self.certificate);
        let key = file("key", &self.key);
        Some(Tls { certificate: certificate?, key: key? })
    }
}

/// A fault of a definition as one of the table.
fn refusal(at: Refusal, fault: definition::Fault) -> Refusal {
    let mut refusal = fault.path.into_iter().fold(at, Refusal::below);
    refusal.what = fault.what;
    refusal.expected = fault.expected;
    refusal
}

#[cfg(test)]
mod tests;
