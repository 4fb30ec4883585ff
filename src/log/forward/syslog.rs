//! Messages to a syslog daemon: datagrams over a Unix socket or UDP, or a stream over TCP in which each
//! message has its length before it (RFC 6587, 3.4.1).

use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use coproc_core::output::LogLine;
use rustix::io::Errno;

use super::courier::{Failure, Transport};
use super::{connect, message};
use crate::log::config::Way;

/// A datagram that is too long for the way is cut to what each receiver has to take.
const CUT: usize = 2048;

/// The kernel's name of this machine.
const HOST: &str = "/proc/sys/kernel/hostname";

pub(super) struct Syslog {
    way: Way,
    facility: u8,
    host: String,
    socket: Option<Socket>,
    buffer: Vec<u8>,
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Syslog {
    pub(super) fn new(way: Way, facility: u8) -> Self {
        let host = std::fs::read_to_string(HOST).unwrap_or_default();
        let host = message::host(host.trim());
        Self { way, facility, host, socket: None, buffer: Vec::new() }
    }

    fn connect(&self, patience: Duration) -> io::Result<Socket> {
        match &self.way {
            Way::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(patience))?;
                Ok(Socket::Unix(socket))
            }
            Way::Udp(place) => connect::udp(place).map(Socket::Udp),
            Way::Tcp(place) => connect::tcp(place, patience).map(Socket::Tcp),
        }
    }

    fn send_all(
        &mut self,
        lines: &[LogLine],
        patience: Duration,
        sent: &mut usize,
    ) -> io::Result<()> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect(patience)?,
        };
        let result = match &mut socket {
            Socket::Tcp(stream) => self.stream(stream, lines, patience, sent),
            Socket::Unix(socket) => self.datagrams(|bytes| socket.send(bytes), lines, sent),
            Socket::Udp(socket) => self.datagrams(|bytes| socket.send(bytes), lines, sent),
        };
        if result.is_ok() {
            self.socket = Some(socket);
        }
        result
    }

    fn datagrams(
        &mut self,
        send: impl Fn(&[u8]) -> io::Result<usize>,
        lines: &[LogLine],
        sent: &mut usize,
    ) -> io::Result<()> {
        for line in lines {
            self.buffer.clear();
            message::write(line, self.facility, &self.host, &mut self.buffer);
            let too_long = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::MSGSIZE);
            match send(&self.buffer) {
                Err(error) if too_long(&error) && self.buffer.len() > CUT => {
                    self.buffer.truncate(CUT);
                    send(&self.buffer)?;
                }
                result => {
                    result?;
                }
            }
            *sent += 1;
        }
        Ok(())
    }

    /// All messages in one write: which of them came through a connection that breaks, nobody knows.
    fn stream(
        &mut self,
        stream: &mut TcpStream,
        lines: &[LogLine],
        patience: Duration,
        sent: &mut usize,
    ) -> io::Result<()> {
        stream.set_write_timeout(Some(patience))?;
        self.buffer.clear();
        let mut one = Vec::new();
        for line in lines {
            one.clear();
            message::write(line, self.facility, &self.host, &mut one);
            // A Vec takes everything.
            let _ = write!(self.buffer, "{} ", one.len());
            self.buffer.append(&mut one);
        }
        // A receiver that has gone is seen by reading, since the first write after it succeeds.
        if is_gone(stream)? {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        stream.write_all(&self.buffer)?;
        *sent = lines.len();
        Ok(())
    }
}

impl Transport for Syslog {
    fn batch(&self) -> (usize, Duration) {
        (256, Duration::ZERO)
    }

    fn send(&mut self, lines: &[LogLine], patience: Duration) -> (usize, Result<(), Failure>) {
        let mut sent = 0;
        let result = self.send_all(lines, patience, &mut sent);
        (sent, result.map_err(Failure::from))
    }
}

/// Has the other side closed the connection? What it may have to say is not read.
fn is_gone(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    match peeked {
        Ok(0) => Ok(true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
