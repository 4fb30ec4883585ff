//! Connections to a place by its name: to the first of its addresses that takes one.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// A stream; each address may take this long.
pub(super) fn tcp(place: &str, patience: Duration) -> io::Result<TcpStream> {
    let stream = first(place, |address| TcpStream::connect_timeout(&address, patience))?;
    // Batches are whole writes.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A socket for datagrams.
pub(super) fn udp(place: &str) -> io::Result<UdpSocket> {
    first(place, |address| {
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own)?;
        socket.connect(address)?;
        Ok(socket)
    })
}

fn first<T>(place: &str, connect: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = None;
    for address in place.to_socket_addrs()? {
        match connect(address) {
            Ok(connected) => return Ok(connected),
            Err(error) => last = Some(error),
        }
    }
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    Err(last.unwrap_or_else(nowhere))
}
