//! Single files written beside their places, and what is put aside for them.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::identity::{Id, id};
use crate::owner::Owner;

/// How the names of files begin that are the wrapper's own; no pattern of an `include` matches them.
pub(crate) const PASSING: &str = ".coproc-";

/// The mode of rendered files.
const RENDERED: u32 = 0o640;

/// How many files of one name may be kept.
const KEPT: usize = 1000;

/// A name in the same folder.
pub(crate) fn beside(to: &Path, what: &str, number: usize) -> PathBuf {
    to.with_file_name(format!("{PASSING}{}-{number}.{what}", std::process::id()))
}

/// Writes the file beside its place; gives what it is known by.
pub(crate) fn write(
    to: &Path,
    beside: &Path,
    content: &[u8],
    mode: Option<u32>,
    owner: Option<Owner>,
) -> io::Result<Id> {
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
    if let Some(owner) = owner {
        owner.give(&file)?;
    }
    if let (None, Some(before)) = (mode, before.filter(fs::Metadata::is_file)) {
        file.set_permissions(Permissions::from_mode(before.permissions().mode() & 0o777))?;
    }
    file.write_all(content)?;
    Ok(id(&file.metadata()?))
}

/// Gives the file a second name until the exchange is kept, and tells what it is known by there.
pub(crate) fn keep(to: &Path, number: usize) -> io::Result<(PathBuf, Id)> {
    let old = beside(to, "old", number);
    let _ = fs::remove_file(&old);
    second_name(to, &old)?;
    let own = id(&fs::symlink_metadata(&old)?);
    Ok((old, own))
}

/// Gives a file that is not the wrapper's a second name until the wrapper ends, one that is free.
pub(crate) fn keep_original(to: &Path) -> io::Result<PathBuf> {
    let name = to.file_name().unwrap_or_default();
    for number in 1..=KEPT {
        let mut kept = std::ffi::OsString::from(format!("{PASSING}before-"));
        kept.push(name);
        if number > 1 {
            kept.push(format!(".{number}"));
        }
        let kept = to.with_file_name(kept);
        if fs::symlink_metadata(&kept).is_err() {
            second_name(to, &kept)?;
            return Ok(kept);
        }
    }
    Err(io::Error::other("there are too many files before it that were kept"))
}

fn second_name(to: &Path, other: &Path) -> io::Result<()> {
    // Not every file system has second names.
    fs::hard_link(to, other).or_else(|_| fs::copy(to, other).map(drop))
}
