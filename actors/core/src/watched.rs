//! Files and folders whose changes are told by inotify, whichever way they change: written, removed,
//! replaced by a rename, or reached by a link that is turned elsewhere, as Kubernetes does with the
//! files of a ConfigMap.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

/// How many folders are watched at most, all paths together.
const MOST: usize = 1024;
/// How many links may lead from one to the next.
const LINKS: usize = 40;
/// How often the time of quiet is waited for while changes go on; then they are told all the same.
const ROUNDS: u32 = 10;

/// What a change of a folder is told of.
const CHANGES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Paths that are watched. A folder is, with all that is in it and below.
#[derive(Debug)]
pub struct Watched {
    paths: Vec<PathBuf>,
    /// Whether a change of an entry of this name matters in a folder that is watched as a whole.
    matters: fn(&OsStr) -> bool,
    /// For each path whether it led to something when it was last looked at.
    there: Vec<bool>,
    heed: Heed,
}

/// One inotify and what its watches are for.
#[derive(Debug)]
struct Heed {
    news: AsyncFd<OwnedFd>,
    /// By the number of a watch.
    folders: HashMap<i32, (PathBuf, Vec<Target>)>,
}

/// What is heeded in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// The entry; none: all that matter.
    name: Option<OsString>,
    /// For which of the paths.
    path: usize,
}

impl Watched {
    /// Begins to watch, in the event loop of this thread; a path need not be there yet.
    ///
    /// # Errors
    /// When there is no inotify left, or no watch.
    pub fn new(paths: Vec<PathBuf>, matters: fn(&OsStr) -> bool) -> io::Result<Self> {
        let there = paths.iter().map(|path| path.exists()).collect();
        let heed = Heed::new(&paths, matters)?;
        Ok(Self { paths, matters, there, heed })
    }

    /// Resolves once something changed and then nothing did for `quiet`, or for ten times as long
    /// something did all the time: which of the paths changed first. What changes until the next call
    /// is told by that one. A path that is missing has not changed where only folders on the way to it
    /// came or went.
    ///
    /// # Errors
    /// As [`Watched::new`], since folders come and go.
    pub async fn changed(&mut self, quiet: Duration) -> io::Result<&Path> {
        loop {
            let (changed, settled) = self.settled(quiet).await?;
            let mut first = None;
            for path in changed {
                let there = self.paths[path].exists();
                let before = std::mem::replace(&mut self.there[path], there);
                if !settled || before || there {
                    first = first.or(Some(path));
                }
            }
            if let Some(first) = first {
                return Ok(&self.paths[first]);
            }
        }
    }

    /// The paths that changed, the first one first, and whether it is quiet now.
    async fn settled(&mut self, quiet: Duration) -> io::Result<(Vec<usize>, bool)> {
        let mut changed = Vec::new();
        while changed.is_empty() {
            self.heed.heard(self.matters, &mut changed).await?;
        }
        let end = Instant::now() + quiet * ROUNDS;
        let mut until = Instant::now() + quiet;
        loop {
            while let Ok(heard) =
                timeout_at(until.min(end), self.heed.heard(self.matters, &mut changed)).await
            {
                if heard? {
                    until = Instant::now() + quiet;
                }
                if Instant::now() >= end {
                    break;
                }
            }
            // Both are open for a moment, so that nothing happens unseen.
            let next = Heed::new(&self.paths, self.matters)?;
            let before = std::mem::replace(&mut self.heed, next);
            let quiet_now = !before.read(self.matters, &mut changed)?;
            if quiet_now || Instant::now() >= end {
                return Ok((changed, quiet_now));
            }
            until = Instant::now() + quiet;
        }
    }
}

impl Heed {
    fn new(paths: &[PathBuf], matters: fn(&OsStr) -> bool) -> io::Result<Self> {
        let news = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut folders = HashMap::new();
        for (folder, target) in targets(paths, matters) {
            match inotify::add_watch(&news, &folder, CHANGES) {
                Ok(number) => {
                    let (_, heeded): &mut (PathBuf, Vec<Target>) =
                        folders.entry(number).or_insert_with(|| (folder, Vec::new()));
                    heeded.push(target);
                }
                // It went meanwhile, or is none any more.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { news: crate::process::watch(news, Interest::READABLE)?, folders })
    }

    /// Waits for news, and notes of which of the paths they are; whether any matter.
    async fn heard(
        &self,
        matters: fn(&OsStr) -> bool,
        changed: &mut Vec<usize>,
    ) -> io::Result<bool> {
        let mut ready = self.news.readable().await?;
        let heard = self.read(matters, changed)?;
        ready.clear_ready();
        Ok(heard)
    }

    /// Reads all news that there are, as [`Heed::heard`] does.
    fn read(&self, matters: fn(&OsStr) -> bool, changed: &mut Vec<usize>) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.news.get_ref().as_fd(), &mut space);
        let mut any = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    let paths = self.concerned(event.wd(), event.events(), name, matters);
                    any |= !paths.is_empty();
                    for path in paths {
                        if !changed.contains(&path) {
                            changed.push(path);
                        }
                    }
                }
                Err(Errno::AGAIN) => return Ok(any),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Which of the paths an event is of.
    fn concerned(
        &self,
        number: i32,
        what: ReadFlags,
        name: Option<&OsStr>,
        matters: fn(&OsStr) -> bool,
    ) -> Vec<usize> {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Whatever it was, it was too much to be told.
            return self.folders.values().flat_map(|(_, all)| all).map(|one| one.path).collect();
        }
        let Some((folder, targets)) = self.folders.get(&number) else { return Vec::new() };
        if what.contains(ReadFlags::IGNORED) {
            return Vec::new();
        }
        // A file is made before it is written, and being written is told of by itself.
        if let Some(name) = name
            && what.contains(ReadFlags::CREATE)
            && !is_whole(&folder.join(name))
        {
            return Vec::new();
        }
        let meant = |target: &&Target| match (name, &target.name) {
            (None, _) => true,
            (Some(name), Some(one)) => one == name,
            (Some(name), None) => matters(name),
        };
        targets.iter().filter(meant).map(|target| target.path).collect()
    }
}

/// Whether what was just made needs no writing: a folder, a link, or a file of one more name.
fn is_whole(made: &Path) -> bool {
    let plain = |file: fs::Metadata| file.is_file() && file.nlink() == 1;
    !made.symlink_metadata().is_ok_and(plain)
}

/// The folders to watch, and what in them.
fn targets(paths: &[PathBuf], matters: fn(&OsStr) -> bool) -> Vec<(PathBuf, Target)> {
    let mut all = Vec::new();
    for (path, start) in paths.iter().enumerate() {
        let named = |(folder, name)| (folder, Target { name: Some(name), path });
        let (names, end) = way(start);
        all.extend(names.into_iter().map(named));
        let Some(end) = end.filter(|end| end.is_dir()) else { continue };
        let mut next = VecDeque::from([end]);
        while let Some(folder) = next.pop_front() {
            if all.len() >= MOST {
                break;
            }
            // One that went meanwhile has nothing in it.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if !matters(&entry.file_name()) {
                    continue;
                }
                if kind.is_dir() {
                    next.push_back(entry.path());
                } else if kind.is_symlink() {
                    all.extend(way(&entry.path()).0.into_iter().map(named));
                }
            }
            all.push((folder, Target { name: None, path }));
        }
    }
    all.truncate(MOST);
    all
}

/// The names on the way to a path that decide where it leads: its own and those of links. And where it
/// leads, if that is there.
fn way(path: &Path) -> (Vec<(PathBuf, OsString)>, Option<PathBuf>) {
    let mut names = Vec::new();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    let owned = |path: &Path| -> VecDeque<OsString> {
        path.components().map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut parts = owned(path);
    while let Some(part) = parts.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::Normal(name)) => {
                let here = at.join(name);
                match here.symlink_metadata() {
                    Ok(file) if file.is_symlink() && links < LINKS => {
                        links += 1;
                        names.push((at.clone(), part));
                        let Ok(target) = fs::read_link(&here) else { return (names, None) };
                        let mut longer = owned(&target);
                        longer.extend(parts);
                        parts = longer;
                    }
                    Ok(_) => {
                        if parts.is_empty() {
                            names.push((at, part));
                        }
                        at = here;
                    }
                    // What is to appear here may be on the way.
                    Err(_) => {
                        names.push((at, part));
                        return (names, None);
                    }
                }
            }
            _ => {}
        }
    }
    (names, Some(at))
}

/// Whether an entry of this name is somebody's own: not what editors leave beside a file, nor hidden.
/// `..data` is the link by which Kubernetes replaces the files of a ConfigMap.
pub fn is_of_users(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let left = [&b"~"[..], b".swp", b".swx", b".tmp"].iter().any(|end| name.ends_with(end));
    // vim tries with this one whether it may write.
    name == b"..data" || !(left || name.starts_with(b".") || name == b"4913")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tokio::time::timeout;

    const QUIET: Duration = Duration::from_millis(30);
    const SOON: Duration = Duration::from_millis(300);

    fn watched(paths: &[&Path]) -> Watched {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Watched::new(paths, is_of_users).unwrap()
    }

    async fn next(watched: &mut Watched) -> PathBuf {
        watched.changed(QUIET).await.unwrap().to_owned()
    }

    async fn nothing(watched: &mut Watched) -> bool {
        timeout(SOON, watched.changed(QUIET)).await.is_err()
    }

    #[actix_rt::test]
    async fn a_file_that_is_written_replaced_removed_and_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.conf");
        fs::write(&file, "1").unwrap();
        let mut watched = watched(&[&file]);
        fs::write(folder.path().join("other"), "x").unwrap();
        assert!(nothing(&mut watched).await, "another file");
        fs::write(&file, "2").unwrap();
        assert_eq!(next(&mut watched).await, file);
        fs::write(folder.path().join("new"), "3").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        assert_eq!(next(&mut watched).await, file);
        fs::remove_file(&file).unwrap();
        assert_eq!(next(&mut watched).await, file);
        fs::write(&file, "4").unwrap();
        assert_eq!(next(&mut watched).await, file);
        assert!(nothing(&mut watched).await, "that was all");
    }

    /// As the kubelet does it: a new folder, and a link to it that takes the place of the old one.
    #[actix_rt::test]
    async fn the_files_of_a_config_map() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path();
        let version = |name: &str, text: &str| {
            fs::create_dir(mount.join(name)).unwrap();
            fs::write(mount.join(name).join("a.conf"), text).unwrap();
            symlink(name, mount.join("..data_tmp")).unwrap();
            fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        };
        version("..2026_1", "1");
        let file = mount.join("a.conf");
        symlink("..data/a.conf", &file).unwrap();
        let (mut of_file, mut of_folder) = (watched(&[&file]), watched(&[mount]));
        for name in ["..2026_2", "..2026_3"] {
            version(name, name);
            assert_eq!(fs::read_to_string(&file).unwrap(), name);
            assert_eq!(next(&mut of_file).await, file);
            assert_eq!(next(&mut of_folder).await, mount);
            assert!(nothing(&mut of_file).await, "once");
        }
    }

    #[actix_rt::test]
    async fn a_folder_with_what_comes_to_be_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf");
        let mut watched = watched(&[&path]);
        fs::create_dir_all(path.join("below")).unwrap();
        assert_eq!(next(&mut watched).await, path);
        for name in [".a.conf.swp", "a.conf~", "4913"] {
            fs::write(path.join(name), "").unwrap();
        }
        assert!(nothing(&mut watched).await, "what editors leave");
        fs::write(path.join("below/a.conf"), "").unwrap();
        assert_eq!(next(&mut watched).await, path);
    }

    #[actix_rt::test]
    async fn a_missing_file_changes_when_it_comes_and_not_with_folders_on_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let (below, other) = (folder.path().join("tls"), folder.path().join("other"));
        let file = below.join("tls.crt");
        let mut watched = watched(&[&file, &other]);
        fs::create_dir(&below).unwrap();
        assert!(nothing(&mut watched).await, "only its folder");
        fs::remove_dir(&below).unwrap();
        fs::create_dir(&below).unwrap();
        fs::write(&other, "").unwrap();
        assert_eq!(next(&mut watched).await, other, "the one that changed");
        fs::write(&file, "").unwrap();
        assert_eq!(next(&mut watched).await, file);
        fs::rename(&below, folder.path().join("aside")).unwrap();
        assert_eq!(next(&mut watched).await, file, "it went");
        assert!(nothing(&mut watched).await);
    }

    #[actix_rt::test]
    async fn what_happens_between_two_calls_is_told_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let mut watched = watched(&[&a, &b]);
        fs::write(&b, "").unwrap();
        fs::write(&a, "").unwrap();
        assert_eq!(next(&mut watched).await, b, "the first");
        fs::write(&a, "").unwrap();
        assert_eq!(next(&mut watched).await, a);
    }
}
