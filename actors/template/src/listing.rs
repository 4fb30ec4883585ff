//! What lies in a folder of templates, links followed.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::beside::PASSING;
use crate::identity::{Id, id};

/// One file or folder below the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its path below the source.
    pub(crate) relative: PathBuf,
    pub(crate) is_folder: bool,
    /// Its mode, without the bits that are more than permissions.
    pub(crate) mode: u32,
}

/// A folder that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// All that lies below a folder, in byte order of names, the folder itself left out. Folders of
/// these ids are left out with all that is in them. `warn` hears of what is passed over.
pub(crate) fn list(
    root: &Path,
    ignored: &[Id],
    warn: &mut dyn FnMut(String),
) -> Result<Vec<Found>, Unreadable> {
    let unreadable = |error| Unreadable { path: root.to_owned(), error };
    let metadata = fs::metadata(root).map_err(unreadable)?;
    let real = fs::canonicalize(root).map_err(unreadable)?;
    // What holds the root holds the root's own files once more, and everybody else's.
    let above = real.ancestors().skip(1).filter_map(|path| fs::metadata(path).ok());
    let above = above.map(|metadata| id(&metadata)).collect();
    let mut lister = Lister { ignored, warn, above, found: Vec::new() };
    lister.folder(root, Path::new(""), id(&metadata))?;
    Ok(lister.found)
}

struct Lister<'a> {
    ignored: &'a [Id],
    warn: &'a mut dyn FnMut(String),
    /// The folders that the walk is in, and those that hold the root.
    above: Vec<Id>,
    found: Vec<Found>,
}

impl Lister<'_> {
    fn folder(&mut self, path: &Path, relative: &Path, own: Id) -> Result<(), Unreadable> {
        let unreadable = |error| Unreadable { path: path.to_owned(), error };
        let mut names = fs::read_dir(path)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        names.sort();
        self.above.push(own);
        for name in names {
            // The folders behind the links of a ConfigMap: `..data` and what it points to.
            if name.as_bytes().starts_with(b"..") || name.as_bytes().starts_with(PASSING.as_bytes())
            {
                continue;
            }
            self.entry(&path.join(&name), relative.join(&name))?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path, relative: PathBuf) -> Result<(), Unreadable> {
        let shown = path.display();
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                (self.warn)(format!("`{shown}` is passed over: {error}"));
                return Ok(());
            }
        };
        if metadata.is_dir() {
            let own = id(&metadata);
            if self.ignored.contains(&own) {
                return Ok(());
            }
            if self.above.contains(&own) {
                (self.warn)(format!(
                    "`{shown}` is passed over: the link leads to a folder that it lies in"
                ));
                return Ok(());
            }
            let mode = metadata.mode() & 0o777;
            self.found.push(Found { relative: relative.clone(), is_folder: true, mode });
            return self.folder(path, &relative, own);
        }
        match kind(&metadata) {
            None => {
                let mode = metadata.mode() & 0o777;
                self.found.push(Found { relative, is_folder: false, mode });
            }
            Some(kind) => (self.warn)(format!("`{shown}` is passed over: it is {kind}")),
        }
        Ok(())
    }
}

/// What it is if it is no regular file.
pub(crate) fn kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    Some(match () {
        () if kind.is_file() => return None,
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "neither a file nor a folder",
    })
}

/// The name without the suffix, if it ends with it.
pub(crate) fn without_suffix<'a>(name: &'a OsStr, suffix: &str) -> Option<&'a OsStr> {
    name.as_bytes().strip_suffix(suffix.as_bytes()).map(OsStr::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(root: &Path, ignored: &[Id]) -> (Vec<String>, Vec<String>) {
        let mut warnings = Vec::new();
        let found = list(root, ignored, &mut |warning| warnings.push(warning)).unwrap();
        let shown = |found: &Found| {
            let slash = if found.is_folder { "/" } else { "" };
            format!("{}{slash}", found.relative.display())
        };
        (found.iter().map(shown).collect(), warnings)
    }

    #[test]
    fn w96_links_are_followed_as_in_a_config_map() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("..2026_01")).unwrap();
        fs::write(root.join("..2026_01/nginx.conf.tmpl"), "x").unwrap();
        symlink("..2026_01", root.join("..data")).unwrap();
        symlink("..data/nginx.conf.tmpl", root.join("nginx.conf.tmpl")).unwrap();
        assert_eq!(names(root, &[]), (vec!["nginx.conf.tmpl".to_owned()], vec![]));
    }

    #[test]
    fn cycles_broken_links_and_special_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("../..", root.join("a/b/up")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        fs::write(root.join(".hidden"), "").unwrap();
        let (found, warnings) = names(root, &[]);
        assert_eq!(found, [".hidden", "a/", "a/b/"]);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
    }

    #[test]
    fn d56_links_to_folders_are_followed_unless_those_hold_the_templates() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("above/in")).unwrap();
        fs::create_dir(at("shared")).unwrap();
        for name in ["secret", "above/secret", "shared/x", "above/in/y"] {
            fs::write(at(name), "").unwrap();
        }
        symlink("..", at("above/in/loop")).unwrap();
        symlink("../..", at("above/in/farther")).unwrap();
        symlink("../../shared", at("above/in/shared")).unwrap();
        // The same where the root itself is reached by a link.
        symlink("above/in", at("linked")).unwrap();
        for root in ["above/in", "linked"] {
            let (found, warnings) = names(&at(root), &[]);
            assert_eq!(found, ["shared/", "shared/x", "y"]);
            assert!(
                warnings.len() == 2 && warnings[1].contains("/loop` is passed"),
                "{warnings:?}"
            );
        }
    }

    #[test]
    fn d60_the_output_is_no_input() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("out")).unwrap();
        fs::write(root.join("out/nginx.conf"), "").unwrap();
        let out = id(&fs::metadata(root.join("out")).unwrap());
        assert_eq!(names(root, &[out]), (vec![], vec![]));
    }
}
