//! From a config to what all chains share: the store is opened, plugin servers' addresses are read, and a
//! thread is there for what no request waits for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};

use super::{Services, Settings};
use crate::access_log::AccessLog;
use crate::config::{Config, STORE_FILE, StoreConfig};
#[cfg(feature = "grpc")]
use crate::driver::grpc::Grpc;
use crate::driver::grpc::{AddressError, Presence};
#[cfg(feature = "lua")]
use crate::driver::lua::Lua;
#[cfg(feature = "native")]
use crate::driver::native::{self, Native};
use crate::driver::python::{self, Python};
use crate::driver::{Attendant, Driver, STACK};
use crate::event::{Events, Heard, Voice};
use crate::object::Rules;
use crate::page::{Manner, Pages, Templates};
use crate::policy::Policies;
use crate::session::keys::Keys;
use crate::session::limits::Limits;
use crate::store::{Embedded, Shared, Store, StoreError};

/// How many APIs' events may wait for the tree.
const HEARD: usize = 256;

/// Why there are no services.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policies cannot be read.
    #[error("{0}")]
    Policies(String),
    /// Templates of error pages are wrong.
    #[error("template_path: {0}")]
    Templates(String),
    /// An address of a plugin server is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There can be no workers for hooks in Python.
    #[error(transparent)]
    Python(#[from] python::OpenError),
    /// There are no hooks in native code.
    #[cfg(feature = "native")]
    #[error(transparent)]
    Native(#[from] native::OpenError),
    /// There is no thread for them.
    #[error("there is no thread for the gateway: {0}")]
    Thread(std::io::Error),
}

/// The thread for what no request waits for.
#[derive(Debug)]
pub(super) struct Background(Option<Runtime>);

impl Drop for Background {
    /// Without waiting: whoever drops it may be a task itself.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Services {
    /// The runtime for what no request waits for.
    pub(crate) fn background(&self) -> Option<Handle> {
        Some(self._background.0.as_ref()?.handle().clone())
    }

    /// Opens what a config asks for. `presence` tells of the plugin server where it is a coprocess; events
    /// for the tree come out of what is returned beside the services.
    ///
    /// # Errors
    /// As [`ServicesError`] says.
    pub fn open(
        config: &Config,
        presence: Option<watch::Receiver<Presence>>,
    ) -> Result<(Self, mpsc::Receiver<Heard>), ServicesError> {
        let store: Arc<dyn Store> = match &config.store {
            StoreConfig::File(path) => {
                Arc::new(Embedded::open(path.as_deref().unwrap_or(Path::new(STORE_FILE)))?)
            }
            StoreConfig::Redis(redis) => Arc::new(Shared::new(redis.clone())?),
        };
        let policies = match &config.policies {
            Some(path) => Policies::read(path).map_err(ServicesError::Policies)?,
            None => Policies::default(),
        };
        let templates = match &config.template_path {
            Some(folder) => Templates::read(folder)
                .map_err(|problems| ServicesError::Templates(problems.join("; ")))?,
            None => Templates::default(),
        };
        let manner = Manner {
            hide_generator: config.hide_generator_header,
            close_connections: config.close_connections,
        };
        let mut drivers = BTreeMap::<&'static str, Arc<dyn Driver>>::new();
        #[cfg(feature = "grpc")]
        if let Some(config) = &config.grpc {
            let driver = Grpc::open(config)?;
            let driver = Arc::new(match presence {
                Some(presence) => driver.awaiting(presence),
                None => driver,
            });
            drivers.insert("grpc", driver);
        }
        #[cfg(not(feature = "grpc"))]
        drop(presence);
        let python = config.python.clone().map(Python::open).transpose()?.map(Arc::new);
        if let Some(driver) = &python {
            drivers.insert("python", driver.clone());
        }
        #[cfg(feature = "lua")]
        let lua = config.lua.clone().map(Lua::open).map(Arc::new);
        #[cfg(feature = "lua")]
        if let Some(driver) = &lua {
            drivers.insert("lua", driver.clone());
        }
        #[cfg(feature = "native")]
        let native = config.native.as_ref().map(Native::open).transpose()?.map(Arc::new);
        #[cfg(feature = "native")]
        if let Some(driver) = &native {
            drivers.insert("native", driver.clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("coproc-gate-bg")
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .map_err(ServicesError::Thread)?;
        let guard = runtime.enter();
        let events = Events::start(config.hook_timeout);
        let (heard, hears) = mpsc::channel(HEARD);
        let voice = Arc::new(Voice::of_gateway(
            config.events.clone(),
            drivers.values(),
            events.clone(),
            heard.clone(),
        ));
        let attendant = Attendant {
            store: store.clone(),
            voice: voice.clone(),
            background: runtime.handle().clone(),
        };
        if let Some(python) = &python {
            python.attended_by(attendant.clone());
        }
        #[cfg(feature = "lua")]
        if let Some(lua) = &lua {
            lua.attended_by(attendant.clone());
        }
        #[cfg(feature = "native")]
        if let Some(native) = &native {
            native.start(Some(attendant))?;
        }
        let access_log = config.access_log.then(AccessLog::start);
        drop(guard);
        let keys = Arc::new(Keys::new(store, config.keys.clone(), policies));
        let services = Self {
            settings: Settings {
                rules: Rules { strict: config.strict, verbatim_names: config.verbatim_names },
                enable_coprocess: config.enable_coprocess,
                hook_timeout: config.hook_timeout,
                auth_request: config.auth_request.clone(),
                server_timing: config.server_timing,
            },
            pages: Pages::new(manner, templates),
            drivers,
            python,
            #[cfg(feature = "lua")]
            lua,
            limits: Limits::new(keys.clone()),
            keys,
            events,
            voice,
            heard,
            access_log,
            figures: Arc::default(),
            _background: Background(Some(runtime)),
        };
        Ok((services, hears))
    }
}
