//! An upstream's connection that is left to hyper after it was used without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A connection that was used before hyper has it.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) stream: Stream,
    /// What is sent of hyper's request.
    pub(super) sent: Bytes,
    /// What came for it.
    pub(super) came: BytesMut,
    /// And then failed.
    pub(super) failed: Option<io::Error>,
}

impl AsyncRead for Left {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.sent.is_empty() {
            // Nobody has answered a request that hyper has not sent.
            return Poll::Pending;
        }
        if !this.came.is_empty() {
            let length = this.came.len().min(buf.remaining());
            buf.put_slice(&this.came.split_to(length));
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl Left {
    /// Takes what was sent already as written. Were it anything else, the upstream would take the rest for a
    /// request of its own.
    fn skip(&mut self, bytes: &[u8], cx: &Context<'_>) -> io::Result<usize> {
        let skipped = self.sent.split_to(bytes.len().min(self.sent.len()));
        if !bytes.starts_with(&skipped) {
            return Err(io::Error::other("the request is another one than was sent"));
        }
        if self.sent.is_empty() {
            // It may read.
            cx.waker().wake_by_ref();
        }
        Ok(skipped.len())
    }
}

impl AsyncWrite for Left {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.sent.is_empty() {
            return Poll::Ready(self.skip(buf, cx));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.sent.is_empty() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return Poll::Ready(first.map_or(Ok(0), |first| self.skip(first, cx)));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
