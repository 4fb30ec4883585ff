//! The folders of tasks, in which providers register by a socket's being there.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::router::{Order, arrange, equals, is_task, orders_differ, priority};

/// How long a socket on which nobody listened is asked after the others.
const REFUSED: Duration = Duration::from_secs(1);
/// How old a folder's last change has to be for a listing to be the whole of it: two changes within
/// a tick of the file system's clock look like one.
const SETTLED: Duration = Duration::from_millis(50);
/// How many folders are remembered.
const FOLDERS: usize = 1024;

/// The folders, and what is remembered of them.
#[derive(Debug)]
pub(crate) struct Directory {
    base: PathBuf,
    order: Order,
    rotate: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    listings: HashMap<String, Listing>,
    refused: HashMap<Arc<Path>, Instant>,
    turn: usize,
}

#[derive(Debug)]
struct Listing {
    stamp: Stamp,
    names: Vec<String>,
    sockets: Vec<Arc<Path>>,
}

/// By which a folder is known to be unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Directory {
    pub(crate) fn new(base: PathBuf, order: Order, rotate: bool) -> Self {
        Self { base, order, rotate, known: Mutex::default() }
    }

    /// The sockets to ask for a task, in their order; none if nobody registered, or if the task's
    /// name cannot be that of a folder.
    pub(crate) fn sockets(&self, task: &str, now: Instant) -> Vec<Arc<Path>> {
        if !is_task(task) {
            return Vec::new();
        }
        let folder = self.base.join(task);
        let mut known = self.known();
        let Some((stamp, settled)) = stamp(&folder) else {
            known.listings.remove(task);
            return Vec::new();
        };
        let fresh = known.listings.get(task).is_some_and(|listing| listing.stamp == stamp);
        if !fresh {
            let listing = Listing::read(&folder, stamp, self.order);
            // Whoever registered anew is not the one that was not there.
            for socket in &listing.sockets {
                known.refused.remove(socket);
            }
            if !settled {
                known.listings.remove(task);
                return self.ordered(&listing, &mut known, now);
            }
            if known.listings.len() >= FOLDERS {
                known.listings.clear();
            }
            known.listings.insert(task.to_owned(), listing);
        }
        let Some(listing) = known.listings.remove(task) else { return Vec::new() };
        let sockets = self.ordered(&listing, &mut known, now);
        known.listings.insert(task.to_owned(), listing);
        sockets
    }

    /// Notes that nobody listens on a socket.
    pub(crate) fn refused(&self, socket: &Arc<Path>, now: Instant) {
        let mut known = self.known();
        known.refused.retain(|_, until| *until > now);
        known.refused.insert(socket.clone(), now + REFUSED);
    }

    fn ordered(&self, listing: &Listing, known: &mut Known, now: Instant) -> Vec<Arc<Path>> {
        let mut sockets = listing.sockets.clone();
        if self.rotate {
            let mut first = 0;
            while first < sockets.len() {
                let count = equals(&listing.names, first).max(1);
                sockets[first..first + count].rotate_left(known.turn % count);
                first += count;
            }
            known.turn = known.turn.wrapping_add(1);
        }
        if !known.refused.is_empty() {
            let late = |socket: &Arc<Path>| known.refused.get(socket).is_some_and(|at| *at > now);
            sockets.sort_by_key(late);
        }
        sockets
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listing {
    fn read(folder: &Path, stamp: Stamp, order: Order) -> Self {
        let names = names(folder, order);
        let sockets = names.iter().map(|name| folder.join(name).into()).collect();
        Self { stamp, names, sockets }
    }
}

/// The state of a folder, and whether it changed long enough ago; `None` if it is none. A link to a
/// folder is none.
fn stamp(folder: &Path) -> Option<(Stamp, bool)> {
    let metadata = fs::symlink_metadata(folder).ok().filter(fs::Metadata::is_dir)?;
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    let stamp = Stamp { device: metadata.dev(), inode: metadata.ino(), changed };
    let at = UNIX_EPOCH
        + Duration::new(changed.0.try_into().unwrap_or(0), changed.1.try_into().unwrap_or(0));
    let settled = SystemTime::now().duration_since(at).is_ok_and(|age| age > SETTLED);
    Some((stamp, settled))
}

/// The names of the sockets in a folder, arranged. Links are passed over.
fn names(folder: &Path, order: Order) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
    let mut names = sockets.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    arrange(&mut names, order);
    names
}

/// A task that somebody registered for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its name.
    pub task: String,
    /// Who answers it, in the order in which they are asked.
    pub providers: Vec<Provider>,
}

/// A socket that answers a task. Whether anybody listens on it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provider {
    /// The number in the socket's name.
    pub priority: Option<i64>,
    /// The rest of the name, without `.sock`.
    pub service: String,
    /// The socket.
    pub socket: PathBuf,
}

/// All tasks for which there are sockets below a socket directory, by name.
pub fn tasks(socket_dir: &Path, order: Order) -> Vec<Task> {
    let mut tasks: Vec<_> = folders(socket_dir)
        .into_iter()
        .map(|task| {
            let folder = socket_dir.join(&task);
            let provider = |name: String| {
                let (number, rest) = match priority(&name) {
                    Some((number, rest)) => (Some(number), rest),
                    None => (None, name.as_str()),
                };
                let service = rest.strip_suffix(".sock").unwrap_or(rest).to_owned();
                Provider { priority: number, service, socket: folder.join(&name) }
            };
            let providers = names(&folder, order).into_iter().map(provider).collect();
            Task { task, providers }
        })
        .filter(|task: &Task| !task.providers.is_empty())
        .collect();
    tasks.sort_by(|a, b| a.task.cmp(&b.task));
    tasks
}

/// The names of the folders of tasks.
pub(crate) fn folders(socket_dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(socket_dir).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| is_task(name)).collect()
}

/// Whether anybody registered in a task's folder.
pub(crate) fn has_sockets(folder: &Path) -> bool {
    !names(folder, Order::Text).is_empty()
}

/// The tasks whose providers the original would ask in another order.
pub(crate) fn reordered(socket_dir: &Path) -> Vec<String> {
    let mut tasks = tasks(socket_dir, Order::Number);
    tasks.retain(|task| {
        let file = |provider: &Provider| Some(provider.socket.file_name()?.to_str()?.to_owned());
        orders_differ(&task.providers.iter().filter_map(file).collect::<Vec<_>>())
    });
    tasks.into_iter().map(|task| task.task).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn shown(sockets: &[Arc<Path>]) -> Vec<String> {
        sockets.iter().map(|s| s.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn k13_a_socket_without_a_listener_is_asked_last_for_a_while() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("t");
        fs::create_dir(&folder).unwrap();
        let _sockets = ["1-a", "2-b"].map(|name| UnixListener::bind(folder.join(name)).unwrap());
        let directory = Directory::new(base.path().into(), Order::Number, false);
        // Until the folder has settled each request looks anew, and forgets.
        std::thread::sleep(SETTLED * 2);
        let now = Instant::now();
        let sockets = directory.sockets("t", now);
        assert_eq!(shown(&sockets), ["1-a", "2-b"]);
        directory.refused(&sockets[0], now);
        assert_eq!(shown(&directory.sockets("t", now)), ["2-b", "1-a"]);
        assert_eq!(shown(&directory.sockets("t", now + REFUSED)), ["1-a", "2-b"]);
        let _third = UnixListener::bind(folder.join("0-c")).unwrap();
        assert_eq!(shown(&directory.sockets("t", now)), ["0-c", "1-a", "2-b"]);
    }

    #[test]
    fn k02_links_and_files_are_no_providers() {
        let base = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(outside.path().join("1-x")).unwrap();
        symlink(outside.path(), base.path().join("linked")).unwrap();
        let folder = base.path().join("t");
        fs::create_dir(&folder).unwrap();
        symlink(outside.path().join("1-x"), folder.join("1-x")).unwrap();
        fs::write(folder.join("2-x"), "").unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let directory = Directory::new(base.path().into(), Order::Number, false);
        for task in ["linked", "t", "file", "absent", "..", "coordinator"] {
            assert!(directory.sockets(task, Instant::now()).is_empty(), "{task}");
        }
        assert!(tasks(base.path(), Order::Number).is_empty());
    }

    #[test]
    fn equals_take_turns_if_asked_to() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("t");
        fs::create_dir(&folder).unwrap();
        let _sockets =
            ["1-a", "1-b", "2-c"].map(|name| UnixListener::bind(folder.join(name)).unwrap());
        let directory = Directory::new(base.path().into(), Order::Number, true);
        let now = Instant::now();
        assert_eq!(shown(&directory.sockets("t", now)), ["1-a", "1-b", "2-c"]);
        assert_eq!(shown(&directory.sockets("t", now)), ["1-b", "1-a", "2-c"]);
        let listed = tasks(base.path(), Order::Number);
        assert_eq!(listed[0].task, "t");
        assert_eq!(listed[0].providers[2].priority, Some(2));
        assert_eq!(listed[0].providers[2].service, "c");
    }
}
