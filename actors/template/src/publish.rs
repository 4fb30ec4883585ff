//! Outputs put in place, all or none.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::beside::{beside, keep, keep_original, write};
use crate::identity::Id;
use crate::memory::{Published, is};
use crate::owner::Owner;

/// Something ready to be put in place; paths are whole.
#[derive(Debug)]
pub(crate) enum Ready {
    /// A folder and its mode, less the umask.
    Folder(PathBuf, u32),
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

/// A file written beside its place.
#[derive(Debug)]
struct Staged {
    to: PathBuf,
    beside: PathBuf,
    id: Id,
}

/// A step that was done, and what is needed to take it back.
#[derive(Debug)]
enum Done {
    /// A folder was made.
    Made(PathBuf),
    /// The folder had this mode.
    Changed(PathBuf, u32),
    /// A file was written beside its place.
    Written(PathBuf),
    /// A file was moved to where there was none.
    New(PathBuf),
    /// What is now the second was the first before.
    Aside(PathBuf, PathBuf),
}

/// An exchange that can be taken back until it is kept.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    staged: Vec<Staged>,
    /// In their order.
    done: Vec<Done>,
    /// What was put aside and is the wrapper's own, to be removed in the end.
    aside: Published,
    /// What is in place now.
    now: Published,
}

impl Exchange {
    /// Puts everything in place, and away what was published before and is not among it any more; an
    /// error has changed nothing.
    pub(crate) fn begin(
        all: Vec<Ready>,
        published: &Published,
        owner: Option<Owner>,
    ) -> Result<Self, Failed> {
        let mut exchange = Self::default();
        let staged = exchange.stage(all, published, owner);
        let moved = staged.and_then(|()| exchange.move_all(published));
        match moved.and_then(|()| exchange.put_away(published)) {
            Ok(()) => Ok(exchange),
            Err(failed) => {
                exchange.take_back();
                Err(failed)
            }
        }
    }

    fn stage(
        &mut self,
        all: Vec<Ready>,
        published: &Published,
        owner: Option<Owner>,
    ) -> Result<(), Failed> {
        for (number, ready) in all.into_iter().enumerate() {
            match ready {
                Ready::Folder(path, mode) => {
                    let made = self.folder(&path, mode, number, published, owner);
                    made.map_err(|error| Failed { path, error })?;
                }
                Ready::File { to, content, mode } => {
                    let failed = |error| Failed { path: to.clone(), error };
                    if published.folders.contains_key(&to) && !self.now.folders.contains_key(&to) {
                        self.turn_folder(&to, number, published).map_err(failed)?;
                    }
                    let beside = beside(&to, "new", number);
                    self.done.push(Done::Written(beside.clone()));
                    let id = write(&to, &beside, &content, mode, owner).map_err(failed)?;
                    self.staged.push(Staged { to, beside, id });
                }
            }
        }
        Ok(())
    }

    fn folder(
        &mut self,
        path: &Path,
        mode: u32,
        number: usize,
        published: &Published,
        owner: Option<Owner>,
    ) -> io::Result<()> {
        if let Some(own) = published.files.get(path).filter(|own| is(path, **own)) {
            let old = beside(path, "turned", number);
            fs::rename(path, &old)?;
            self.aside.files.insert(old.clone(), *own);
            self.done.push(Done::Aside(path.to_owned(), old));
        }
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => {
                self.done.push(Done::Made(path.to_owned()));
                self.now.folders.insert(path.to_owned(), mode);
                owner.map_or(Ok(()), |owner| owner.share_folder(path))
            }
            Err(_) if path.is_dir() => {
                if let Some(before) = published.folders.get(path) {
                    if *before != mode {
                        self.change(path, mode, number, owner)?;
                    }
                    self.now.folders.insert(path.to_owned(), mode);
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(io::Error::other("a file that coproc did not write is in the folder's place"))
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a folder of the wrapper's own the mode that it would have if it were made now.
    fn change(
        &mut self,
        path: &Path,
        mode: u32,
        number: usize,
        owner: Option<Owner>,
    ) -> io::Result<()> {
        let mode_of = |path: &Path| fs::metadata(path).map(|it| it.permissions().mode() & 0o777);
        // What the umask leaves of it is seen on another one: to ask for the umask is to change it.
        let other = beside(path, "mode", number);
        DirBuilder::new().mode(mode).create(&other)?;
        let wanted = mode_of(&other);
        fs::remove_dir(&other)?;
        self.done.push(Done::Changed(path.to_owned(), mode_of(path)?));
        fs::set_permissions(path, Permissions::from_mode(wanted?))?;
        owner.map_or(Ok(()), |owner| owner.share_folder(path))
    }

    /// Puts a folder of the wrapper's own aside, for a file in its place.
    fn turn_folder(&mut self, path: &Path, number: usize, published: &Published) -> io::Result<()> {
        if let Some(theirs) = foreign(path, published)? {
            let why = format!("`{}` in this folder is not coproc's", theirs.display());
            return Err(io::Error::other(why));
        }
        let old = beside(path, "turned", number);
        fs::rename(path, &old)?;
        let moved = |inner: &PathBuf| inner.strip_prefix(path).ok().map(|below| old.join(below));
        let files = published.files.iter();
        self.aside.files.extend(files.filter_map(|(inner, id)| Some((moved(inner)?, *id))));
        let folders = published.folders.iter();
        self.aside.folders.extend(folders.filter_map(|(inner, mode)| Some((moved(inner)?, *mode))));
        self.done.push(Done::Aside(path.to_owned(), old));
        Ok(())
    }

    fn move_all(&mut self, published: &Published) -> Result<(), Failed> {
        for (number, Staged { to, beside: new, id }) in
            std::mem::take(&mut self.staged).into_iter().enumerate()
        {
            let failed = |error| Failed { path: to.clone(), error };
            match fs::symlink_metadata(&to) {
                Err(_) => {
                    fs::rename(&new, &to).map_err(failed)?;
                    self.done.push(Done::New(to.clone()));
                }
                Ok(_) => {
                    let (old, own) = match published.owns(&to) {
                        true => keep(&to, number).map(|(old, own)| (old, Some(own))),
                        false => keep_original(&to).map(|old| (old, None)),
                    }
                    .map_err(failed)?;
                    if let Err(error) = fs::rename(&new, &to) {
                        let _ = fs::remove_file(&old);
                        return Err(failed(error));
                    }
                    match own {
                        Some(own) => drop(self.aside.files.insert(old.clone(), own)),
                        None => drop(self.now.originals.insert(to.clone(), old.clone())),
                    }
                    self.done.push(Done::Aside(to.clone(), old));
                }
            }
            self.now.files.insert(to, id);
        }
        Ok(())
    }

    /// What reads the outputs, by a pattern perhaps, shall not find those without a source.
    fn put_away(&mut self, published: &Published) -> Result<(), Failed> {
        for (number, (path, own)) in published.files.iter().enumerate() {
            if self.now.files.contains_key(path) || !is(path, *own) {
                continue;
            }
            let old = beside(path, "gone", number);
            fs::rename(path, &old).map_err(|error| Failed { path: path.clone(), error })?;
            self.aside.files.insert(old.clone(), *own);
            self.done.push(Done::Aside(path.clone(), old));
        }
        Ok(())
    }

    /// Restores what was before.
    pub(crate) fn take_back(self) {
        for done in self.done.into_iter().rev() {
            // What cannot be restored cannot be helped; all else still is.
            let _ = match done {
                Done::Made(path) => fs::remove_dir(path),
                Done::Changed(path, mode) => {
                    fs::set_permissions(path, Permissions::from_mode(mode))
                }
                // One that was moved has no file beside it any more.
                Done::Written(path) | Done::New(path) => fs::remove_file(path),
                Done::Aside(to, old) => fs::rename(old, to),
            };
        }
    }

    /// Files of others that are kept while outputs are in their places, with their names meanwhile.
    pub(crate) fn originals(&self) -> &BTreeMap<PathBuf, PathBuf> {
        &self.now.originals
    }

    /// What is the wrapper's own while nobody knows whether the exchange will be kept.
    pub(crate) fn either(&self, published: &Published) -> Published {
        let mut either = published.clone();
        either.files.extend(self.now.files.clone());
        either.folders.extend(self.now.folders.clone());
        either.originals.extend(self.now.originals.clone());
        either
    }

    /// Lets the new ones stay, and removes what was put aside for them.
    pub(crate) fn keep(self, published: &mut Published) {
        let mut before = std::mem::replace(published, self.now);
        let mut originals = std::mem::take(&mut before.originals);
        originals.append(&mut published.originals);
        published.originals = originals;
        let mut aside = self.aside;
        aside.folders.append(&mut before.folders);
        aside.folders.retain(|path, _| !published.folders.contains_key(path));
        aside.remove();
    }
}

/// Something below a folder that is not the wrapper's own.
fn foreign(folder: &Path, published: &Published) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match fs::symlink_metadata(&path)?.is_dir() {
            true if published.folders.contains_key(&path) => {
                if let Some(found) = foreign(&path, published)? {
                    return Ok(Some(found));
                }
            }
            false if published.owns(&path) => {}
            _ => return Ok(Some(path)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
