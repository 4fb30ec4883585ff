//! The control socket: bound as every socket is, in a folder that nobody else can write to.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use coproc_core::peers;
use coproc_core::socket::{self, Listener};
use rustix::process::geteuid;

/// How many clients may wait to be accepted.
pub(crate) const BACKLOG: u32 = 128;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is there already, or cannot be had.
    #[error(transparent)]
    Socket(#[from] socket::BindError),
    /// Others could replace the socket by one of their own.
    #[error("`{folder}` is not safe for a control socket: {why}")]
    Unsafe {
        /// The socket's folder.
        folder: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The socket's folder cannot be looked at.
    #[error("`{folder}`: {error}")]
    Folder {
        /// The folder.
        folder: String,
        /// The system's word.
        error: io::Error,
    },
    /// Nobody is called like that.
    #[error("control.owner: {0}")]
    Owner(String),
}

/// Binds `path` and gives it to `owner`, whom chown would understand. A socket that nobody listens on is
/// replaced, one that somebody does is left alone.
///
/// # Errors
/// As [`BindError`] says.
pub fn listen(path: &Path, mode: u32, owner: Option<&str>) -> Result<Listener, BindError> {
    if let Some(folder) = path.parent() {
        check_folder(folder)?;
    }
    let owner = owner.map(peers::owner).transpose().map_err(BindError::Owner)?;
    Ok(Listener::bind(path, mode, owner.unwrap_or_default(), BACKLOG)?)
}

fn check_folder(folder: &Path) -> Result<(), BindError> {
    let shown = || folder.display().to_string();
    let metadata =
        folder.metadata().map_err(|error| BindError::Folder { folder: shown(), error })?;
    let refuse = |why| Err(BindError::Unsafe { folder: shown(), why });
    let owner = metadata.uid();
    if owner != geteuid().as_raw() && owner != 0 {
        return refuse("it belongs to another user");
    }
    let mode = metadata.permissions().mode();
    // In a sticky folder others can add files, and cannot replace ours.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return refuse("others can write to it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_has_its_mode_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        let listener = listen(&path, 0o600, None).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let refused = listen(&path, 0o600, None);
        assert!(
            matches!(refused, Err(BindError::Socket(socket::BindError::Served(_)))),
            "{refused:?}"
        );
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_an_open_folder_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(listen(&path, 0o600, None).is_ok());
        let refused = listen(&path, 0o600, Some("no-such-user"));
        assert!(matches!(refused, Err(BindError::Owner(_))), "{refused:?}");
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
        let refused = listen(&open.join("c.sock"), 0o600, None);
        assert!(matches!(refused, Err(BindError::Unsafe { .. })), "{refused:?}");
    }
}
