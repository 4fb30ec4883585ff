//! How hooks in native code are found.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Hooks in native code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativeConfig {
    /// The shared object with the hooks.
    pub library: PathBuf,
}

impl NativeConfig {
    /// What is wrong with the shared object, as far as it shows without being loaded, which would run it.
    pub fn problem(&self) -> Option<String> {
        let shown = self.library.display();
        match is_object(&self.library) {
            Ok(true) => None,
            Ok(false) => Some(format!("`{shown}` is no shared object")),
            Err(error) => Some(format!("`{shown}` cannot be read: {error}")),
        }
    }
}

/// Whether it is a file in the form of Linux's programs and libraries.
fn is_object(path: &std::path::Path) -> io::Result<bool> {
    // What is no file is not opened: a pipe would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_shared_object_is_seen_without_loading_it() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |library: PathBuf| NativeConfig { library }.problem();
        let text = folder.path().join("hooks.c");
        std::fs::write(&text, "int x;").unwrap();
        let no_object = |path: PathBuf| Some(format!("`{}` is no shared object", path.display()));
        assert_eq!(problem(text.clone()), no_object(text));
        assert_eq!(problem(folder.path().into()), no_object(folder.path().into()));
        let missing = problem(folder.path().join("hooks.so")).unwrap();
        assert!(missing.contains("cannot be read: No such file"), "{missing}");
        assert_eq!(problem(std::env::current_exe().unwrap()), None);
    }
}
