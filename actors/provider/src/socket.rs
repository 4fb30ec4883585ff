//! Sockets that others find by their names: made whole before they can be seen, never taken from one
//! that lives, and removed only by whoever made them.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::{UnixListener, UnixStream};

/// The mode of the folder of sockets where it is made here, whatever the mask says.
const FOLDER_MODE: u32 = 0o750;
/// The mode of sockets, whatever the mask says.
const SOCKET_MODE: u32 = 0o660;

/// A socket that listens. Dropping it removes its file, unless another has taken the place.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    name: Name,
}

/// The file of a socket. Dropping it removes the file, unless another has taken the place.
#[derive(Debug)]
pub(crate) struct Name {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Socket {
    /// Makes a socket in a folder that is there. One that nobody serves any more is replaced.
    ///
    /// # Errors
    /// With `AddrInUse` where somebody answers there or the file is no socket, and as the system
    /// says.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let _lock = lock(folder)?;
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => return Err(taken("it is no socket")),
            Ok(_) if is_served(path)? => return Err(taken("it is served already")),
            Ok(_) => {}
            Err(_) => {}
        }
        // Under another name first: whoever sees the right one can connect, and with its final mode.
        let hidden = folder.join(hidden_name());
        let listener = UnixListener::bind(&hidden)?;
        let made = fs::set_permissions(&hidden, Permissions::from_mode(SOCKET_MODE))
            .and_then(|()| fs::symlink_metadata(&hidden))
            .and_then(|metadata| fs::rename(&hidden, path).map(|()| metadata));
        match made {
            Ok(metadata) => {
                let (device, inode) = (metadata.dev(), metadata.ino());
                Ok(Self { listener, name: Name { path: path.to_owned(), device, inode } })
            }
            Err(error) => {
                let _ = fs::remove_file(&hidden);
                Err(error)
            }
        }
    }

    /// The next connection. Where the system is out of something it waits a little and goes on.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    tracing::warn!(target: "provider", "`{}`: {error}", self.path().display());
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes the name away, and gives the connections that had come before.
    pub(crate) fn close(self) -> io::Result<Vec<UnixStream>> {
        let Self { listener, name } = self;
        drop(name);
        let listener = listener.into_std()?;
        let mut last = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            last.push(UnixStream::from_std(stream)?);
        }
        Ok(last)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.name.path
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _lock = self.path.parent().map(lock);
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (self.device, self.inode));
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether somebody listens at this path. It does not wait: one that is too busy to take the
/// connection is served.
///
/// # Errors
/// When it cannot be asked, such as for lack of permission or a path that is too long.
pub fn is_served(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// How many sockets are looked at for whether somebody serves them.
const LOOKED_AT: usize = 256;

/// Removes sockets of one's own user in a folder that nobody serves, of those whose names begin with
/// `prefix` and those that had no name yet: what processes left that were killed. Where somebody is at work in the folder, that is left to the next
/// time.
pub fn remove_stale(folder: &Path, prefix: &str) {
    let Ok(held) = File::open(folder) else { return };
    // None is made or removed under this lock but by us: a path is what it was when it was asked.
    if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    let user = rustix::process::geteuid().as_raw();
    let ours = entries.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix) || is_hidden(name))
            && fs::symlink_metadata(entry.path())
                .is_ok_and(|file| file.file_type().is_socket() && file.uid() == user)
    });
    for entry in ours.take(LOOKED_AT) {
        if let Ok(false) = is_served(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Sixteen random hexadecimal digits.
pub(crate) fn random() -> String {
    let mut bytes = [0; 8];
    let filled = File::open("/dev/urandom")
        .and_then(|mut source| io::Read::read_exact(&mut source, &mut bytes));
    match filled {
        Ok(()) => format!("{:016x}", u64::from_ne_bytes(bytes)),
        // Uniqueness is what matters; guessing is kept off by modes.
        Err(_) => {
            use std::hash::{BuildHasher, RandomState};
            format!("{:016x}", RandomState::new().hash_one(std::process::id()))
        }
    }
}

/// Short, since the path of a socket has to fit into 107 bytes.
fn hidden_name() -> OsString {
    format!(".{}", &random()[..8]).into()
}

fn is_hidden(name: &str) -> bool {
    let rest = name.strip_prefix('.').unwrap_or_default();
    rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn taken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, why)
}

/// Makes a folder at or below `top`. The top itself is for its owner and group alone; all below have
/// the mode of what they are in, so that whoever opens the top to a group opens all of it. The mask
/// has no say.
pub(crate) fn make_folders(top: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let mode = match above {
        Some(above) if folder != top => {
            make_folders(top, above)?;
            fs::metadata(above)?.permissions().mode() & 0o7777
        }
        Some(above) => {
            fs::create_dir_all(above)?;
            FOLDER_MODE
        }
        None => FOLDER_MODE,
    };
    match DirBuilder::new().mode(FOLDER_MODE & mode).create(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Keeps others out who make or remove sockets in this folder. The lock goes with the descriptor.
fn lock(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn it_is_there_with_its_mode_and_goes_with_its_maker() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b/50-n.sock");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(socket.path(), path);
        assert_eq!(mode(&path), SOCKET_MODE);
        let names = || fs::read_dir(folder.path().join("b")).unwrap().count();
        assert_eq!(names(), 1);
        let (taken, there) = tokio::join!(socket.accept(), UnixStream::connect(&path));
        drop((taken, there.unwrap()));
        drop(socket);
        assert_eq!(names(), 0);
    }

    #[test]
    fn folders_are_as_open_as_their_top() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("x/top");
        make_folders(&top, &top.join("a")).unwrap();
        assert_eq!((mode(&top), mode(&top.join("a"))), (FOLDER_MODE, FOLDER_MODE));
        fs::set_permissions(&top, Permissions::from_mode(0o770)).unwrap();
        make_folders(&top, &top.join("streams/b/c")).unwrap();
        for below in ["streams", "streams/b", "streams/b/c"] {
            assert_eq!(mode(&top.join(below)), 0o770, "{below}");
        }
        assert_eq!(mode(&top.join("a")), FOLDER_MODE, "what was there is as it was");
    }

    #[tokio::test]
    async fn only_what_is_dead_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Socket::bind(&path).unwrap();
        let second = Socket::bind(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        assert!(UnixStream::connect(&path).await.is_ok(), "the first is unharmed");
        drop(first);
        fs::write(&path, "").unwrap();
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let hidden = hidden_name();
        for name in ["t-1.sock", "other.sock", hidden.to_str().unwrap()] {
            drop(std::os::unix::net::UnixListener::bind(at(name)).unwrap());
        }
        let alive = Socket::bind(&at("t-2.sock")).unwrap();
        fs::write(at("t-3.sock"), "").unwrap();
        let held = lock(folder.path()).unwrap();
        remove_stale(folder.path(), "t-");
        assert!(at("t-1.sock").exists(), "somebody is at work");
        drop(held);
        remove_stale(folder.path(), "t-");
        let left = ["t-1.sock", "t-2.sock", "t-3.sock", "other.sock"].map(|name| at(name).exists());
        assert_eq!(left, [false, true, true, true]);
        assert!(!folder.path().join(hidden).exists());
        drop(alive);
        remove_stale(&at("none"), "t-");
    }

    #[tokio::test]
    async fn another_one_in_its_place_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = Socket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Socket::bind(&path).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(second);
        assert!(!path.exists());
    }
}
