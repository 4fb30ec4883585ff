//! What all chains share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::opening::Background;
use crate::access_log::AccessLog;
use crate::driver::Driver;
#[cfg(feature = "lua")]
use crate::driver::lua::Lua;
use crate::driver::python::Python;
use crate::event::{Events, Heard, Voice};
use crate::figures::Figures;
use crate::object::Rules;
use crate::page::Pages;
use crate::session::keys::Keys;
use crate::session::limits::Limits;

/// Everything that the requests of all APIs need.
#[derive(Debug)]
pub struct Services {
    /// How the gateway is set.
    pub settings: Settings,
    /// Makes pages of errors.
    pub pages: Pages,
    /// The drivers that are there, by the names that definitions know them by.
    pub drivers: BTreeMap<&'static str, Arc<dyn Driver>>,
    /// The driver for hooks in Python, for its workers and its figures.
    pub python: Option<Arc<Python>>,
    /// The driver for hooks in Lua, for its bundles.
    #[cfg(feature = "lua")]
    pub lua: Option<Arc<Lua>>,
    /// Keys, sessions and policies.
    pub keys: Arc<Keys>,
    /// Rates and quotas.
    pub limits: Limits,
    /// The way of events to plugins.
    pub events: Events,
    /// Who tells the tree of events.
    pub heard: mpsc::Sender<Heard>,
    /// Who is told of what happens to no API.
    pub voice: Arc<Voice>,
    /// The way to the access log, if one is kept.
    pub access_log: Option<AccessLog>,
    /// What was counted.
    pub figures: Arc<Figures>,
    pub(super) _background: Background,
}

/// What of the gateway's config the chains heed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How what plugins return is applied.
    pub rules: Rules,
    /// Whether hooks are called at all.
    pub enable_coprocess: bool,
    /// How long a hook may take that says nothing else.
    pub hook_timeout: Duration,
    /// Below which path nginx's subrequests are answered; `None`: nowhere.
    pub auth_request: Option<String>,
    /// Whether responses tell how long hooks and upstream took.
    pub server_timing: bool,
}
