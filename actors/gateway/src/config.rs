//! What the gateway is configured to do, with defaults filled in.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::api::Api;
use crate::bundle::{self, BundleConfig, Bundled};
use crate::definition::{self, Rules};
use crate::driver::grpc::GrpcConfig;
use crate::driver::lua::LuaConfig;
use crate::driver::native::NativeConfig;
use crate::driver::python::{self, PythonConfig};
use crate::session::keys::KeyOptions;
use crate::store::SharedConfig;

/// The gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// The mode of Unix sockets.
    pub socket_mode: u32,
    /// With what TCP listeners speak TLS; `None`: they do not.
    pub tls: Option<Tls>,
    /// The certificates that upstreams are verified by, as PEM; `None`: the system's.
    pub upstream_ca: Option<PathBuf>,
    /// What it takes from clients and upstreams.
    pub limits: Limits,
    /// How long open requests may take when it stops.
    pub drain: Duration,
    /// How many threads serve; `None`: as many as there are processors.
    pub worker_threads: Option<usize>,
    /// A folder in which each `*.json` is an API.
    pub app_path: Option<PathBuf>,
    /// The APIs that the config itself names.
    pub apis: Vec<Arc<Api>>,
    /// Those of them whose hooks are in bundles.
    pub bundled: Vec<Bundled>,
    /// How bundles are got.
    pub bundles: BundleConfig,
    /// Whether hooks run.
    pub enable_coprocess: bool,
    /// How plugin servers are called that speak gRPC; `None`: there are none.
    pub grpc: Option<GrpcConfig>,
    /// How hooks in Python are run; `None`: there are none.
    pub python: Option<PythonConfig>,
    /// How hooks in Lua are run; `None`: there are none.
    pub lua: Option<LuaConfig>,
    /// Where hooks in native code are; `None`: there are none.
    pub native: Option<NativeConfig>,
    /// How long a hook may take that says nothing else.
    pub hook_timeout: Duration,
    /// Whether Tyk's oddities are mended.
    pub strict: bool,
    /// What requests to `/tyk/` have to bear; `None`: nothing is there.
    pub secret: Option<Secret>,
    /// The file of the policies.
    pub policies: Option<PathBuf>,
    /// Where keys and sessions are kept.
    pub store: StoreConfig,
    /// How keys are kept.
    pub keys: KeyOptions,
    /// A folder with templates of error pages.
    pub template_path: Option<PathBuf>,
    /// Whether names of headers that hooks set stay as they are written.
    pub verbatim_names: bool,
    /// Whether error pages are without `X-Generator`.
    pub hide_generator_header: bool,
    /// Whether connections are closed after error pages.
    pub close_connections: bool,
    /// Whether responses have `Server-Timing`.
    pub server_timing: bool,
    /// Below which path nginx's `auth_request` is answered; `None`: nowhere.
    pub auth_request: Option<String>,
    /// The coprocess that is the plugin server, if it is one.
    pub plugin: Option<String>,
    /// Whether each request is a line of the log.
    pub access_log: bool,
    /// Plugins' handlers of events that belong to no API: the event's name and the handler's.
    pub events: Vec<(String, String)>,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(_)")
    }
}

/// Where keys and sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// In a file; `None`: the one in the run path.
    File(Option<PathBuf>),
    /// In Redis.
    Redis(SharedConfig),
}

/// The name of the store's file in the run path.
pub const STORE_FILE: &str = "gateway.redb";

impl Config {
    /// All APIs that the config itself names; those with bundles are not to be served as they are.
    pub fn own_apis(&self) -> Vec<Arc<Api>> {
        let bundled = self.bundled.iter().map(|one| (one.at, one.api.clone())).collect();
        definition::in_order(&self.apis, bundled)
    }

    /// What definitions are held to.
    pub fn rules(&self) -> Rules {
        let there = [
            ("grpc", self.grpc.is_some()),
            ("python", self.python.is_some()),
            ("lua", self.lua.is_some()),
            ("native", self.native.is_some()),
        ];
        let drivers = there.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
        Rules { strict: self.strict, hooks: self.enable_coprocess, drivers, checking: false }
    }

    /// Replaces names in all paths, and makes them absolute below `folder`. The store's file is in
    /// `run_path` where nothing else is said.
    #[must_use]
    pub fn placed(
        mut self,
        interpolate: impl Fn(&str) -> String,
        folder: &Path,
        run_path: &Path,
    ) -> Self {
        let place = |path: &mut PathBuf| *path = folder.join(interpolate(&path.to_string_lossy()));
        for listen in &mut self.listen {
            if let Listen::Unix(path) = listen {
                place(path);
            }
        }
        let paths = [
            &mut self.app_path,
            &mut self.policies,
            &mut self.template_path,
            &mut self.upstream_ca,
            &mut self.bundles.public_key,
        ];
        paths.into_iter().flatten().for_each(place);
        if let Some(tls) = &mut self.tls {
            place(&mut tls.certificate);
            place(&mut tls.key);
        }
        if let Some(lua) = &mut self.lua {
            lua.path.iter_mut().for_each(place);
        }
        if let Some(native) = &mut self.native {
            place(&mut native.library);
        }
        if let Some(python) = &mut self.python {
            python.path.iter_mut().for_each(place);
            // A name is looked up where programs are; a path is one from here.
            let interpreter = interpolate(&python.interpreter);
            python.interpreter = match interpreter.contains('/') {
                true => folder.join(&interpreter).display().to_string(),
                false => interpreter,
            };
            python.folder = run_path.join(python::FOLDER);
            python.socket = run_path.join(python::SOCKET);
        }
        place(
            self.bundles.middleware_path.get_or_insert_with(|| run_path.join(bundle::MIDDLEWARE)),
        );
        if let StoreConfig::File(path) = &mut self.store {
            place(path.get_or_insert_with(|| run_path.join(STORE_FILE)));
        }
        self
    }
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A port.
    Tcp(SocketAddr),
    /// A Unix socket; absolute.
    Unix(PathBuf),
}

/// With what TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those that lead to its root, as PEM.
    pub certificate: PathBuf,
    /// Its key, as PEM.
    pub key: PathBuf,
}

/// What clients and upstreams may ask of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients at once; one more is closed at once.
    pub max_connections: usize,
    /// Requests that are being answered at once; one more is answered with 503.
    pub max_in_flight: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Bytes of a request's line and headers, or of a response's; one that has more is refused.
    pub max_header_bytes: usize,
    /// Headers of a request, or of a response.
    pub max_headers: usize,
    /// Bytes of a request's body, however it passes; 0: any number.
    pub max_body: u64,
    /// Bytes of a body that a hook wants whole.
    pub max_buffered_body: usize,
    /// The bytes of all bodies that are held whole at once.
    pub max_buffered_total: usize,
    /// How long a request's line and headers may take, and a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may keep a body waiting, in either direction.
    pub client_timeout: Duration,
    /// How long a connection to an upstream may take.
    pub connect_timeout: Duration,
    /// How long an upstream may take to begin its response, or to go on with it.
    pub upstream_timeout: Duration,
    /// Idle connections that each thread keeps to one upstream.
    pub upstream_idle: usize,
    /// How long one is kept.
    pub upstream_idle_timeout: Duration,
    /// How long an upgraded connection may be silent.
    pub tunnel_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_in_flight: 10_000,
            max_streams: 128,
            max_header_bytes: 32 << 10,
            max_headers: 100,
            max_body: 0,
            max_buffered_body: 4 << 20,
            max_buffered_total: 256 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            client_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            upstream_timeout: Duration::from_secs(60),
            upstream_idle: 64,
            upstream_idle_timeout: Duration::from_secs(60),
            tunnel_timeout: Duration::from_secs(3600),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            socket_mode: 0o660,
            tls: None,
            upstream_ca: None,
            limits: Limits::default(),
            drain: Duration::from_secs(30),
            worker_threads: None,
            app_path: None,
            apis: Vec::new(),
            bundled: Vec::new(),
            bundles: BundleConfig::default(),
            enable_coprocess: true,
            grpc: None,
            python: None,
            lua: None,
            native: None,
            hook_timeout: Duration::from_secs(30),
            strict: false,
            secret: None,
            policies: None,
            store: StoreConfig::File(None),
            keys: KeyOptions::default(),
            template_path: None,
            verbatim_names: false,
            hide_generator_header: false,
            close_connections: false,
            server_timing: false,
            auth_request: None,
            plugin: None,
            access_log: false,
            events: Vec::new(),
        }
    }
}
