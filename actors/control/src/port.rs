//! A TCP port on which everybody is told health and metrics, and who shows a token everything.

use std::io;
use std::net::{SocketAddr, TcpListener};

use coproc_core::port::{self, PortError};
use rustix::net::sockopt::set_tcp_user_timeout;

use crate::listener::BACKLOG;

/// How long what was sent may stay unread, in milliseconds, before the connection is closed: nobody
/// keeps a seat by asking and not listening.
const UNREAD_TIME: u32 = 10_000;

/// A bound port.
#[derive(Debug)]
pub struct Port {
    socket: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds `address`; for port 0 the system chooses one.
    ///
    /// # Errors
    /// As [`PortError`] says.
    pub fn bind(address: SocketAddr) -> Result<Self, PortError> {
        let socket = port::bind(address, BACKLOG)?;
        // Connections have it from the socket that they come in by.
        let limited = set_tcp_user_timeout(&socket, UNREAD_TIME).map_err(io::Error::from);
        let address = limited
            .and_then(|()| socket.local_addr())
            .map_err(|error| PortError { address, error })?;
        Ok(Self { socket, address })
    }

    /// Where it really is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn socket(&self) -> io::Result<TcpListener> {
        self.socket.try_clone()
    }
}
