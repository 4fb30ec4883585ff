//! The memory of which outputs are the wrapper's own, kept in a file for one that was killed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::identity::{Id, id};

/// What this wrapper put in place and is there still, as far as it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) files: BTreeMap<PathBuf, Id>,
    /// With the mode that was asked for.
    pub(crate) folders: BTreeMap<PathBuf, u32>,
    /// Where files of others are kept that were in the place of outputs.
    pub(crate) originals: BTreeMap<PathBuf, PathBuf>,
}

/// Whether the path still leads to this file.
pub(crate) fn is(path: &Path, own: Id) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| id(&metadata) == own)
}

impl Published {
    /// Whether what is there now was put there by the wrapper.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|own| is(path, *own))
    }

    /// Removes all that was put in place, and puts back what was there before. What somebody else
    /// has replaced since stays, and so do folders that somebody else has put something in.
    pub(crate) fn remove(self) {
        let warn = |path: &Path, what: &str, error: &dyn std::fmt::Display| {
            tracing::warn!(target: "template", "`{}` cannot be {what}: {error}", path.display());
        };
        for (path, own) in &self.files {
            if is(path, *own)
                && let Err(error) = fs::remove_file(path)
            {
                warn(path, "removed", &error);
            }
        }
        for (path, kept) in &self.originals {
            if fs::symlink_metadata(path).is_ok() {
                warn(kept, "put back", &format!("`{}` is somebody else's by now", path.display()));
            } else if let Err(error) = fs::rename(kept, path) {
                warn(kept, "put back", &error);
            }
        }
        // What lies deeper comes later in their order.
        for folder in self.folders.keys().rev() {
            let _ = fs::remove_dir(folder);
        }
    }

    /// What a wrapper wrote down that was killed, or that left its outputs, as far as it still is as
    /// it was left.
    pub(crate) fn read(record: &Path) -> Self {
        let mut published = Self::default();
        for line in bytes(record).unwrap_or_default().split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == 0);
            let mut field = || fields.next().unwrap_or_default();
            let (kind, stamp, path, more) = (field(), field(), field(), field());
            let path = Path::new(OsStr::from_bytes(path)).to_owned();
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let more_path = || PathBuf::from(OsStr::from_bytes(more));
            match kind {
                b"file" if metadata.is_file() && stamp == file_stamp(&metadata).as_bytes() => {
                    published.files.insert(path, id(&metadata));
                }
                b"folder" if metadata.is_dir() && stamp == folder_stamp(&metadata).as_bytes() => {
                    let mode = std::str::from_utf8(more).ok().and_then(|mode| mode.parse().ok());
                    published.folders.insert(path, mode.unwrap_or_default());
                }
                b"kept" => {
                    published.originals.insert(more_path(), path);
                }
                _ => {}
            }
        }
        published
    }

    /// Writes down what is known, for a wrapper that comes after one that was killed. Where there is
    /// nothing to know there is no file.
    pub(crate) fn write(&self, record: &Path) -> io::Result<()> {
        let mut text = Vec::new();
        let mut line = |fields: [&[u8]; 4]| {
            // A name with the mark of a line's end is none that can be told again.
            if !fields.iter().any(|field| field.contains(&b'\n')) {
                text.extend_from_slice(&fields.join(&0));
                text.push(b'\n');
            }
        };
        let name = |path: &Path| path.as_os_str().as_bytes().to_owned();
        for path in self.files.keys().filter(|path| self.owns(path)) {
            if let Ok(metadata) = fs::symlink_metadata(path) {
                line([b"file", file_stamp(&metadata).as_bytes(), &name(path), b""]);
            }
        }
        for (path, mode) in &self.folders {
            if let Ok(metadata) = fs::symlink_metadata(path) {
                let mode = mode.to_string();
                line([b"folder", folder_stamp(&metadata).as_bytes(), &name(path), mode.as_bytes()]);
            }
        }
        for (path, kept) in &self.originals {
            line([b"kept", b"", &name(kept), &name(path)]);
        }
        if text.is_empty() {
            return match fs::remove_file(record) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let beside = crate::beside::beside(record, "new", 0);
        let _ = fs::remove_file(&beside);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&beside, record));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

/// The record, if it is the wrapper's own: what it names may be removed.
fn bytes(record: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(record)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    if metadata.is_file() && metadata.uid() == geteuid().as_raw() {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// What a file is told by that was neither replaced nor changed. A number alone may be given anew.
fn file_stamp(file: &Metadata) -> String {
    let (device, inode) = id(file);
    format!("{device} {inode} {} {}.{}", file.size(), file.mtime(), file.mtime_nsec())
}

fn folder_stamp(folder: &Metadata) -> String {
    let (device, inode) = id(folder);
    format!("{device} {inode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_known_again_unless_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "b", "kept"] {
            fs::write(at(name), name).unwrap();
        }
        fs::create_dir(at("d")).unwrap();
        let mut published = Published::default();
        for name in ["a", "b"] {
            published.files.insert(at(name), id(&fs::metadata(at(name)).unwrap()));
        }
        published.folders.insert(at("d"), 0o750);
        published.originals.insert(at("a"), at("kept"));
        published.write(&at("record")).unwrap();
        assert_eq!(Published::read(&at("record")), published);
        fs::write(at("b"), "changed").unwrap();
        published.files.remove(&at("b"));
        assert_eq!(Published::read(&at("record")), published);
        Published::default().write(&at("record")).unwrap();
        assert!(!at("record").exists());
        assert_eq!(Published::read(&at("record")), Published::default());
    }

    #[test]
    fn a_record_that_is_none_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        for text in ["", "\0\n\0\0\0\0\n", "file\0x\0/etc/passwd\0\nfile", "\n\n"] {
            fs::write(&record, text).unwrap();
            assert_eq!(Published::read(&record), Published::default(), "{text:?}");
        }
    }
}
