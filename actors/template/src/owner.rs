//! To whom outputs and folders are given, where the main process runs as another user.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

/// The user and the group that the main process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

impl Owner {
    /// Makes an open file this user's.
    pub(crate) fn give(self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.user), Some(self.group))
    }

    /// Makes a folder this user's, to write to.
    pub(crate) fn give_folder(self, path: &Path) -> io::Result<()> {
        self.give(&open(path)?)
    }

    /// Lets this group read a folder as far as its owner may. It stays the wrapper's: in a folder
    /// that somebody else writes to, a name may become a link to where root must not write.
    pub(crate) fn share_folder(self, path: &Path) -> io::Result<()> {
        let folder = open(path)?;
        fchown(&folder, None, Some(self.group))?;
        let mode = folder.metadata()?.mode() & 0o777;
        folder.set_permissions(Permissions::from_mode(mode | (mode & 0o500) >> 3))
    }

    /// Whether this user can pass through a folder, as far as its mode tells.
    pub(crate) fn passes(self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|folder| {
            let bit = match () {
                () if self.user == 0 => return true,
                () if folder.uid() == self.user => 0o100,
                () if folder.gid() == self.group => 0o010,
                () => 0o001,
            };
            folder.mode() & bit != 0
        })
    }
}

/// The folder itself, never one that a link leads to.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_never_given_away() {
        let folder = tempfile::tempdir().unwrap();
        let own = fs::metadata(folder.path()).unwrap();
        let owner = Owner { user: own.uid(), group: own.gid() };
        symlink(folder.path(), folder.path().join("link")).unwrap();
        assert!(owner.give_folder(folder.path()).is_ok());
        assert!(owner.give_folder(&folder.path().join("link")).is_err());
        assert!(owner.share_folder(&folder.path().join("link")).is_err());
    }

    #[test]
    fn a_shared_folder_can_be_read_by_the_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let own = fs::metadata(&path).unwrap();
        let stranger = Owner { user: own.uid() + 1, group: own.gid() };
        assert!(!stranger.passes(&path));
        stranger.share_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
        assert!(stranger.passes(&path));
    }
}
