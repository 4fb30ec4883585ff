//! Where bundles are on disk. A folder is there as a whole or not at all, also while it takes the place of
//! another one.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

/// What the folder of all bundles is called, and that of their packages.
const BUNDLES: &str = "bundles";
const ENVIRONMENTS: &str = "virtualenvs";
/// What the names of files end with that say where a bundle is from.
const SOURCE: &str = ".source";
/// How many characters the name of a bundle's folder has.
const HASH: usize = 32;
/// The mode of folders that lead to bundles: users of bundles pass, and see nothing else.
const WAY: u32 = 0o711;

/// The folder of all bundles.
#[derive(Clone, Debug)]
pub(super) struct Place {
    root: PathBuf,
    /// The group that reads bundles beside the owner.
    readers: Option<u32>,
}

/// What is known of the source of a bundle that is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Where it came from.
    pub(super) source: String,
    /// The SHA-256 of the archive.
    pub(super) sha256: String,
    /// The source's own mark of it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// When it was changed, in the source's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<String>,
}

/// A folder that is being filled. It goes when it is dropped.
#[derive(Debug)]
pub(super) struct Draft(PathBuf);

impl Draft {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that has found its place is not here any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Place {
    pub(super) fn new(middleware: &Path, readers: Option<u32>) -> Self {
        Self { root: middleware.join(BUNDLES), readers }
    }

    /// The folder of environments with packages, which are kept as bundles are.
    pub(super) fn of_environments(middleware: &Path) -> Self {
        // Their owner is who uses them, and links in them lead elsewhere.
        Self { root: middleware.join(ENVIRONMENTS), readers: None }
    }

    /// The folder of a bundle: that of the API's bundles, or one in it.
    pub(super) fn folder(&self, hash: &str, part: Option<&str>) -> PathBuf {
        let folder = self.root.join(hash);
        part.map_or(folder.clone(), |part| folder.join(part))
    }

    /// Whether a bundle is there.
    pub(super) fn has(&self, hash: &str, part: Option<&str>) -> bool {
        let folder = self.folder(hash, part);
        folder.symlink_metadata().is_ok_and(|found| found.is_dir())
    }

    /// An empty folder to fill.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        /// Tells those of this process apart.
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        way(&self.root)?;
        let number = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(format!(".new-{}-{number}", std::process::id()));
        // One of a process that had this number and did not end well.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Draft(path))
    }

    /// Has a folder take its place, with what is known of where it is from.
    pub(super) fn put(
        &self,
        draft: Draft,
        hash: &str,
        part: Option<&str>,
        stamp: &Stamp,
    ) -> io::Result<()> {
        self.open_to_readers(draft.path())?;
        let folder = self.folder(hash, part);
        if part.is_some() {
            let above = self.folder(hash, None);
            match DirBuilder::new().mode(0o700).create(&above) {
                Ok(()) => self.open_to_readers(&above)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        // Without a stamp the source is asked again, which is what a broken-off change needs.
        let stamped = self.stamped(hash, part);
        remove(&stamped)?;
        match self.has(hash, part) {
            // The draft goes with what was there.
            true => renameat_with(CWD, draft.path(), CWD, &folder, RenameFlags::EXCHANGE)?,
            false => fs::rename(draft.path(), &folder)?,
        }
        let new = stamped.with_extension("new");
        fs::write(&new, serde_json::to_vec(stamp)?)?;
        fs::rename(&new, &stamped)
    }

    /// The folders of bundles that were got, as against those that were put there by hand.
    pub(super) fn got(&self) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let hash = |name: String| {
            let (hash, _) = name.strip_suffix(SOURCE)?.split_at_checked(HASH)?;
            hash.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| self.root.join(hash))
        };
        names.filter_map(hash).collect()
    }

    /// Takes a folder away, to be gone when what is returned is dropped, with what is known of its source.
    pub(super) fn take_away(&self, folder: &Path) -> io::Result<Draft> {
        debug_assert_eq!(folder.parent(), Some(self.root.as_path()));
        let draft = self.draft()?;
        match fs::rename(folder, draft.path().join("old")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let hash = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(SOURCE));
            let own = name.and_then(|name| name.strip_prefix(hash));
            if own.is_some_and(|part| part.is_empty() || part.starts_with('.')) {
                remove(&self.root.join(format!("{}{SOURCE}", name.unwrap_or_default())))?;
            }
        }
        Ok(draft)
    }

    /// What is known of a bundle's source.
    pub(super) fn stamp(&self, hash: &str, part: Option<&str>) -> Option<Stamp> {
        let text = fs::read(self.stamped(hash, part)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn stamped(&self, hash: &str, part: Option<&str>) -> PathBuf {
        // Beside the folder: what is in it is the bundle's own.
        let part = part.map(|part| format!(".{part}")).unwrap_or_default();
        self.root.join(format!("{hash}{part}{SOURCE}"))
    }

    /// Lets the group in, and the group alone.
    fn open_to_readers(&self, path: &Path) -> io::Result<()> {
        let Some(group) = self.readers else { return Ok(()) };
        let folder = path.symlink_metadata()?.is_dir();
        chown(path, None, Some(group))?;
        fs::set_permissions(path, Permissions::from_mode(if folder { 0o750 } else { 0o640 }))?;
        if folder {
            for entry in fs::read_dir(path)? {
                self.open_to_readers(&entry?.path())?;
            }
        }
        Ok(())
    }
}

/// Makes the folders that lead to bundles, where they are not there.
fn way(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    if let Some(above) = root.parent() {
        let new = !above.is_dir();
        fs::create_dir_all(above)?;
        if new {
            fs::set_permissions(above, Permissions::from_mode(WAY))?;
        }
    }
    match fs::create_dir(root) {
        Ok(()) => fs::set_permissions(root, Permissions::from_mode(WAY)),
        // Another bundle made it just now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
