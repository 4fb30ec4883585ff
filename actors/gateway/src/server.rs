//! A gateway whose sockets are bound, what its threads share, and the threads.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use arc_swap::ArcSwap;
use coproc_core::port::{self, PortError};
use coproc_core::socket::{BindError, Listener};
use coproc_core::threads::Threads;
use tokio::sync::{mpsc, watch};

use crate::admin::Admin;
use crate::api::Api;
use crate::bundle::{Assembly, Bundles};
use crate::chain::{Chain, Services, ServicesError};
use crate::config::{Config, Listen};
use crate::definition;
use crate::driver::STACK;
use crate::driver::grpc::Presence;
use crate::event::Heard;
use crate::page::Templates;
use crate::policy::Policies;
use crate::proxy::{Crew, Figures, Origin, Snapshot, work};
use crate::route::Routes;
use crate::tls::{Acceptor, Connector, TlsError};

/// How many clients may wait to be accepted on each socket.
const QUEUE: u32 = 4096;

/// An API with all that a request of it needs.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) api: Arc<Api>,
    pub(crate) chain: Chain,
    pub(crate) origin: Origin,
}

/// Where paths lead.
pub(crate) type Table = Routes<Arc<Served>>;

/// What all threads share. It outlives the actor.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The config whose APIs are served: that one, or a later one that differs in nothing else.
    apis: ArcSwap<Config>,
    pub(crate) routes: ArcSwap<Table>,
    /// Told when they have changed.
    pub(crate) swapped: watch::Sender<()>,
    pub(crate) tls: Option<Acceptor>,
    pub(crate) connector: Connector,
    pub(crate) figures: Arc<Figures>,
    pub(crate) services: Arc<Services>,
    pub(crate) admin: Admin,
    /// Held while the APIs are read, so that the last reload is what stays.
    reloading: Mutex<()>,
    bundles: Bundles,
}

impl Shared {
    /// Reads the APIs anew and has them served, and has workers make way for new ones. Requests that are
    /// being answered end with the old ones. This reads files.
    fn reload(&self) {
        self.load(None);
        if let Some(python) = &self.services.python {
            python.renew();
        }
    }

    /// Reads the APIs. At first none waits for bundles of others: `waits` is told when those are served that need
    /// nobody, and each of the others is as soon as it can be.
    fn load(&self, waits: Option<&dyn Fn()>) {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let config = &self.config;
        self.reread();
        let rules = config.rules();
        let own = self.apis.load_full();
        let load = |folder| definition::load(folder, &rules, &own.own_apis());
        let found = own.app_path.as_deref().map(load).unwrap_or_default();
        for problem in &found.problems {
            tracing::error!(target: "gateway", "{problem}");
        }
        for warning in &found.warnings {
            tracing::warn!(target: "gateway", "{warning}");
        }
        let places = [(&*own.apis, &*own.bundled), (&*found.apis, &*found.bundled)];
        let names = places.iter().flat_map(|(_, bundled)| bundled.iter().map(|one| &one.names));
        // What is wrong is told once all are there or have failed.
        let meanwhile = || {
            if waits.is_some() {
                self.take(Assembly::new(&places, &self.bundles, &rules, None), false);
            }
        };
        if let Some(told) = waits
            && self.bundles.waits(names)
        {
            meanwhile();
            told();
        }
        let assembly = Assembly::new(&places, &self.bundles, &rules, Some(&meanwhile));
        let assembly = self.take(assembly, waits.is_none());
        // What a definition names that cannot be read, nobody knows.
        let known = found.problems.is_empty() && config.enable_coprocess;
        let all = places.iter().flat_map(|(_, bundled)| bundled.iter().map(|one| &one.names));
        self.bundles.keep_only(known.then_some(all));
        for problem in &assembly.problems {
            tracing::error!(target: "gateway", "{problem}");
        }
        for warning in &assembly.warnings {
            tracing::warn!(target: "gateway", "{warning}");
        }
    }

    /// Has drivers know of bundles, and then the APIs served. `anew`: hooks that run in this process are made
    /// anew. What is wrong is added to the assembly.
    #[cfg_attr(not(any(feature = "lua", feature = "native")), allow(unused_variables))]
    fn take(&self, mut assembly: Assembly, anew: bool) -> Assembly {
        #[cfg(feature = "lua")]
        if let Some(lua) = &self.services.lua {
            let refused = lua.bring(std::mem::take(&mut assembly.lua), anew);
            assembly.leave_out(&refused);
        }
        #[cfg(feature = "native")]
        if let Some(native) = self.services.drivers.get("native").filter(|_| anew) {
            // It has done it when it returns.
            drop(native.reload());
        }
        if let Some(python) = &self.services.python
            && let Err(error) = python.bring(std::mem::take(&mut assembly.python))
        {
            tracing::error!(target: "gateway", "python: bundles cannot be told to workers: {error}");
        }
        self.serve(assembly.apis.iter().cloned());
        assembly
    }

    /// Reads policies, templates of pages and the certificate anew; those that are wrong leave what was there.
    fn reread(&self) {
        let told = |problem: &str| tracing::error!(target: "gateway", "nothing is reloaded of it: {problem}");
        match self.config.policies.as_deref().map(Policies::read) {
            Some(Ok(policies)) => self.services.keys.set_policies(policies),
            Some(Err(problem)) => told(&format!("policies: {problem}")),
            None => {}
        }
        if let Some(Err(problem)) = self.tls.as_ref().map(Acceptor::renew) {
            told(&format!("tls: {problem}"));
        }
        match self.config.template_path.as_deref().map(Templates::read) {
            Some(Ok(templates)) => self.services.pages.set_templates(templates),
            Some(Err(problems)) => {
                problems.iter().for_each(|problem| told(&format!("template_path: {problem}")));
            }
            None => {}
        }
    }

    /// Has these APIs served in place of those before, all at once.
    fn serve(&self, apis: impl IntoIterator<Item = Arc<Api>>) {
        let served = |api: Arc<Api>| {
            let chain = Chain::new(api.clone(), self.services.clone());
            match Origin::new(&api.upstream, chain.voice().clone()) {
                Ok(origin) => Some(Arc::new(Served { chain, origin, api })),
                Err(why) => {
                    tracing::error!(target: "gateway", "the API `{}` is left out: {why}", api.name);
                    None
                }
            }
        };
        let served: Vec<_> = apis.into_iter().filter_map(served).collect();
        let routes = Routes::new(
            served
                .iter()
                .map(|one| (one.api.listen_path.as_str(), one.api.id.as_str(), one.clone())),
        );
        self.routes.store(Arc::new(routes));
        self.swapped.send_replace(());
    }
}

/// Why a gateway cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A Unix socket cannot be bound.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// A port cannot be bound.
    #[error(transparent)]
    Port(#[from] PortError),
    /// There is no thread that reads the APIs.
    #[error("there is no thread for the gateway: {0}")]
    Thread(io::Error),
    /// TLS cannot be spoken.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// What requests need is not there.
    #[error(transparent)]
    Services(#[from] ServicesError),
}

/// A way in that is bound.
#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(Listener),
}

/// The same, for a thread.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    fn open(listen_at: &Listen, mode: u32) -> Result<Self, OpenError> {
        match listen_at {
            Listen::Unix(path) => Ok(Self::Unix(Listener::bind(path, mode, (None, None), QUEUE)?)),
            Listen::Tcp(address) => Ok(Self::Tcp(port::bind(*address, QUEUE)?)),
        }
    }

    fn socket(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(port) => Ok(Socket::Tcp(port.try_clone()?)),
            Self::Unix(listener) => Ok(Socket::Unix(listener.socket()?.into())),
        }
    }
}

/// A gateway whose sockets are bound. Clients may connect; they wait until it is served.
#[derive(Clone, Debug)]
pub struct Bound {
    pub(crate) shared: Arc<Shared>,
    /// Empty once they are closed.
    doors: Arc<Mutex<Vec<Door>>>,
    listen: Arc<[Listen]>,
    /// What happened, for the tree.
    pub(crate) heard: Arc<tokio::sync::Mutex<mpsc::Receiver<Heard>>>,
}

impl Bound {
    /// Binds everything or nothing, and reads the APIs. `presence` tells of the plugin server where it is
    /// a coprocess.
    ///
    /// # Errors
    /// As [`OpenError`] says; whoever serves there already is unharmed.
    pub fn open(
        config: Config,
        presence: Option<watch::Receiver<Presence>>,
    ) -> Result<Self, OpenError> {
        let tls = config.tls.as_ref().map(Acceptor::new).transpose()?;
        let open = |at| Door::open(at, config.socket_mode);
        let doors: Vec<_> = config.listen.iter().map(open).collect::<Result<_, _>>()?;
        let listen = doors.iter().zip(&config.listen).map(|(door, at)| match door {
            Door::Tcp(port) => port.local_addr().map_or(at.clone(), Listen::Tcp),
            Door::Unix(_) => at.clone(),
        });
        let listen = listen.collect();
        let (services, heard) = Services::open(&config, presence)?;
        let services = Arc::new(services);
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
            routes: ArcSwap::default(),
            swapped: watch::channel(()).0,
            tls,
            connector: Connector::default(),
            figures: Arc::default(),
            admin: {
                let shared = shared.clone();
                let (keys, voice) = (services.keys.clone(), services.voice.clone());
                Admin::new(keys, config.secret.clone(), voice, move || {
                    if let Some(shared) = shared.upgrade() {
                        shared.reload();
                    }
                })
            },
            reloading: Mutex::default(),
            bundles: {
                let bundles = Bundles::new(
                    config.bundles.clone(),
                    services.python.as_ref().and_then(|python| python.readers()),
                    config.upstream_ca.clone(),
                    config.python.as_ref(),
                );
                if let Some(background) = services.background() {
                    bundles.cleared_by(background);
                }
                bundles
            },
            services,
            apis: ArcSwap::from_pointee(config.clone()),
            config,
        });
        let doors = Arc::new(Mutex::new(doors));
        let heard = Arc::new(tokio::sync::Mutex::new(heard));
        let bound = Self { shared, doors, listen, heard };
        bound.load()?;
        Ok(bound)
    }

    /// Reads the APIs. Servers of bundles are not waited for longer than one of their answers may take:
    /// what they have later is served later.
    fn load(&self) -> Result<(), OpenError> {
        let (said, heard) = std::sync::mpsc::channel();
        let shared = self.shared.clone();
        let load = move || {
            let say = |over: bool| {
                // Who opens the gateway may have gone on.
                let _ = said.send(over);
            };
            shared.load(Some(&|| say(false)));
            say(true);
        };
        thread::Builder::new()
            .name("coproc-gate-api".into())
            .spawn(load)
            .map_err(OpenError::Thread)?;
        let patience = self.shared.config.bundles.timeout;
        if heard.recv() == Ok(false)
            && heard.recv_timeout(patience) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!(target: "gateway", "APIs whose bundles have not come yet are served later");
        }
        Ok(())
    }

    /// How it is configured.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Where it listens; ports that the system chose are there with their numbers.
    pub fn listen(&self) -> &[Listen] {
        &self.listen
    }

    /// What it has done so far.
    pub fn figures(&self) -> Snapshot {
        self.shared.figures.snapshot()
    }

    /// The APIs that are served, with the paths that lead to them.
    pub fn apis(&self) -> Vec<(String, Arc<Api>)> {
        let routes = self.shared.routes.load();
        routes.iter().map(|(path, served)| (path.to_owned(), served.api.clone())).collect()
    }

    /// Reads the APIs anew and has them served. Requests that are being answered end with the old
    /// ones. This reads files.
    pub fn reload(&self) {
        self.shared.reload();
    }

    /// The same with the APIs of another config, which differs in these and in `app_path` alone.
    pub fn reload_with(&self, config: Config) {
        self.shared.apis.store(Arc::new(config));
        self.shared.reload();
    }

    /// Has these APIs served in place of those before, all at once.
    pub fn serve(&self, apis: impl IntoIterator<Item = Arc<Api>>) {
        self.shared.serve(apis);
    }

    /// Who manages the keys.
    pub fn admin(&self) -> &Admin {
        &self.shared.admin
    }

    /// What APIs, hooks and drivers have done.
    pub fn services(&self) -> &Services {
        &self.shared.services
    }

    /// Closes the doors for good; Unix sockets go with their files.
    pub(crate) fn close(&self) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.bundles.stop();
        if let Some(python) = &self.shared.services.python {
            python.close();
        }
    }

    fn sockets(&self) -> io::Result<Vec<Socket>> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.iter().map(Door::socket).collect()
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor more.
    pub fn start(&self) -> io::Result<Threads> {
        let (started, stopped) = Threads::new();
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        let threads = self.shared.config.worker_threads.unwrap_or_else(processors);
        let (crew, coming) = Crew::new(threads.max(1));
        for (number, coming) in coming.into_iter().enumerate() {
            let place = (crew.clone(), coming);
            let (shared, sockets, stopped) =
                (self.shared.clone(), self.sockets()?, stopped.clone());
            thread::Builder::new().name(format!("coproc-gate-{number}")).stack_size(STACK).spawn(
                move || {
                    if let Err(error) = work(shared, number, sockets, place, stopped) {
                        tracing::error!(target: "gateway", "a thread cannot serve: {error}");
                    }
                },
            )?;
        }
        Ok(started)
    }
}

/// Where a gateway listens, as it is written.
pub fn shown(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix://{}", Path::display(path)),
    }
}
