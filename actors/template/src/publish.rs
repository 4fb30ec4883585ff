//! Outputs put in place, all or none.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::beside::{beside, keep, keep_original, write};
use crate::listing::Id;
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
mod tests {
    use super::*;

    fn file(to: PathBuf, content: &str, mode: Option<u32>) -> Ready {
        Ready::File { to, content: content.into(), mode }
    }

    fn begin(all: Vec<Ready>) -> Result<Exchange, Failed> {
        Exchange::begin(all, &Published::default(), None)
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
            Ready::Folder(at("new"), 0o750),
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
            Ready::Folder(at("d"), 0o750),
            file(at("d/x"), "", None),
            file(at("y"), "", None),
            file(at("z"), "", None),
        ];
        Exchange::begin(first, &published, None).unwrap().keep(&mut published);
        // Somebody else's by now.
        fs::write(at("other"), "theirs").unwrap();
        fs::rename(at("other"), at("z")).unwrap();
        let exchange = Exchange::begin(vec![file(at("w"), "", None)], &published, None).unwrap();
        assert!(!at("y").exists() && !at("d/x").exists());
        exchange.take_back();
        assert_eq!(names(folder.path()), ["d", "theirs", "y", "z"]);
        let exchange = Exchange::begin(vec![file(at("w"), "", None)], &published, None).unwrap();
        exchange.keep(&mut published);
        assert_eq!(names(folder.path()), ["theirs", "w", "z"]);
        published.remove();
        assert_eq!(names(folder.path()), ["theirs", "z"]);
    }

    /// A tree as text: folders end in a slash, files have their content.
    fn tree(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for name in names(folder) {
            let path = folder.join(&name);
            match path.is_dir() {
                true => {
                    all.push(format!("{name}/"));
                    all.extend(tree(&path).into_iter().map(|below| format!("{name}/{below}")));
                }
                false => all.push(format!("{name}={}", fs::read_to_string(path).unwrap())),
            }
        }
        all
    }

    #[test]
    fn a_file_becomes_a_folder_and_a_folder_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let first = || {
            vec![
                Ready::Folder(at("d"), 0o750),
                file(at("d/x"), "1", None),
                Ready::Folder(at("d/e"), 0o750),
                file(at("d/e/y"), "2", None),
                file(at("f"), "3", None),
            ]
        };
        let second = || {
            vec![
                file(at("d"), "4", None),
                Ready::Folder(at("f"), 0o750),
                file(at("f/z"), "5", None),
            ]
        };
        let as_first = ["d/", "d/e/", "d/e/y=2", "d/x=1", "f=3"];
        let as_second = ["d=4", "f/", "f/z=5"];
        let mut published = Published::default();
        Exchange::begin(first(), &published, None).unwrap().keep(&mut published);
        Exchange::begin(second(), &published, None).unwrap().take_back();
        assert_eq!(tree(folder.path()), as_first);
        let mut failing = second();
        failing.push(file(at("nowhere/x"), "", None));
        let failed = Exchange::begin(failing, &published, None).err().unwrap();
        assert_eq!(failed.path, at("nowhere/x"));
        assert_eq!(tree(folder.path()), as_first);
        Exchange::begin(second(), &published, None).unwrap().keep(&mut published);
        assert_eq!(tree(folder.path()), as_second);
        Exchange::begin(first(), &published, None).unwrap().keep(&mut published);
        assert_eq!(tree(folder.path()), as_first);
        published.remove();
        assert_eq!(tree(folder.path()), [""; 0]);
    }

    #[test]
    fn what_others_made_is_not_turned() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut published = Published::default();
        let all = vec![Ready::Folder(at("d"), 0o750), file(at("d/x"), "", None)];
        Exchange::begin(all, &published, None).unwrap().keep(&mut published);
        fs::write(at("d/theirs"), "").unwrap();
        let failed = Exchange::begin(vec![file(at("d"), "", None)], &published, None);
        let failed = failed.err().unwrap().error.to_string();
        assert!(failed.contains("d/theirs` in this folder is not coproc's"), "{failed}");
        fs::write(at("file"), "").unwrap();
        let all = vec![file(at("new"), "", None), Ready::Folder(at("file"), 0o750)];
        let failed = Exchange::begin(all, &published, None).err().unwrap().error.to_string();
        assert!(failed.contains("did not write is in the folder's place"), "{failed}");
        assert_eq!(tree(folder.path()), ["d/", "d/theirs=", "d/x=", "file="]);
    }

    #[test]
    fn what_was_there_before_is_kept_and_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "theirs").unwrap();
        let render = |text: &str, published: &Published| {
            Exchange::begin(vec![file(at("a"), text, None)], published, None).unwrap()
        };
        let mut published = Published::default();
        render("1", &published).take_back();
        assert_eq!(tree(folder.path()), ["a=theirs"]);
        for text in ["1", "2"] {
            render(text, &published).keep(&mut published);
            assert_eq!(tree(folder.path()), [".coproc-before-a=theirs", &format!("a={text}")]);
        }
        published.clone().remove();
        assert_eq!(tree(folder.path()), ["a=theirs"]);
        // One that is kept already is not lost either.
        fs::write(at(".coproc-before-a"), "older").unwrap();
        let mut published = Published::default();
        render("3", &published).keep(&mut published);
        published.remove();
        assert_eq!(tree(folder.path()), [".coproc-before-a=older", "a=theirs"]);
    }

    #[test]
    fn a_folder_of_its_own_gets_the_mode_that_it_needs_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        let mut published = Published::default();
        let begin = |mode, published: &Published| {
            Exchange::begin(vec![Ready::Folder(path.clone(), mode)], published, None).unwrap()
        };
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        begin(0o750, &published).keep(&mut published);
        begin(0o700, &published).take_back();
        assert_eq!(mode(), 0o750);
        begin(0o700, &published).keep(&mut published);
        assert_eq!(mode(), 0o700);
        assert_eq!(names(folder.path()), ["d"]);
    }

    #[test]
    fn w86_modes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let all = vec![
            Ready::Folder(at("d"), 0o750),
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
