//! The ways into a coordinator: two Unix sockets and a port, bound before anything else begins.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use coproc_core::accounts::gid;
use coproc_core::port::{self, PortError};
use coproc_core::socket::{BindError, Listener};
use nix::unistd::{Gid, chown};

use crate::config::Coordinator;
use crate::router::RESERVED;

/// How many clients may wait to be accepted on each socket.
const QUEUE: u32 = 4096;

/// Why a coordinator cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A socket cannot be bound.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The port cannot be bound.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A folder cannot be made.
    #[error("the folder `{folder}` cannot be made: {error}")]
    Folder {
        /// Which.
        folder: String,
        /// The system's word.
        error: io::Error,
    },
    /// What is named is not there: a user, a group or a file; a sentence.
    #[error("{0}")]
    Names(String),
    /// The system gives no random bits.
    #[error("there are no random bits: {0}")]
    Random(io::Error),
}

/// What is bound; each is taken away when it closes.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) internal: Mutex<Option<Listener>>,
    pub(crate) response: Mutex<Option<Listener>>,
    pub(crate) port: Mutex<Option<TcpListener>>,
    pub(crate) address: Option<SocketAddr>,
}

/// Closes a door for good; its file goes with it.
pub(crate) fn close<T>(door: &Mutex<Option<T>>) {
    door.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// Makes the folders and binds everything, or nothing.
pub(crate) fn open(config: &Coordinator) -> Result<Doors, OpenError> {
    let group = config.group.as_deref().map(gid).transpose().map_err(OpenError::Names)?;
    make_folder(&config.socket_dir, config.dir_mode, group)?;
    for folder in RESERVED {
        make_folder(&config.socket_dir.join(folder), config.dir_mode, group)?;
    }
    let bind = |path: &Path| Listener::bind(path, config.socket_mode, (None, group), QUEUE);
    let response = bind(&config.response())?;
    let internal = bind(&config.internal())?;
    let bind = |ip| -> Result<_, PortError> {
        let address = SocketAddr::new(ip, config.external_port);
        let port = port::bind(address, QUEUE)?;
        let bound = port.local_addr().map_err(|error| PortError { address, error })?;
        Ok((bound, port))
    };
    let (address, port) = config.listen.map(bind).transpose()?.unzip();
    Ok(Doors {
        internal: Mutex::new(Some(internal)),
        response: Mutex::new(Some(response)),
        port: Mutex::new(port),
        address,
    })
}

/// Makes a folder with all that leads to it. One that is there stays as it is.
pub(crate) fn make_folder(path: &Path, mode: u32, group: Option<Gid>) -> Result<(), OpenError> {
    let refused = |error| OpenError::Folder { folder: path.display().to_string(), error };
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent, mode, group)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        // Somebody was faster, whose folder it is.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        Err(error) => return Err(refused(error)),
    }
    // The mask may have taken some of the mode.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(refused)?;
    if group.is_some() {
        chown(path, None, group).map_err(|error| refused(error.into()))?;
    }
    Ok(())
}
