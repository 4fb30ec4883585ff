//! What a client's connection is doing, and since when: its limits in time are kept by this.
//!
//! Reads and writes leave their marks here, and so does each request; the task of the connection asks
//! for the next deadline, and has one timer for all of them.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::sniff::Head;
use super::stream::Stream;
use crate::config::Limits;

const HEAD: u8 = 0;
const BUSY: u8 = 1;
const IDLE: u8 = 2;
const TUNNEL: u8 = 3;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first call, and never 0.
fn now() -> u64 {
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

fn instant(mark: u64) -> Instant {
    *EPOCH + Duration::from_millis(mark - 1)
}

/// The marks of one connection. hyper wants what it reads from to be `Send`; they are never contended.
#[derive(Debug)]
pub(super) struct Watch {
    phase: AtomicU8,
    /// When the phase began; in a tunnel, when something moved last.
    since: AtomicU64,
    /// Since when the client takes nothing; 0: it does.
    blocked: AtomicU64,
    /// How many requests are being answered.
    active: AtomicU32,
    /// The head that is being read tells two lengths.
    two_lengths: AtomicBool,
}

impl Watch {
    /// A connection whose first head is awaited.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(now()),
            blocked: AtomicU64::new(0),
            active: AtomicU32::new(0),
            two_lengths: AtomicBool::new(false),
        })
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.since.store(now(), Relaxed);
    }

    /// A request is being answered until what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.active.fetch_add(1, Relaxed);
        self.phase.store(BUSY, Relaxed);
        Busy(self.clone())
    }

    /// Whether the head that was read last told two lengths.
    pub(super) fn told_two_lengths(&self) -> bool {
        self.two_lengths.load(Relaxed)
    }

    /// The connection is HTTP no longer.
    pub(super) fn become_tunnel(&self) {
        self.enter(TUNNEL);
    }

    /// When something moved last through a tunnel.
    pub(super) fn moved(&self) -> Instant {
        instant(self.since.load(Relaxed))
    }

    /// When the connection is to be closed unless something happens before.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let since = || instant(self.since.load(Relaxed));
        let blocked = match self.blocked.load(Relaxed) {
            0 => None,
            mark => Some(instant(mark) + limits.client_timeout),
        };
        let phase = match self.phase.load(Relaxed) {
            HEAD => Some(since() + limits.header_timeout),
            // The end of the last response may still be on its way: nobody is idle then.
            IDLE if blocked.is_none() => Some(since() + limits.idle_timeout),
            _ => None,
        };
        [phase, blocked].into_iter().flatten().min()
    }

    fn wrote<T>(&self, outcome: &Poll<io::Result<T>>) {
        if outcome.is_ready() {
            let was_blocked = self.blocked.load(Relaxed) != 0;
            if was_blocked {
                self.blocked.store(0, Relaxed);
            }
            let phase = self.phase.load(Relaxed);
            if phase == TUNNEL || was_blocked && phase == IDLE {
                self.since.store(now(), Relaxed);
            }
        } else if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(now(), Relaxed);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Relaxed) == 1 && self.0.phase.load(Relaxed) == BUSY {
            self.0.enter(IDLE);
        }
    }
}

/// A client's stream that leaves its marks.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    /// What was read before it was known which HTTP is spoken.
    before: io::Cursor<Vec<u8>>,
    watch: Arc<Watch>,
    /// `None` with HTTP/2, whose heads are no text.
    head: Option<Head>,
    /// Something came that nobody has read yet.
    ahead: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, before: Vec<u8>, watch: Arc<Watch>, is_text: bool) -> Self {
        let head = is_text.then(Head::default);
        Self { stream, before: io::Cursor::new(before), watch, head, ahead: false }
    }

    /// Whether the client has gone while a request is being answered. hyper does not look, and so needs no
    /// room to read to meanwhile; it flushes whenever it has gone on, and asks for this then.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        let Stream::Tcp(stream) = &self.stream else { return false };
        if self.ahead || self.head.is_none() || self.watch.phase.load(Relaxed) != BUSY {
            return false;
        }
        match stream.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(Ok(length)) => {
                self.ahead = length > 0;
                !self.ahead
            }
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let Some(head) = &mut self.head else { return };
        match self.watch.phase.load(Relaxed) {
            TUNNEL => return self.watch.since.store(now(), Relaxed),
            IDLE => {
                self.watch.enter(HEAD);
                *head = Head::default();
            }
            HEAD => {}
            _ => return,
        }
        self.watch.two_lengths.store(head.feed(bytes), Relaxed);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ahead = false;
        let old = buf.filled().len();
        if this.before.has_remaining() {
            let length = this.before.remaining().min(buf.remaining());
            buf.put_slice(&this.before.chunk()[..length]);
            this.before.advance(length);
        } else {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        }
        if buf.filled().len() > old {
            this.read(&buf.filled()[old..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch.wrote(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch.wrote(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch.wrote(&flushed);
        if self.is_gone(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch.wrote(&shut);
        shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_idle_who_has_not_taken_the_last_response() {
        let (idle_timeout, client_timeout) = (Duration::from_secs(1), Duration::from_secs(3600));
        let limits = Limits { idle_timeout, client_timeout, ..Limits::default() };
        let watch = Watch::new();
        let within =
            |limit| watch.deadline(&limits).is_some_and(|end| end <= Instant::now() + limit);
        let busy = watch.begin();
        watch.wrote::<()>(&Poll::Pending);
        drop(busy);
        assert!(!within(client_timeout / 2) && within(client_timeout));
        let blocked = watch.since.load(Relaxed);
        watch.since.store(1, Relaxed);
        watch.wrote(&Poll::Ready(Ok(())));
        assert!(
            within(idle_timeout) && watch.since.load(Relaxed) >= blocked,
            "it is idle from now on"
        );
    }
}
