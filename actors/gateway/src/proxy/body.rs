//! Bodies on their way: a request's to the upstream, a response's to the client. They stream; who takes
//! no more, holds the other side up.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::held::Held;
use super::link::{Arriving, Link};
use super::owed::Owed;
use super::pool::Lease;
use super::watch::Busy;
use super::worker::InFlight;

/// How much of a body that is there is handed on at once.
const PIECE: usize = 64 << 10;

/// Why a body does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing came for too long.
    #[error("a body stands still")]
    Late,
    /// It is longer than allowed.
    #[error("a body is too long")]
    TooLong,
    /// What came is no body, or the connection is gone.
    #[error("a body broke off")]
    Broken,
}

/// A body that may not stand still for too long. The timer is there only once it has to be waited for.
#[derive(Debug)]
struct Paced {
    body: Arriving,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Something came since the timer was set.
    moved: Option<Instant>,
}

impl Paced {
    fn new(body: Arriving, limit: Duration) -> Self {
        Self { body, limit, timer: None, moved: None }
    }

    /// Polls it; over `link`, if that goes on only while it is polled for.
    fn poll(
        &mut self,
        link: Option<&mut Link>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let polled = self.body.poll(link, cx);
        if polled.is_ready() {
            if self.timer.is_some() {
                self.moved = Some(Instant::now());
            }
            return polled;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let Some(moved) = self.moved.take() else { return Poll::Ready(Some(Err(Fault::Late))) };
            timer.as_mut().reset(moved + self.limit);
        }
    }
}

/// What is known of an upload by those who wait for the response.
#[derive(Debug)]
pub(super) struct Progress {
    /// Why it ended before its end.
    pub(super) fault: Cell<Option<Fault>>,
    /// When something moved last.
    pub(super) moved: Cell<Instant>,
}

/// A request's body.
#[derive(Debug)]
pub(super) enum Upload {
    None,
    Whole(Option<Bytes>),
    Stream(Box<Streaming>),
}

/// A request's body that streams.
#[derive(Debug)]
pub(super) struct Streaming {
    body: Paced,
    /// How many bytes more it may have.
    left: u64,
    progress: Rc<Progress>,
}

impl Upload {
    /// What a client sends, at most `most` bytes.
    pub(super) fn from_client(body: Incoming, most: u64, pace: Duration) -> (Self, Rc<Progress>) {
        let progress =
            Rc::new(Progress { fault: Cell::new(None), moved: Cell::new(Instant::now()) });
        let body = Paced::new(Arriving::Hyper(body), pace);
        (
            Self::Stream(Box::new(Streaming { body, left: most, progress: progress.clone() })),
            progress,
        )
    }

    /// Whether it is known from the start.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let mut frame = ready!(self.body.poll(None, cx));
        if let Some(Ok(one)) = &frame {
            let length = one.data_ref().map_or(0, |data| data.len() as u64);
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => frame = Some(Err(Fault::TooLong)),
            }
        }
        match &frame {
            Some(Err(fault)) => self.progress.fault.set(Some(*fault)),
            _ => self.progress.moved.set(Instant::now()),
        }
        Poll::Ready(frame)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None | Self::Whole(None) => true,
            Self::Whole(Some(_)) => false,
            Self::Stream(stream) => stream.body.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None | Self::Whole(None) => SizeHint::with_exact(0),
            Self::Whole(Some(body)) => SizeHint::with_exact(body.len() as u64),
            Self::Stream(stream) => stream.body.body.size_hint(),
        }
    }
}

/// A response's body; the request is being answered until it is dropped.
#[derive(Debug)]
pub(super) struct Download {
    kind: Kind,
    _busy: Option<Busy>,
    _in_flight: Option<InFlight>,
    owed: Option<Rc<Owed>>,
    /// The room that it takes.
    _held: Option<Held>,
}

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Stream(Paced, Option<Lease>),
    /// A stream that has broken off.
    Broken(Fault),
}

impl Download {
    /// A body that is there.
    pub(super) fn whole(body: Bytes) -> Self {
        let kind = Kind::Whole(Some(body).filter(|body| !body.is_empty()));
        Self { kind, _busy: None, _in_flight: None, owed: None, _held: None }
    }

    /// What an upstream sends; its connection can be used anew after that.
    pub(super) fn from_upstream(body: Arriving, pace: Duration, lease: Lease) -> Self {
        let kind = Kind::Stream(Paced::new(body, pace), Some(lease));
        Self { kind, _busy: None, _in_flight: None, owed: None, _held: None }
    }

    /// Takes room until it is sent.
    pub(super) fn keeping(&mut self, held: Held) {
        self._held = Some(held);
    }

    /// Keeps the request among those that are being answered, and leaves marks of what the client owes.
    pub(super) fn holding(
        mut self,
        busy: Busy,
        in_flight: Option<InFlight>,
        owed: Option<Rc<Owed>>,
    ) -> Self {
        self._busy = Some(busy);
        self._in_flight = in_flight;
        self.owed = owed;
        // The head is there to be taken.
        if let Some(owed) = &self.owed {
            owed.given();
        }
        self
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut self.kind {
            Kind::Broken(fault) => Poll::Ready(Some(Err(*fault))),
            Kind::Whole(body) => Poll::Ready(piece(body).map(|body| Ok(Frame::data(body)))),
            Kind::Stream(body, lease) => {
                let link = lease.as_mut().map(|lease| &mut lease.link);
                let frame = ready!(body.poll(link, cx));
                if let Some(Err(fault)) = frame {
                    // hyper sends nothing any more once it knows. What came before goes out first.
                    self.kind = Kind::Broken(fault);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if (frame.is_none() || body.body.is_end_stream())
                    && let Some(lease) = lease.take()
                {
                    lease.give_back();
                }
                Poll::Ready(frame)
            }
        }
    }
}

/// The next piece of a body that is there.
fn piece(body: &mut Option<Bytes>) -> Option<Bytes> {
    match body {
        Some(rest) if rest.len() > PIECE => Some(rest.split_to(PIECE)),
        _ => body.take(),
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        if let Some(owed) = &this.owed {
            match &polled {
                Poll::Ready(Some(_)) => owed.given(),
                _ => owed.taken(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(body) => body.is_none(),
            Kind::Stream(body, _) => body.body.is_end_stream(),
            Kind::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            Kind::Stream(body, _) => body.body.size_hint(),
            Kind::Broken(_) => SizeHint::default(),
        }
    }
}

impl Drop for Download {
    /// hyper asks for no further frame once the length that was told has come.
    fn drop(&mut self) {
        if let Kind::Stream(body, lease) = &mut self.kind
            && body.body.is_end_stream()
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
    }
}
