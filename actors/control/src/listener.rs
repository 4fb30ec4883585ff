//! The socket itself: bound with its final mode, in a folder that nobody else can write to.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, chmod, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::process::geteuid;

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 128;

/// A bound control socket; its file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A wrapper answers there.
    #[error("another wrapper answers at `{0}`")]
    Taken(String),
    /// Others could replace the socket by one of their own.
    #[error("`{folder}` is not safe for a control socket: {why}")]
    Unsafe {
        /// The socket's folder.
        folder: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system's word.
    #[error("`{path}` cannot be bound: {error}")]
    System {
        /// The socket.
        path: String,
        /// Why.
        error: io::Error,
    },
}

impl Listener {
    /// Binds `path`. A socket that nobody listens on is replaced, one that somebody does is left
    /// alone.
    ///
    /// # Errors
    /// As [`BindError`] says.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let shown = || path.display().to_string();
        let system = |error| BindError::System { path: shown(), error };
        if let Some(folder) = path.parent() {
            check_folder(folder)?;
        }
        match UnixStream::connect(path) {
            Ok(_) => return Err(BindError::Taken(shown())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(system)?;
            }
            Err(_) => {}
        }
        let socket = bind_with_mode(path, mode).map_err(|error| system(error.into()))?;
        Ok(Self { socket: socket.into(), path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn socket(&self) -> io::Result<UnixListener> {
        self.socket.try_clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A socket that never has more than its final mode: Linux gives the file the mode that the socket
/// has when it is bound, less the umask. What the umask took is added afterwards.
fn bind_with_mode(path: &Path, mode: u32) -> rustix::io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(mode & 0o777);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, mode)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    chmod(path, mode)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn check_folder(folder: &Path) -> Result<(), BindError> {
    let shown = || folder.display().to_string();
    let metadata = folder.metadata().map_err(|error| BindError::System { path: shown(), error })?;
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
    fn the_socket_has_its_mode_from_the_start_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        let listener = Listener::bind(&path, 0o600).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(&path, 0o600), Err(BindError::Taken(_))));
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_an_open_folder_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(Listener::bind(&path, 0o600).is_ok());
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
        let refused = Listener::bind(&open.join("c.sock"), 0o600);
        assert!(matches!(refused, Err(BindError::Unsafe { .. })), "{refused:?}");
    }
}
