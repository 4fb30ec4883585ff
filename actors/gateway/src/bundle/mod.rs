//! Bundles: hooks that come as an archive, with a manifest that says which they are.
//!
//! A bundle is brought from its source once, verified, unpacked and kept; from then on what is on disk
//! counts. What is wrong with it takes down the APIs that name it, and nothing else.

mod assembly;
mod bringing;
mod config;
mod fetch;
mod furnish;
mod installing;
mod manifest;
mod merge;
mod name;
mod packages;
mod place;
mod shelf;
mod signature;
mod source;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use self::fetch::Client;
use self::manifest::{Came, Manifest};
use self::packages::Installer;
use self::place::{Draft, Place};
use self::shelf::Shelf;
use self::signature::PublicKey;
use crate::api::Api;
use crate::driver::python::PythonConfig;
use crate::tls::Connector;

pub use self::assembly::Assembly;
pub use self::config::BundleConfig;
pub use self::name::{Names, Part};
pub use self::packages::InstallConfig;
pub use self::shelf::Lease;
pub use self::source::Base;
pub use self::unpack::{Bounds, unpack};

/// The folder in the run path where nothing else is said.
pub const MIDDLEWARE: &str = "middleware";
/// What is called when some of several bundles could be served, and others are still waited for.
pub type Meanwhile<'a> = &'a dyn Fn();

/// The hash that APIs without bundles have: that of nothing.
pub const NO_BUNDLE: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The hash of the bundles that a hook is in whose API's spec says this; `None` for one that is in no bundle.
pub fn of_spec(hash: Option<&str>) -> Option<&str> {
    hash.filter(|hash| !matches!(*hash, "" | NO_BUNDLE))
}

/// An API whose hooks are those of a bundle, before that is there.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// The API without hooks. It is not to be served.
    pub api: Arc<Api>,
    /// Its bundles.
    pub names: Names,
    /// The bundles as the definition names them.
    pub text: String,
    /// The definition.
    pub definition: Value,
    /// What the definition is called, and line and column of the bundle's name in it.
    pub file: (String, Option<(usize, usize)>),
    /// How many APIs without bundles come before it.
    pub at: usize,
}

/// A bundle, or several of one API, as they are on disk.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What stands for `custom_middleware`.
    pub hooks: Value,
    /// Those that name no hook.
    pub without_hooks: Vec<String>,
    /// Its folders.
    pub folders: Vec<Folder>,
    /// Keeps them.
    pub lease: Arc<Lease>,
}

/// The folder of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Folder {
    /// Where it is.
    pub folder: PathBuf,
    /// What tells its content from that of another archive; empty for a folder that was there already.
    pub content: String,
    /// The file that is loaded where hooks are files.
    pub main: String,
    /// The files that its manifest lists, in their order.
    #[serde(skip)]
    pub files: Vec<String>,
    /// The environment with the packages that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<PathBuf>,
}

/// Bundles by their hashes, each with its folders.
pub type Listed = Vec<(String, Vec<Folder>)>;

/// One bundle of an API: the hash of the API's names, and the bundle.
type One<'a> = (&'a str, &'a Part);

/// Brings bundles and keeps them.
#[derive(Debug)]
pub struct Bundles {
    config: BundleConfig,
    shelf: Arc<Shelf>,
    client: Client,
    /// Installs packages; `None` where that is not wanted.
    installer: Option<Installer>,
    /// The environments of packages that are in use.
    in_use: Mutex<BTreeSet<PathBuf>>,
}

impl Bundles {
    /// Bundles that `readers`, a group, may read beside the owner. Servers are verified by `ca`, and packages are
    /// installed for workers as `python` says.
    pub fn new(
        config: BundleConfig,
        readers: Option<u32>,
        ca: Option<PathBuf>,
        python: Option<&PythonConfig>,
    ) -> Self {
        let middleware = config.middleware_path.clone().unwrap_or_else(|| MIDDLEWARE.into());
        let client = Client {
            connector: Connector::default(),
            ca,
            insecure: config.insecure,
            patience: config.timeout,
            largest: config.max_size,
        };
        let environments = Place::of_environments(&middleware);
        let installer = python.and_then(|python| Installer::new(environments.clone(), python));
        let shelf = Shelf::new(Place::new(&middleware, readers), environments);
        Self { shelf, client, installer, in_use: Mutex::default(), config }
    }

    /// Has bundles removed that no API names any more, by this runtime where requests still need them now.
    pub fn cleared_by(&self, background: Handle) {
        if self.config.remove_unused {
            self.shelf.cleared_by(background);
        }
    }

    /// Removes bundles that are none of these; `None`: it is not known which are named. Those of requests
    /// that still run go when the last of them has ended.
    pub fn keep_only<'a>(&self, named: Option<impl IntoIterator<Item = &'a Names>>) {
        if !self.config.remove_unused {
            return;
        }
        let folder = |names: &Names| self.place().folder(&names.hash, None);
        let known = named.is_some();
        self.shelf.name(named.map(|named| named.into_iter().map(folder).collect()));
        if known {
            self.shelf.clear();
        }
    }

    fn place(&self) -> &Place {
        self.shelf.place()
    }

    /// Whether a server is to be asked for one of these, or packages may have to be installed.
    pub fn waits<'a>(&self, names: impl IntoIterator<Item = &'a Names>) -> bool {
        let names: Vec<_> = names.into_iter().collect();
        let slow = matches!(self.config.base, Some(Base::Server(_))) || self.installer.is_some();
        slow && !self.to_bring(names.iter().copied()).is_empty()
            || names.iter().any(|names| self.lacks_packages(names))
    }

    /// Opens bundles. With `bring` each is brought first if it has to be: this waits for files and servers.
    pub fn open(
        &self,
        names: &[&Names],
        bring: Option<Meanwhile<'_>>,
    ) -> Vec<Result<Opened, String>> {
        let key = match self.config.key() {
            Ok(key) => key,
            Err(why) => return names.iter().map(|_| Err(why.clone())).collect(),
        };
        // From here on nobody takes them away.
        let lease = |names: &&Names| self.shelf.lease(self.place().folder(&names.hash, None));
        let leases: Vec<_> = names.iter().map(lease).collect();
        let failed = bring.map(|meanwhile| {
            self.bring(self.to_bring(names.iter().copied()), key.as_ref(), meanwhile)
        });
        let failed = failed.unwrap_or_default();
        let opened = |(names, lease)| self.opened(names, lease, key.as_ref(), &failed);
        names.iter().copied().zip(leases).map(opened).collect()
    }

    /// A bundle that is what its manifest says, in a folder of its own.
    fn unpacked(&self, archive: &[u8], key: Option<&PublicKey>) -> Result<Draft, String> {
        let bounds = self.config.bounds;
        let text =
            unpack::one(archive, manifest::FILE, Bounds { bytes: manifest::LARGEST, ..bounds })?;
        let text = text.ok_or_else(|| format!("has no {}", manifest::FILE))?;
        let manifest = Manifest::parse(&text)?;
        let draft = self.place().draft();
        let draft =
            draft.map_err(|error| format!("there is no folder to unpack it in: {error}"))?;
        let listed: BTreeSet<_> = manifest.files().iter().map(String::as_str).collect();
        // A signature is about what is listed: nothing else may come in its company.
        let wanted = |path: &str| key.is_none() || path == manifest::FILE || listed.contains(path);
        unpack(archive, draft.path(), bounds, wanted)?;
        manifest.verify(draft.path(), key, Came::Fresh, bounds.bytes)?;
        Ok(draft)
    }

    /// What is on disk, once what was to be brought has come or failed.
    fn opened(
        &self,
        names: &Names,
        lease: Arc<Lease>,
        key: Option<&PublicKey>,
        failed: &BTreeMap<One<'_>, String>,
    ) -> Result<Opened, String> {
        let (mut folders, mut hooks) = (Vec::new(), Vec::new());
        let mut without_hooks = Vec::new();
        for part in &names.parts {
            let told = |why: String| format!("the bundle `{}`: {why}", part.name);
            let folder = part.folder.as_deref();
            let there = self.place().has(&names.hash, folder);
            match failed.get(&(names.hash.as_str(), part)) {
                Some(why) if there => {
                    tracing::error!(target: "gateway", "{}: what is on disk stays", told(why.clone()));
                }
                Some(why) => return Err(told(why.clone())),
                None if there => {}
                None => return Err(told(self.lack().to_owned())),
            }
            let path = self.place().folder(&names.hash, folder);
            let manifest = Manifest::read(&path).map_err(told)?;
            let came = Came::Before { skip: self.config.skip_verify };
            manifest.verify(&path, key, came, self.config.bounds.bytes).map_err(told)?;
            let content = self.place().stamp(&names.hash, folder).map(|stamp| stamp.sha256);
            folders.push(Folder {
                folder: path,
                content: content.unwrap_or_default(),
                main: manifest.main().to_owned(),
                files: manifest.files().to_vec(),
                packages: None,
            });
            if manifest.is_without_hooks() {
                without_hooks.push(part.name.clone());
            }
            hooks.push((part, manifest.custom_middleware));
        }
        let hooks = match hooks.as_slice() {
            [(part, hooks)] if part.folder.is_none() => match hooks {
                Value::Null => Value::Object(Map::new()),
                hooks => hooks.clone(),
            },
            several => {
                let named = several
                    .iter()
                    .map(|(part, hooks)| (part.folder.as_deref().unwrap_or(""), hooks));
                merge::merge(&named.collect::<Vec<_>>())
                    .map_err(|why| format!("the bundle {why}"))?
            }
        };
        Ok(Opened { hooks, without_hooks, folders, lease })
    }

    /// Why nobody was asked for a bundle that is not there.
    fn lack(&self) -> &'static str {
        match (self.config.download, &self.config.base) {
            (false, _) => "is not on disk, and `gateway.enable_bundle_downloader` is false",
            (true, None) => "is not on disk, and `gateway.bundle_base_url` names no source",
            (true, Some(_)) => "is not on disk yet",
        }
    }
}

#[cfg(test)]
#[path = "../../../../tests/support/archive.rs"]
mod archive;
#[cfg(test)]
mod tests;
