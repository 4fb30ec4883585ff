//! The bundles whose hooks workers run: a list in a file that each worker reads when it starts.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::bundle::{Folder, Listed};

/// The file's name, beside the Python side.
const FILE: &str = "bundles.json";

/// What is in the file.
#[derive(Serialize)]
struct List<'a> {
    /// Counts the lists.
    number: u64,
    bundles: &'a Listed,
}

/// The bundles, and since which list workers know of each.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    known: Mutex<(u64, Listed)>,
    since: ArcSwap<BTreeMap<String, u64>>,
}

impl Bundles {
    /// Has workers that start from now on know of these. Whether those that are there do not know of all.
    pub(super) fn replace(&self, folder: &Path, bundles: Listed) -> io::Result<bool> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, before) = &*known;
        if *last > 0 && *before == bundles {
            return Ok(false);
        }
        let number = last + 1;
        let path = folder.join(FILE);
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(&List { number, bundles: &bundles })?)?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o644))?;
        std::fs::rename(&new, &path)?;
        let old = self.since.load();
        // Workers that have an older content of a bundle are called all the same.
        let since = |(hash, _): &(String, Vec<Folder>)| {
            (hash.clone(), old.get(hash).copied().unwrap_or(number))
        };
        self.since.store(std::sync::Arc::new(bundles.iter().map(since).collect()));
        *known = (number, bundles);
        Ok(true)
    }

    /// The list that a worker has to have read to be called.
    pub(super) fn since(&self, bundle: Option<&str>) -> u64 {
        bundle.and_then(|hash| self.since.load().get(hash).copied()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle;

    fn asked(bundles: &Bundles, hash: &str) -> u64 {
        bundles.since(bundle::of_spec(Some(hash)))
    }

    #[test]
    fn only_a_bundle_that_is_new_needs_new_workers() {
        let place = tempfile::tempdir().unwrap();
        let bundles = Bundles::default();
        let with = |hash: &str, content: &str| {
            let folder = Folder {
                folder: hash.into(),
                content: content.into(),
                main: "a.py".into(),
                ..Folder::default()
            };
            (hash.to_owned(), vec![folder])
        };
        let replace = |list: Vec<_>| bundles.replace(place.path(), list).unwrap();
        assert!(replace(vec![with("a", "1")]));
        assert!(!replace(vec![with("a", "1")]), "nothing changed");
        assert_eq!(
            (asked(&bundles, "a"), asked(&bundles, "b"), asked(&bundles, bundle::NO_BUNDLE)),
            (1, 0, 0)
        );
        assert!(replace(vec![with("a", "2"), with("b", "1")]));
        assert_eq!((asked(&bundles, "a"), asked(&bundles, "b")), (1, 2));
        let text = std::fs::read_to_string(place.path().join(FILE)).unwrap();
        assert!(text.starts_with("{\"number\":2,\"bundles\":[[\"a\",[{"), "{text}");
        assert!(replace(vec![]));
        assert_eq!(asked(&bundles, "a"), 0);
    }
}
