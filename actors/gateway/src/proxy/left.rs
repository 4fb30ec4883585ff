//! An upstream's connection that is left to hyper after it was used without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A connection that was used before hyper has it.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) stream: Stream,
    /// How much of hyper's request is sent.
    pub(super) sent: usize,
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
        if this.sent > 0 {
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
    /// Takes what was sent already as written.
    fn skip(&mut self, length: usize, cx: &Context<'_>) -> usize {
        let skipped = length.min(self.sent);
        self.sent -= skipped;
        if self.sent == 0 {
            // It may read.
            cx.waker().wake_by_ref();
        }
        skipped
    }
}

impl AsyncWrite for Left {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.sent > 0 {
            return Poll::Ready(Ok(self.skip(buf.len(), cx)));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.sent > 0 {
            let length = bufs.iter().map(|buf| buf.len()).sum();
            return Poll::Ready(Ok(self.skip(length, cx)));
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
