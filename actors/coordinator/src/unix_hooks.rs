//! Which Unix sockets a request may name as its hook and its stream, to which providers then connect as
//! whoever they are.

use std::fs;
use std::path::{Component, Path};

use coproc_acomm::Url;

/// Which ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnixHooks {
    /// All, as the original allowed.
    #[default]
    Any,
    /// Those below the coordinator's folder of sockets.
    SocketDir,
}

impl UnixHooks {
    /// Whether a request may name this socket, of a coordinator with this folder.
    pub(crate) fn allow(self, socket_dir: &Path, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::SocketDir => {
                let path = url.socket();
                // A link at its end must not lead out either. One that is not there yet is judged by
                // its folder.
                let real = fs::canonicalize(&path).unwrap_or(path);
                beneath(socket_dir, &real)
            }
        }
    }
}

/// Whether a path leads to somewhere below a folder, as it is written or as the links in it lead.
pub(crate) fn beneath(folder: &Path, path: &Path) -> bool {
    if path.components().any(|part| part == Component::ParentDir) {
        return false;
    }
    let real = |path: &Path| fs::canonicalize(path).ok();
    match path.parent().and_then(real) {
        Some(parent) => real(folder).is_some_and(|folder| parent.starts_with(folder)),
        None => path.starts_with(folder),
    }
}
