//! The client's socket. The event loop learns of it when somebody has to wait for what the client does,
//! which is after the program was started, and asks it for room only once there was none.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use coproc_core::process::watch;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connected socket, non-blocking.
#[derive(Debug, Default)]
pub(super) enum Socket {
    /// It was closed or handed on.
    #[default]
    Closed,
    /// Nobody has waited for it yet.
    Plain(OwnedFd),
    /// It tells of what the client sends, and of its leaving.
    Heard(AsyncFd<OwnedFd>),
    /// It was full, and tells of room as well.
    Watched(AsyncFd<OwnedFd>),
}

impl Socket {
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Closed => None,
            Self::Plain(fd) => Some(fd.as_fd()),
            Self::Heard(fd) | Self::Watched(fd) => Some(fd.get_ref().as_fd()),
        }
    }

    /// Takes it out of the event loop.
    pub(super) fn take(&mut self) -> Option<OwnedFd> {
        match std::mem::take(self) {
            Self::Closed => None,
            Self::Plain(fd) => Some(fd),
            Self::Heard(fd) | Self::Watched(fd) => Some(fd.into_inner()),
        }
    }

    /// Hands it to the event loop; where that fails it is closed.
    pub(super) fn listen(&mut self) {
        if let Self::Plain(_) = self
            && let Some(fd) = self.take()
        {
            *self = watch(fd, Interest::READABLE).map_or(Self::Closed, Self::Heard);
        }
    }

    /// To wait for what the client does, from [`Socket::listen`] on.
    pub(super) fn heard(&self) -> Option<&AsyncFd<OwnedFd>> {
        match self {
            Self::Closed | Self::Plain(_) => None,
            Self::Heard(fd) | Self::Watched(fd) => Some(fd),
        }
    }

    /// To wait for room; `None` where it never was full.
    pub(super) fn room(&self) -> Option<&AsyncFd<OwnedFd>> {
        match self {
            Self::Watched(fd) => Some(fd),
            Self::Closed | Self::Plain(_) | Self::Heard(_) => None,
        }
    }

    /// From here on it tells of room. Who waits for it has to ask again.
    ///
    /// # Errors
    /// When it cannot be waited for; it is closed then.
    pub(super) fn watch_room(&mut self, fd: OwnedFd) -> io::Result<()> {
        *self = Self::Watched(watch(fd, Interest::READABLE | Interest::WRITABLE)?);
        Ok(())
    }
}
