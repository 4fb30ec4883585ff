//! A listening TCP port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::listen;

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` cannot be bound: {error}")]
pub struct PortError {
    /// Which.
    pub address: SocketAddr,
    /// The system's word.
    pub error: io::Error,
}

/// Binds `address` and listens, with room for `queue` clients that wait; for port 0 the system chooses
/// one. To accept does not block.
///
/// # Errors
/// When it is taken, is no address of this machine, or is not for this user.
pub fn bind(address: SocketAddr, queue: u32) -> Result<TcpListener, PortError> {
    let bind = || -> io::Result<TcpListener> {
        let port = TcpListener::bind(address)?;
        // std's own queue is short: who comes in a crowd would be reset.
        listen(&port, i32::try_from(queue).unwrap_or(i32::MAX))?;
        port.set_nonblocking(true)?;
        Ok(port)
    };
    bind().map_err(|error| PortError { address, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named() {
        let port = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let address = port.local_addr().unwrap();
        let told = bind(address, 1).unwrap_err().to_string();
        assert!(told.starts_with(&format!("`{address}` cannot be bound: ")), "{told}");
        assert_eq!(port.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
