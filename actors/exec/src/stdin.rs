//! The program's stdin: written at once as far as the pipe takes it, the rest from the spool.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use coproc_core::process::watch;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::spool::Spool;

/// How much is moved in one turn.
const TURN: usize = 64 << 10;

#[derive(Debug, Default)]
enum Pipe {
    /// Nothing runs yet, or nobody reads any more.
    #[default]
    Closed,
    /// It never was full.
    Plain(OwnedFd),
    /// It was full, and says when it is not.
    Watched(AsyncFd<OwnedFd>),
}

/// Our end of the pipe, and what it has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Stdin {
    pipe: Pipe,
    spool: Spool,
    /// It is closed behind what is still to be written.
    ends: bool,
}

impl Stdin {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self { pipe: Pipe::Plain(pipe), spool: Spool::default(), ends: false }
    }

    /// Whether more of the client's bytes may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.spool.has_room()
    }

    /// Writes bytes or keeps them. Where nobody reads they are dropped.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.spool.is_empty() {
            let Some(fd) = self.fd() else { return };
            match write_all_there_is_room_for(fd, rest) {
                Some(written) => rest = &rest[written..],
                None => return self.close(),
            }
        }
        if !rest.is_empty() && self.fd().is_some() {
            self.spool.push(rest);
        }
    }

    /// Closes it behind what is still to be written.
    pub(crate) fn end(&mut self) {
        self.ends = true;
        if self.spool.is_empty() {
            self.close();
        }
    }

    /// Closes it and drops what was not written.
    pub(crate) fn close(&mut self) {
        self.pipe = Pipe::Closed;
        self.spool.clear();
    }

    /// Moves what the pipe takes; whether anything was moved.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.spool.is_empty() {
            return false;
        }
        self.pipe = match std::mem::take(&mut self.pipe) {
            Pipe::Plain(fd) => match watch(fd, Interest::WRITABLE) {
                Ok(watched) => Pipe::Watched(watched),
                Err(error) => {
                    tracing::error!(target: "exec", "stdin is cut short: {error}");
                    Pipe::Closed
                }
            },
            other => other,
        };
        let Pipe::Watched(pipe) = &self.pipe else {
            self.close();
            return false;
        };
        let mut moved = 0;
        while moved < TURN && !self.spool.is_empty() {
            let Poll::Ready(Ok(mut guard)) = pipe.poll_write_ready(cx) else { break };
            let front = self.spool.front();
            let front = &front[..front.len().min(TURN)];
            match rustix::io::write(pipe, front) {
                Ok(written) => {
                    self.spool.consume(written);
                    moved += written;
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                // Nobody reads it any more.
                Err(_) => {
                    drop(guard);
                    self.close();
                    return true;
                }
            }
        }
        if self.ends && self.spool.is_empty() {
            self.close();
        }
        moved > 0
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.pipe {
            Pipe::Closed => None,
            Pipe::Plain(fd) => Some(fd.as_fd()),
            Pipe::Watched(watched) => Some(watched.get_ref().as_fd()),
        }
    }
}

/// How much the pipe took; `None` where nobody reads it.
fn write_all_there_is_room_for(fd: BorrowedFd<'_>, bytes: &[u8]) -> Option<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(fd, &bytes[written..]) {
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(_) => return None,
        }
    }
    Some(written)
}
