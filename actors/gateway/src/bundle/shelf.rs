//! Who still needs the folders of bundles: APIs that are named, those that are served, and requests that began
//! with what was served before. Folders that nobody needs any more go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::runtime::Handle;

use super::place::Place;

/// The folders, and who needs them.
pub(super) struct Shelf {
    place: Place,
    /// The folder of environments with packages.
    environments: Place,
    needs: Mutex<Needs>,
    /// Where folders are removed, which may take a while.
    background: OnceLock<Handle>,
}

#[derive(Debug, Default)]
struct Needs {
    /// Folders of bundles that APIs name; `None`: it is not known of all of them, and nothing goes.
    named: Option<BTreeSet<PathBuf>>,
    /// How many leases there are of each folder.
    leases: BTreeMap<PathBuf, usize>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Keeps a folder for as long as it is there.
pub struct Lease {
    folder: PathBuf,
    shelf: Arc<Shelf>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.folder).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut needs = self.shelf.needs();
        let Some(left) = needs.leases.get_mut(&self.folder) else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        needs.leases.remove(&self.folder);
        let goes = needs.goes(&self.folder);
        drop(needs);
        // Who drops the last one may be a thread that serves requests.
        if let Some(background) = self.shelf.background.get().filter(|_| goes) {
            let shelf = self.shelf.clone();
            background.spawn_blocking(move || shelf.clear());
        }
    }
}

impl Needs {
    fn goes(&self, folder: &Path) -> bool {
        let named = |named: &BTreeSet<PathBuf>| !named.contains(folder);
        self.named.as_ref().is_some_and(named) && !self.leases.contains_key(folder)
    }
}

impl Shelf {
    pub(super) fn new(place: Place, environments: Place) -> Arc<Self> {
        Arc::new(Self { place, environments, needs: Mutex::default(), background: OnceLock::new() })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Has folders removed by this runtime that nobody needs once the last request of theirs has ended.
    pub(super) fn cleared_by(&self, background: Handle) {
        let _ = self.background.set(background);
    }

    fn needs(&self) -> MutexGuard<'_, Needs> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder stays while its lease is there.
    pub(super) fn lease(self: &Arc<Self>, folder: PathBuf) -> Arc<Lease> {
        *self.needs().leases.entry(folder.clone()).or_default() += 1;
        Arc::new(Lease { folder, shelf: self.clone() })
    }

    /// These are the folders that APIs name from now on; `None`: not all of them are known.
    pub(super) fn name(&self, named: Option<BTreeSet<PathBuf>>) {
        self.needs().named = named;
    }

    /// Removes what nobody needs. What was put there by hand stays.
    pub(super) fn clear(&self) {
        let mut gone = Vec::new();
        let folders = [&self.place, &self.environments]
            .map(|place| place.got().into_iter().map(move |folder| (place, folder)));
        for (place, folder) in folders.into_iter().flatten() {
            // Nobody can begin to need it meanwhile.
            let needs = self.needs();
            if !needs.goes(&folder) {
                continue;
            }
            let taken = place.take_away(&folder);
            drop(needs);
            let shown = folder.display();
            match taken {
                Ok(draft) => {
                    gone.push(draft);
                    tracing::info!(target: "gateway", "{shown} is removed: no API needs it any more");
                }
                Err(error) => {
                    tracing::warn!(target: "gateway", "{shown} cannot be removed: {error}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_when_neither_a_name_nor_a_lease_keeps_it() {
        let place = tempfile::tempdir().unwrap();
        let environments = Place::of_environments(place.path());
        let shelf = Shelf::new(Place::new(place.path(), None), environments);
        let put = |hash: &str| {
            let draft = shelf.place().draft().unwrap();
            std::fs::write(draft.path().join("a"), "a").unwrap();
            shelf.place().put(draft, hash, None, &Default::default()).unwrap();
            shelf.place().folder(hash, None)
        };
        let all = ["a", "b", "c"].map(|letter| letter.repeat(32));
        let [a, b, c] = [&all[0], &all[1], &all[2]].map(|hash| put(hash));
        let by_hand = shelf.place().folder(&"d".repeat(32), None);
        std::fs::create_dir(&by_hand).unwrap();
        let there = || [&a, &b, &c, &by_hand].map(|folder| folder.is_dir());
        let lease = shelf.lease(b.clone());
        shelf.clear();
        assert_eq!(there(), [true; 4], "nobody knows yet what is named");
        shelf.name(Some([a.clone()].into()));
        shelf.clear();
        assert_eq!(there(), [true, true, false, true]);
        drop(lease);
        shelf.clear();
        assert_eq!(there(), [true, false, false, true]);
        // Nothing of them is left.
        let left = std::fs::read_dir(a.parent().unwrap()).unwrap().count();
        assert_eq!(left, 3, "two folders, and where one is from");
        shelf.name(None);
        shelf.clear();
        assert_eq!(there(), [true, false, false, true]);
    }
}
