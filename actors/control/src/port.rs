//! A TCP port on which only health and metrics are told.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::sockopt::set_tcp_user_timeout;

/// How long what was sent may stay unread, in milliseconds, before the connection is closed: nobody
/// keeps a seat by asking and not listening.
const UNREAD_TIME: u32 = 10_000;

/// A bound port.
#[derive(Debug)]
pub struct Port {
    socket: TcpListener,
    address: SocketAddr,
}

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` cannot be bound: {error}")]
pub struct PortError {
    /// Which.
    pub address: SocketAddr,
    /// The system's word.
    pub error: io::Error,
}

impl Port {
    /// Binds `address`; for port 0 the system chooses one.
    ///
    /// # Errors
    /// When it is taken, is no address of this machine, or is not for this user.
    pub fn bind(address: SocketAddr) -> Result<Self, PortError> {
        let bind = || -> io::Result<Self> {
            let socket = TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            // Connections have it from the socket that they come in by.
            set_tcp_user_timeout(&socket, UNREAD_TIME)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bind().map_err(|error| PortError { address, error })
    }

    /// Where it really is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn socket(&self) -> io::Result<TcpListener> {
        self.socket.try_clone()
    }
}
