//! A byte stream to a client or an upstream, whatever carries it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// How much is copied together rather than sent from several places.
const SHORT: usize = 2048;

/// A stream.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls a method of whichever stream there is.
macro_rules! each {
    ($stream:expr, $one:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($one) => $call,
            Stream::Unix($one) => $call,
            Stream::Tls($one) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), one => Pin::new(one).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), one => Pin::new(one).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if length > SHORT {
            return each!(self.get_mut(), one => Pin::new(one).poll_write_vectored(cx, bufs));
        }
        // A head and a short body: sending them from one place costs less than describing two.
        let mut whole = [0; SHORT];
        let mut rest = &mut whole[..length];
        for buf in bufs {
            let (place, behind) = rest.split_at_mut(buf.len());
            place.copy_from_slice(buf);
            rest = behind;
        }
        each!(self.get_mut(), one => Pin::new(one).poll_write(cx, &whole[..length]))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, one => one.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), one => Pin::new(one).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), one => Pin::new(one).poll_shutdown(cx))
    }
}
