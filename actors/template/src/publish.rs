//! Outputs put in place, all or none, and the memory of which they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::listing::{Id, id};

/// The mode of folders.
const FOLDER: u32 = 0o750;
/// The mode of rendered files.
const RENDERED: u32 = 0o640;

/// Something ready to be put in place; paths are whole.
#[derive(Debug)]
pub(crate) enum Ready {
    Folder(PathBuf),
    File {
        to: PathBuf,
        content: Vec<u8>,
        /// The mode of a copied file; what is rendered keeps that of the file it replaces.
        mode: Option<u32>,
    },
}

/// A step that failed, and where.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// What this wrapper put in place and is there still, as far as it knows.
#[derive(Debug, Default)]
pub(crate) struct Published {
    files: BTreeMap<PathBuf, Id>,
    folders: BTreeSet<PathBuf>,
}

/// A file written beside its place.
#[derive(Debug)]
struct Staged {
    to: PathBuf,
    beside: PathBuf,
    id: Id,
}

/// An exchange that can be taken back until it is kept.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    staged: Vec<Staged>,
    /// What was moved, with the name that the old file has meanwhile, if there was one.
    moved: Vec<(PathBuf, Option<PathBuf>)>,
    /// Folders that were made.
    made: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Id>,
    folders: BTreeSet<PathBuf>,
}

impl Exchange {
    /// Puts everything in place, and away what was published before and is not among it any more; an
    /// error has changed nothing.
    pub(crate) fn begin(all: Vec<Ready>, published: &Published) -> Result<Self, Failed> {
        let mut exchange = Self::default();
        let moved = exchange.stage(all).and_then(|()| exchange.move_all());
        match moved.and_then(|()| exchange.put_away(published)) {
            Ok(()) => Ok(exchange),
            Err(failed) => {
                exchange.take_back();
                Err(failed)
            }
        }
    }

    fn stage(&mut self, all: Vec<Ready>) -> Result<(), Failed> {
        for (number, ready) in all.into_iter().enumerate() {
            match ready {
                Ready::Folder(path) => {
                    match DirBuilder::new().mode(FOLDER).create(&path) {
                        Ok(()) => self.made.push(path.clone()),
                        Err(_) if path.is_dir() => {}
                        Err(error) => return Err(Failed { path, error }),
                    }
                    self.folders.insert(path);
                }
                Ready::File { to, content, mode } => {
                    let beside = beside(&to, "new", number);
                    let staged = write(&to, &beside, &content, mode);
                    match staged {
                        Ok(id) => self.staged.push(Staged { to, beside, id }),
                        Err(error) => {
                            let _ = fs::remove_file(&beside);
                            return Err(Failed { path: to, error });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn move_all(&mut self) -> Result<(), Failed> {
        for number in 0..self.staged.len() {
            let Staged { to, beside: new, id } = &self.staged[number];
            let old = keep(to, number).map_err(|error| Failed { path: to.clone(), error })?;
            if let Err(error) = fs::rename(new, to) {
                old.iter().for_each(|old| drop(fs::remove_file(old)));
                return Err(Failed { path: to.clone(), error });
            }
            self.files.insert(to.clone(), *id);
            self.moved.push((to.clone(), old));
        }
        self.staged.clear();
        Ok(())
    }

    /// What reads the outputs, by a pattern perhaps, shall not find those without a source.
    fn put_away(&mut self, published: &Published) -> Result<(), Failed> {
        for (number, (path, own)) in published.files.iter().enumerate() {
            if self.files.contains_key(path) || !is(path, *own) {
                continue;
            }
            let old = beside(path, "gone", number);
            fs::rename(path, &old).map_err(|error| Failed { path: path.clone(), error })?;
            self.moved.push((path.clone(), Some(old)));
        }
        Ok(())
    }

    /// Restores what was before.
    pub(crate) fn take_back(self) {
        for (to, old) in self.moved.iter().rev() {
            // What cannot be restored cannot be helped; all else still is.
            let _ = match old {
                Some(old) => fs::rename(old, to),
                None => fs::remove_file(to),
            };
        }
        // One that was moved has no file beside it any more.
        for staged in &self.staged {
            let _ = fs::remove_file(&staged.beside);
        }
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }

    /// Lets the new ones stay, and removes what was put aside for them.
    pub(crate) fn keep(self, published: &mut Published) {
        for old in self.moved.iter().filter_map(|(_, old)| old.as_ref()) {
            let _ = fs::remove_file(old);
        }
        let before = std::mem::take(published);
        published.files = self.files;
        let is_ours =
            |folder: &PathBuf| before.folders.contains(folder) || self.made.contains(folder);
        published.folders = self.folders.into_iter().filter(is_ours).collect();
        let mut folders = before.folders;
        folders.retain(|path| !published.folders.contains(path));
        Published { files: BTreeMap::new(), folders }.remove();
    }
}

impl Published {
    /// Removes all that was put in place. What somebody else has replaced since stays, and so do
    /// folders that somebody else has put something in.
    pub(crate) fn remove(self) {
        for (path, own) in &self.files {
            if is(path, *own)
                && let Err(error) = fs::remove_file(path)
            {
                tracing::warn!(target: "template", "`{}` cannot be removed: {error}", path.display());
            }
        }
        // What lies deeper comes later in their order.
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Whether the path still leads to this file.
fn is(path: &Path, own: Id) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| id(&metadata) == own)
}

/// How the names of files begin that are there during an exchange only.
pub(crate) const PASSING: &str = ".coproc-";

/// A name in the same folder that no pattern of an `include` matches.
fn beside(to: &Path, what: &str, number: usize) -> PathBuf {
    to.with_file_name(format!("{PASSING}{}-{number}.{what}", std::process::id()))
}

/// Writes the file beside its place; gives what it is known by.
fn write(to: &Path, beside: &Path, content: &[u8], mode: Option<u32>) -> io::Result<Id> {
    let before = fs::symlink_metadata(to).ok();
    if before.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    // One that a wrapper of the same pid left behind.
    let _ = fs::remove_file(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode.unwrap_or(RENDERED))
        .open(beside)?;
    if let (None, Some(before)) = (mode, before.filter(fs::Metadata::is_file)) {
        file.set_permissions(Permissions::from_mode(before.permissions().mode() & 0o777))?;
    }
    file.write_all(content)?;
    Ok(id(&file.metadata()?))
}

/// Gives the file a second name until the exchange is kept.
fn keep(to: &Path, number: usize) -> io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(to).is_err() {
        return Ok(None);
    }
    let old = beside(to, "old", number);
    let _ = fs::remove_file(&old);
    // Not every file system has second names.
    fs::hard_link(to, &old).or_else(|_| fs::copy(to, &old).map(drop))?;
    Ok(Some(old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(to: PathBuf, content: &str, mode: Option<u32>) -> Ready {
        Ready::File { to, content: content.into(), mode }
    }

    fn begin(all: Vec<Ready>) -> Result<Exchange, Failed> {
        Exchange::begin(all, &Published::default())
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn d57_a_failure_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "old").unwrap();
        fs::create_dir(at("b")).unwrap();
        let all = vec![
            Ready::Folder(at("new")),
            file(at("new/x"), "x", None),
            file(at("a"), "new", None),
            file(at("b"), "a folder is in the way", None),
        ];
        let failed = begin(all).err().unwrap();
        assert_eq!(failed.path, at("b"));
        assert_eq!(names(folder.path()), ["a", "b"]);
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "old");
    }

    #[test]
    fn an_exchange_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "old").unwrap();
        let exchange = begin(vec![file(at("a"), "new", None), file(at("b"), "new", None)]).unwrap();
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "new");
        exchange.take_back();
        assert_eq!(names(folder.path()), ["a"]);
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "old");
    }

    #[test]
    fn d58_what_has_no_source_any_more_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("theirs"), "").unwrap();
        let mut published = Published::default();
        let first = vec![
            Ready::Folder(at("d")),
            file(at("d/x"), "", None),
            file(at("y"), "", None),
            file(at("z"), "", None),
        ];
        Exchange::begin(first, &published).unwrap().keep(&mut published);
        // Somebody else's by now.
        fs::write(at("other"), "theirs").unwrap();
        fs::rename(at("other"), at("z")).unwrap();
        let exchange = Exchange::begin(vec![file(at("w"), "", None)], &published).unwrap();
        assert!(!at("y").exists() && !at("d/x").exists());
        exchange.take_back();
        assert_eq!(names(folder.path()), ["d", "theirs", "y", "z"]);
        let exchange = Exchange::begin(vec![file(at("w"), "", None)], &published).unwrap();
        exchange.keep(&mut published);
        assert_eq!(names(folder.path()), ["theirs", "w", "z"]);
        published.remove();
        assert_eq!(names(folder.path()), ["theirs", "z"]);
    }

    #[test]
    fn w86_modes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let all = vec![
            Ready::Folder(at("d")),
            file(at("d/rendered"), "", None),
            file(at("d/copied"), "", Some(0o700)),
        ];
        begin(all).unwrap().keep(&mut Published::default());
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("d"), mode("d/rendered"), mode("d/copied")), (0o750, 0o640, 0o700));
        fs::set_permissions(at("d/rendered"), Permissions::from_mode(0o600)).unwrap();
        let again = vec![file(at("d/rendered"), "", None)];
        begin(again).unwrap().keep(&mut Published::default());
        assert_eq!(mode("d/rendered"), 0o600);
    }
}
