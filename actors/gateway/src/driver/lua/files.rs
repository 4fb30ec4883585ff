//! The hooks' files: all `*.lua` of a folder, read at once.

use std::io;
use std::path::Path;

/// The files in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: Vec<File>,
}

/// A file.
#[derive(Debug)]
pub(super) struct File {
    /// What `require` knows it by: its name without the ending.
    pub(super) name: String,
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
                        Ok(text) => files.push(File { name: name.to_owned(), text }),
                        Err(error) => problem(&path, error),
                    }
                }
            }
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        (Self { files }, problems)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }
}
