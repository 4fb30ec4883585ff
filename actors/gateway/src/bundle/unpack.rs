//! Unpacks archives of strangers: nothing of them gets outside the folder, none of them is a link, and no
//! archive takes more room than it may, whatever it says of itself.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use coproc_core::scalar::printable;
use zip::{CompressionMethod, ZipArchive};

/// How many folders a file may be in.
const DEEPEST: usize = 16;
/// The longest path of a file, in bytes.
const LONGEST: usize = 1024;
/// The bits of a mode that say what a file is, and those of a plain file and a folder.
const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// What an archive may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and folders.
    pub entries: usize,
}

/// One entry that is to be unpacked.
struct Entry {
    number: usize,
    path: String,
    folder: bool,
}

/// Unpacks an archive into an empty folder: the files that `wanted` says. What was unpacked before something
/// is wrong stays for the caller to remove.
///
/// # Errors
/// Why the archive is not taken.
pub fn unpack(
    archive: &[u8],
    folder: &Path,
    bounds: Bounds,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let mut zip = open(archive, bounds)?;
    let mut left = bounds.bytes;
    let entries = entries(&mut zip)?;
    if count(&entries) > bounds.entries {
        return Err(format!("has more than {} files and folders", bounds.entries));
    }
    for entry in entries.iter().filter(|entry| entry.folder || wanted(&entry.path)) {
        let name = printable(&entry.path);
        let failed = |error: io::Error| format!("`{name}` cannot be unpacked: {error}");
        let path = folder.join(&entry.path);
        let above = if entry.folder { Some(path.as_path()) } else { path.parent() };
        if let Some(above) = above {
            DirBuilder::new().recursive(true).mode(0o700).create(above).map_err(failed)?;
        }
        if entry.folder {
            continue;
        }
        let content = zip.by_index(entry.number).map_err(|error| format!("`{name}`: {error}"))?;
        // Nobody else is in this folder, and what is there already was unpacked just now.
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let written =
            io::copy(&mut content.take(left.saturating_add(1)), &mut file).map_err(failed)?;
        left = left
            .checked_sub(written)
            .ok_or_else(|| format!("has more than {} bytes when it is unpacked", bounds.bytes))?;
    }
    Ok(())
}

/// One file of an archive, if it is there.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn one(archive: &[u8], name: &str, bounds: Bounds) -> Result<Option<Vec<u8>>, String> {
    let mut zip = open(archive, bounds)?;
    let number = zip.index_for_name(name).or_else(|| zip.index_for_name(&format!("./{name}")));
    let Some(number) = number else { return Ok(None) };
    let content = zip.by_index(number).map_err(|error| format!("`{name}`: {error}"))?;
    let mut bytes = Vec::new();
    content
        .take(bounds.bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| format!("`{name}` cannot be unpacked: {error}"))?;
    if bytes.len() as u64 > bounds.bytes {
        return Err(format!("`{name}` has more than {} bytes", bounds.bytes));
    }
    Ok(Some(bytes))
}

fn open(archive: &[u8], bounds: Bounds) -> Result<ZipArchive<Cursor<&[u8]>>, String> {
    let zip =
        ZipArchive::new(Cursor::new(archive)).map_err(|error| format!("is no archive: {error}"))?;
    if zip.len() > bounds.entries {
        return Err(format!("has more than {} files and folders", bounds.entries));
    }
    // Which of two is meant depends on who reads it.
    if zip.has_duplicate_names() {
        return Err("has two files of one name".to_owned());
    }
    Ok(zip)
}

/// All entries, each of them one that may be unpacked.
fn entries(zip: &mut ZipArchive<Cursor<&[u8]>>) -> Result<Vec<Entry>, String> {
    let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
    for number in 0..zip.len() {
        let file = zip.by_index_raw(number).map_err(|error| format!("cannot be read: {error}"))?;
        let name = std::str::from_utf8(file.name_raw())
            .map_err(|_| format!("its entry {number} has a name that is not UTF-8"))?;
        let wrong = |why: &str| Err(format!("`{}` {why}", printable(name)));
        let (path, named_folder) = match plain(name).strip_suffix('/') {
            Some(path) => (path, true),
            None => (plain(name), false),
        };
        if path.is_empty() && name == "./" {
            // The folder itself.
            continue;
        }
        if let Err(why) = judge(path) {
            return wrong(why);
        }
        let kind = file.unix_mode().map_or(0, |mode| mode & KIND);
        let folder = match kind {
            0 => named_folder,
            FILE if !named_folder => false,
            FOLDER if named_folder => true,
            _ => return wrong("is neither a file nor a folder"),
        };
        if file.encrypted() {
            return wrong("is encrypted");
        }
        if !matches!(file.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return wrong("is not packed by deflate");
        }
        if !seen.insert(path.to_owned()) {
            return wrong("is there twice");
        }
        entries.push(Entry { number, path: path.to_owned(), folder });
    }
    Ok(entries)
}

/// How many files and folders they come to, with those that only stand in paths.
fn count(entries: &[Entry]) -> usize {
    let mut all = BTreeSet::new();
    for entry in entries {
        let folders = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
        all.extend(folders.chain([entry.path.as_str()]));
    }
    all.len()
}

/// A path without `./` before it, with which some programs begin all of them.
pub(super) fn plain(path: &str) -> &str {
    path.strip_prefix("./").unwrap_or(path)
}

/// Whether a path stays in the folder that it is below, whoever reads it.
pub(super) fn judge(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.starts_with('/') {
        return Err("is not a path within the bundle");
    }
    if path.len() > LONGEST || path.split('/').count() > DEEPEST {
        return Err("is too long a path");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err("has characters that no path has");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("leads out of the bundle");
    }
    match path.split('/').any(|part| matches!(part, "" | ".")) {
        true => Err("is written in a way that not everybody reads alike"),
        false => Ok(()),
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
