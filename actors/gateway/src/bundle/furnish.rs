//! Bundles in Python get the packages that they ask for.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::manifest::Manifest;
use super::packages::{self, Wanted};
use super::{Bundles, Folder, Lease, Listed, Meanwhile, Names};

impl Bundles {
    /// Ends what is being installed.
    pub fn stop(&self) {
        if let Some(installer) = &self.installer {
            installer.stop();
        }
    }

    /// Finds the packages that bundles of one API in Python ask for. With `make` they are installed first if they
    /// have to be. What is returned keeps them.
    pub(super) fn furnish(
        &self,
        folders: &mut [Folder],
        make: Option<Meanwhile<'_>>,
    ) -> Result<Vec<Arc<Lease>>, String> {
        let mut leases = Vec::new();
        let Some(installer) = &self.installer else { return Ok(leases) };
        for folder in folders {
            let Some(name) = installer.wanted(folder)? else { continue };
            let environment = installer.place().folder(&name, None);
            leases.push(self.shelf.lease(environment.clone()));
            if !installer.place().has(&name, None) {
                let lack = || "its packages are not installed yet".to_owned();
                make.ok_or_else(lack)?();
                installer.make(&name, &folder.folder)?;
            }
            folder.packages = Some(environment);
        }
        Ok(leases)
    }

    /// Why some of these bundles, by their hashes, cannot run beside the others.
    pub(super) fn conflicts(&self, listed: &Listed) -> BTreeMap<String, String> {
        let wanted = listed.iter().flat_map(|(hash, folders)| {
            folders.iter().filter_map(move |folder| {
                let environment = folder.packages.as_deref()?;
                Some(Wanted { hash, environment, packages: packages::packages(environment) })
            })
        });
        let wanted: Vec<_> = wanted.collect();
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = packages::conflicts(&wanted, |environment| in_use.contains(environment));
        let good = wanted.iter().filter(|one| !refused.contains_key(one.hash));
        *in_use = good.map(|one| one.environment.to_owned()).collect();
        refused
    }

    /// Whether packages of a bundle that is there would have to be installed.
    pub(super) fn lacks_packages(&self, names: &Names) -> bool {
        let Some(installer) = &self.installer else { return false };
        names.parts.iter().any(|part| {
            let folder = self.place().folder(&names.hash, part.folder.as_deref());
            let Ok(manifest) = Manifest::read(&folder) else { return false };
            let files = manifest.files().to_vec();
            let wanted = installer.wanted(&Folder { folder, files, ..Folder::default() });
            wanted.is_ok_and(|name| name.is_some_and(|name| !installer.place().has(&name, None)))
        })
    }
}
