//! The program's outputs: each is read straight away, and the event loop learns of it once it was
//! empty, so that a run that ends at once is read to its end without it.

use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use coproc_core::process::watch;
use rustix::io::{Errno, readv};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Our end of a pipe, non-blocking.
#[derive(Debug, Default)]
pub(super) enum Output {
    /// Nothing runs yet, or it has ended.
    #[default]
    Ended,
    /// It never was empty.
    Plain(OwnedFd),
    /// It was empty, and says when it is not.
    Watched(AsyncFd<OwnedFd>),
}

impl Output {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self::Plain(pipe)
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Reads what there is, and zero at its end; `whole` is how much a read may bring. With `look`,
    /// which is taken, it is read although the event loop has not told of anything.
    ///
    /// # Errors
    /// When the event loop cannot take it, or it cannot be read: as good as its end.
    pub(super) fn poll_read(
        &mut self,
        values: &mut [IoSliceMut<'_>],
        whole: usize,
        look: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let read = match self {
                Self::Ended => return Poll::Ready(Ok(0)),
                Self::Plain(pipe) => readv(&*pipe, values),
                Self::Watched(pipe) => {
                    let mut guard = match pipe.poll_read_ready(cx)? {
                        Poll::Ready(guard) => Some(guard),
                        Poll::Pending if std::mem::take(look) => None,
                        Poll::Pending => return Poll::Pending,
                    };
                    let read = readv(&*pipe, values);
                    let emptied = match read {
                        Ok(read) => 0 < read && read < whole,
                        Err(error) => error == Errno::AGAIN,
                    };
                    if let (Some(guard), true) = (&mut guard, emptied) {
                        guard.clear_ready();
                    }
                    read
                }
            };
            match read {
                Err(Errno::AGAIN) => {
                    if let Self::Plain(_) = self
                        && let Self::Plain(pipe) = std::mem::take(self)
                    {
                        *self = Self::Watched(watch(pipe, Interest::READABLE)?);
                    }
                }
                Err(Errno::INTR) => {}
                read => return Poll::Ready(Ok(read?)),
            }
        }
    }
}
