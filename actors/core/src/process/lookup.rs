//! Where a program is: a path as it stands, or a name looked up on PATH.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::exit;

/// Why a program cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lookup {
    /// The path leads nowhere.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// No folder of PATH has it.
    #[error("`{0}` was not found on PATH")]
    NotOnPath(String),
    /// It is there and may not be run.
    #[error("`{0}` is not executable: permission denied")]
    NotExecutable(String),
}

impl Lookup {
    /// The exit status that a shell would end with.
    pub fn code(&self) -> u8 {
        match self {
            Self::Missing(_) | Self::NotOnPath(_) => exit::NOT_FOUND,
            Self::NotExecutable(_) => exit::NOT_EXECUTABLE,
        }
    }
}

/// The folders that are searched where there is no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Finds a program: a name with a slash is a path that begins in `folder`, all else is looked up
/// in the folders of `path`.
pub fn find_program(name: &str, path: Option<&str>, folder: &Path) -> Result<PathBuf, Lookup> {
    find(OsStr::new(name), path.map(OsStr::new), folder)
}

/// As [`find_program`], for names and folders that need not be text.
pub(super) fn find(name: &OsStr, path: Option<&OsStr>, folder: &Path) -> Result<PathBuf, Lookup> {
    let may_be_run = |file: &Path| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    let shown = || name.to_string_lossy().into_owned();
    let bytes = name.as_bytes();
    if bytes.contains(&b'/') {
        let name = OsStr::from_bytes(bytes.strip_prefix(b"./").unwrap_or(bytes));
        let full = folder.join(name);
        return match full.metadata() {
            Ok(file) if file.is_file() && may_be_run(&full) => Ok(full),
            Ok(_) => Err(Lookup::NotExecutable(shown())),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(Lookup::NotExecutable(shown()))
            }
            Err(_) => Err(Lookup::Missing(shown())),
        };
    }
    let candidates = || {
        path.map_or(DEFAULT_PATH.as_bytes(), OsStr::as_bytes)
            .split(|byte| *byte == b':')
            // An empty part of PATH is the current directory.
            .map(|part| folder.join(OsStr::from_bytes(part)).join(name))
    };
    match candidates().find(|file| file.is_file() && may_be_run(file)) {
        Some(found) => Ok(found),
        None => match candidates().find(|file| file.is_file()) {
            Some(found) => Err(Lookup::NotExecutable(found.display().to_string())),
            None => Err(Lookup::NotOnPath(shown())),
        },
    }
}
