//! A listening Unix socket: bound with its final mode, in place of one that nobody listens on any
//! more.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid};
use rustix::fs::{FlockOperation, Mode, OFlags, chmod, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, listen, shutdown,
    socket_with,
};

/// A bound socket. Its file goes with it, unless another has taken its place.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file.
    identity: (u64, u64),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there.
    #[error("`{0}` is already served")]
    Served(String),
    /// Something else is there.
    #[error("`{0}` is there and not a socket")]
    NoSocket(String),
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
    /// Binds `path` and listens, with room for `queue` clients that wait. The file is given to
    /// `owner` where it names somebody.
    ///
    /// # Errors
    /// As [`BindError`] says; what was there is untouched then.
    pub fn bind(
        path: &Path,
        mode: u32,
        owner: (Option<Uid>, Option<Gid>),
        queue: u32,
    ) -> Result<Self, BindError> {
        let shown = || path.display().to_string();
        let system = |error: io::Error| BindError::System { path: shown(), error };
        let (user, group) = owner;
        let address = SocketAddrUnix::new(path).map_err(|error| system(error.into()))?;
        // Whoever removes a stale socket is alone with it.
        let lock = Lock::take(path).map_err(system)?;
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system(error)),
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(BindError::NoSocket(shown()));
            }
            Ok(_) => match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(system)?;
                }
                // One whose queue is full, or whom we may not reach, is there all the same.
                _ => return Err(BindError::Served(shown())),
            },
        }
        let bound = || -> io::Result<OwnedFd> {
            let mode = Mode::from_raw_mode(mode & 0o777);
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            // Linux gives the file the mode that the socket has, less the umask; what that took is
            // added afterwards.
            fchmod(&socket, mode)?;
            bind(&socket, &address)?;
            Ok(socket)
        };
        let socket = bound().map_err(system)?;
        let metadata = path.symlink_metadata().map_err(system)?;
        let identity = (metadata.dev(), metadata.ino());
        let listener = Self { socket, path: path.to_owned(), identity };
        let rest = || -> io::Result<()> {
            if user.is_some() || group.is_some() {
                nix::unistd::chown(path, user, group)?;
            }
            chmod(path, Mode::from_raw_mode(mode & 0o777))?;
            listen(&listener.socket, i32::try_from(queue).unwrap_or(i32::MAX))?;
            Ok(())
        };
        rest().map_err(system)?;
        drop(lock);
        Ok(listener)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets nobody connect any more: the file stays, and clients are refused at once.
    pub fn refuse(&self) {
        // One that is shut already refuses as well.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// The socket once more, for a thread that accepts.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = self
            .path
            .symlink_metadata()
            .is_ok_and(|metadata| self.identity == (metadata.dev(), metadata.ino()));
        if ours {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// How long another server may take to bind or to find that it cannot. Whoever may write to the folder
/// can hold the lock for ever, and that must not hold up the start.
const LOCK_TIME: Duration = Duration::from_secs(1);
/// How often it is looked whether the lock is free.
const LOCK_LOOK: Duration = Duration::from_millis(10);

/// The lock on a path's socket: a file beside it, which is there only while it is held.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path) -> io::Result<Self> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let give_up = Instant::now() + LOCK_TIME;
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                // Nobody's link is opened in place of the lock, and no pipe's reader is waited for.
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
                .open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::AGAIN) if Instant::now() < give_up => {
                    std::thread::sleep(LOCK_LOOK);
                    continue;
                }
                Err(Errno::AGAIN) => {
                    let why = format!("`{}` is held by another process", path.display());
                    return Err(io::Error::other(why));
                }
                // Where the file system knows no locks, there is none to wait for.
                Ok(()) | Err(_) => {}
            }
            let held = file.metadata()?;
            // Whoever held it before has removed it: the next one waits on another file.
            if path.symlink_metadata().is_ok_and(|m| (m.dev(), m.ino()) == (held.dev(), held.ino()))
            {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    const NOBODY: (Option<Uid>, Option<Gid>) = (None, None);

    #[test]
    fn a_lock_that_somebody_keeps_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        let lock = File::create(folder.path().join("e.sock.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let refused = Listener::bind(&path, 0o660, NOBODY, 8).unwrap_err();
        assert!(refused.to_string().contains("is held by another process"), "{refused}");
        drop(lock);
        Listener::bind(&path, 0o660, NOBODY, 8).unwrap();
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_listener_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        for mode in [0o777, 0o666, 0o660, 0] {
            let listener = Listener::bind(&path, mode, NOBODY, 8).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
            drop(listener);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        let listener = Listener::bind(&path, 0o660, NOBODY, 8).unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);
    }

    #[test]
    fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.sock");
        std::fs::write(&path, "mine").unwrap();
        let refused = Listener::bind(&path, 0o660, NOBODY, 8);
        assert!(matches!(refused, Err(BindError::NoSocket(_))), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&path, 0o660, NOBODY, 8).unwrap();
        let refused = Listener::bind(&path, 0o660, NOBODY, 8);
        assert!(matches!(refused, Err(BindError::Served(_))), "{refused:?}");
        drop(listener);
    }
}
