//! The socket of sd_notify(3): what a process says about itself, and only its own group is heard.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};

use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::process::{in_group, name_senders, receive};
use crate::scalar::printable;

/// The variable that names the socket to the process.
pub(super) const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// The variable that says how often a sign of life is expected, in microseconds.
pub(super) const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";

/// As long as systemd's own limit.
const MESSAGE: usize = 4096;
/// As much of a STATUS is kept.
const STATUS: usize = 256;

/// One thing that a process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `READY=1`.
    Ready,
    /// `STOPPING=1`.
    Stopping,
    /// `WATCHDOG=1`.
    Alive,
    /// `WATCHDOG=trigger`.
    Dead,
    /// `STATUS=`.
    Status(String),
}

/// The socket of one process. Abstract, so that nothing is left in any folder and every user can
/// reach it; who is heard is decided by the sender's process.
#[derive(Debug)]
pub(super) struct Mailbox {
    socket: UnixDatagram,
    name: String,
}

impl Mailbox {
    pub(super) fn open() -> io::Result<Self> {
        let random = [0u8, 1].map(|n| RandomState::new().hash_one(n));
        let name = format!("coproc-notify-{:016x}{:016x}", random[0], random[1]);
        let socket = StdDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        name_senders(&socket)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixDatagram::from_std(socket)?, name })
    }

    /// The value of NOTIFY_SOCKET.
    pub(super) fn variable(&self) -> String {
        format!("@{}", self.name)
    }

    /// The next message of a process in the group of `leader`; others are passed over.
    pub(super) async fn next(&self, leader: i32) -> io::Result<Vec<Word>> {
        let mut buffer = [0; MESSAGE];
        loop {
            let (length, sender) = self
                .socket
                .async_io(Interest::READABLE, || receive(&self.socket, &mut buffer))
                .await?;
            let words = words(&buffer[..length]);
            if words.is_empty() {
                // Such as BARRIER=1, whose sender may be gone as soon as it was received.
                continue;
            }
            if sender.is_some_and(|sender| in_group(sender, leader)) {
                return Ok(words);
            }
            let sender = sender.map_or("nobody here".to_owned(), |pid| pid.to_string());
            tracing::debug!(target: "probe", "a message of {sender} to {leader}'s NOTIFY_SOCKET is passed over");
        }
    }
}

/// The words of a message; those that mean nothing here are passed over.
fn words(message: &[u8]) -> Vec<Word> {
    String::from_utf8_lossy(message)
        .lines()
        .filter_map(|line| match line.split_once('=')? {
            ("READY", "1") => Some(Word::Ready),
            ("STOPPING", "1") => Some(Word::Stopping),
            ("WATCHDOG", "1") => Some(Word::Alive),
            ("WATCHDOG", "trigger") => Some(Word::Dead),
            ("STATUS", text) => Some(Word::Status(printable(text).chars().take(STATUS).collect())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(
            words(b"READY=1\nSTATUS=Serving 3\x07 clients\nMAINPID=7\nWATCHDOG=1"),
            [Word::Ready, Word::Status("Serving 3\\u{7} clients".into()), Word::Alive]
        );
        assert_eq!(
            words(b"READY=0\nSTOPPING=1\n\nWATCHDOG=trigger\n"),
            [Word::Stopping, Word::Dead]
        );
        assert_eq!(words(b"\xff\xfe"), []);
    }
}
