//! The hooks' files: all `*.lua` of a folder, or those that a bundle lists, read at once.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::bundle::Folder;

/// The files in the order in which they run.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: Vec<File>,
    /// What they may ask for besides.
    others: Option<Arc<Files>>,
}

/// A file.
#[derive(Debug)]
pub(super) struct File {
    /// What `require` knows it by: its path without the ending, with dots for slashes.
    pub(super) name: String,
    /// What errors call it.
    pub(super) path: String,
    pub(super) text: Vec<u8>,
}

impl Files {
    /// Reads a folder. Of a file that cannot be read there is a problem instead.
    pub(super) fn read(folder: &Path) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut files = Vec::new();
        let mut problem = |path: &Path, error: io::Error| {
            problems.push(format!("`{}` cannot be read: {error}", path.display()));
        };
        match std::fs::read_dir(folder) {
            Err(error) => problem(folder, error),
            Ok(entries) => {
                for path in entries.flatten().map(|entry| entry.path()) {
                    let name = path.file_name().and_then(|name| name.to_str());
                    let name = name.and_then(|name| name.strip_suffix(".lua"));
                    let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
                    match std::fs::read(&path) {
                        Ok(text) => {
                            let file = format!("{name}.lua");
                            files.push(File { name: name.to_owned(), path: file, text });
                        }
                        Err(error) => problem(&path, error),
                    }
                }
            }
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        (Self { files, others: None }, problems)
    }

    /// Reads those of a bundle, in the order of its list. They may ask for the folder's own.
    pub(super) fn of_bundle(folder: &Folder, others: Arc<Files>) -> (Self, Vec<String>) {
        let (mut files, mut problems) = (Vec::new(), Vec::new());
        for path in &folder.files {
            let Some(name) = path.strip_suffix(".lua") else { continue };
            match std::fs::read(folder.folder.join(path)) {
                Ok(text) => {
                    let name = name.replace('/', ".");
                    files.push(File { name, path: path.clone(), text });
                }
                Err(error) => problems.push(format!("`{path}` cannot be read: {error}")),
            }
        }
        (Self { files, others: Some(others) }, problems)
    }

    /// Takes one out, so that it is not run.
    pub(super) fn leave_out(&mut self, name: &str) {
        self.files.retain(|file| file.name != name);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&File> {
        let own = self.files.iter().find(|file| file.name == name);
        own.or_else(|| self.others.as_ref()?.get(name))
    }
}
