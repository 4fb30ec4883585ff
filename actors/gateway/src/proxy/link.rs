//! A connection to an upstream, and who lets it go on.
//!
//! Whoever waits for a response polls the connection as well: its bytes are read and written by the task
//! that needs them, which no other task has to be woken for. A connection that serves a request with a
//! streaming body, or that may change its protocol, has a task of its own from then on: it has to go on
//! while nobody waits for the response.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::{Progress, Upload};
use super::stream::Stream;

/// What comes of a request that was sent.
pub(super) type Outcome = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

type Io = TokioIo<Stream>;

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Upload>,
    /// `None` once it has a task of its own.
    inline: Option<Box<Inline>>,
}

/// A connection that goes on while it is polled for.
struct Inline {
    /// `None` once it is over.
    connection: Option<Connection<Io, Upload>>,
    relay: Arc<Relay>,
    /// Wakes the relay.
    waker: Waker,
    /// What was polled last has woken the connection, and nothing else has.
    asked: bool,
    /// There as soon as a response was waited for, and kept for those that follow.
    timer: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inline").field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// A task is polling the connection, and sees by itself that there is more to do.
const HELD: u8 = 0;
/// A task waits for the response.
const USED: u8 = 1;
/// It waits in the pool.
const IDLE: u8 = 2;

/// Tells those whom a connection matters to that it can go on. Connections keep one waker for good,
/// whoever they are used by.
#[derive(Debug)]
struct Relay {
    /// The connection can go on.
    woken: AtomicBool,
    phase: AtomicU8,
    user: AtomicWaker,
    pool: Arc<AtomicWaker>,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        match self.phase.load(SeqCst) {
            USED => self.user.wake(),
            IDLE => self.pool.wake(),
            _ => {}
        }
    }
}

impl Inline {
    /// Lets the connection go on, if it can.
    fn go_on(&mut self) {
        if self.relay.woken.swap(false, SeqCst)
            && let Some(connection) = &mut self.connection
        {
            let mut cx = Context::from_waker(&self.waker);
            // Whoever waits for the response hears of an error.
            if Pin::new(connection).poll(&mut cx).is_ready() {
                self.connection = None;
            }
        }
    }

    /// Polls what the connection alone brings about.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut outcome: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.relay.phase.store(HELD, SeqCst);
        // It is polled after each time that the connection has gone on.
        let mut nobody = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            self.go_on();
            let goes_on = self.relay.woken.load(SeqCst);
            if let Poll::Ready(outcome) = outcome(&mut nobody) {
                self.asked = !goes_on;
                return Poll::Ready(outcome);
            }
            // The connection may have waited for nothing but being asked for this.
            if goes_on || !self.relay.woken.load(SeqCst) {
                break;
            }
        }
        self.relay.user.register(cx.waker());
        self.relay.phase.store(USED, SeqCst);
        if self.relay.woken.load(SeqCst) {
            self.relay.user.wake();
        }
        Poll::Pending
    }

    /// Whether `deadline` is over; the connection's waker hears of it when it is.
    fn is_late(&mut self, deadline: Instant) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        let mut cx = Context::from_waker(&self.waker);
        // A later deadline is left to the timer that is set already.
        while timer.as_mut().poll(&mut cx).is_ready() {
            if timer.deadline() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }
}

impl Link {
    /// A connection that is new. `pool` is who cares for it while nobody uses it.
    pub(super) fn new(
        sender: SendRequest<Upload>,
        connection: Connection<Io, Upload>,
        pool: Arc<AtomicWaker>,
    ) -> Self {
        let relay = Arc::new(Relay {
            woken: AtomicBool::new(true),
            phase: AtomicU8::new(HELD),
            user: AtomicWaker::new(),
            pool,
        });
        let waker = Waker::from(relay.clone());
        let connection = Some(connection);
        let inline = Inline { connection, relay, waker, asked: false, timer: None };
        Self { sender, inline: Some(Box::new(inline)) }
    }

    /// Whether it can take a request.
    pub(super) fn is_ready(&mut self) -> bool {
        if let Some(inline) = &mut self.inline {
            inline.go_on();
        }
        self.sender.is_ready()
    }

    /// Gives the connection a task of its own.
    pub(super) fn detach(&mut self) {
        if let Some(connection) = self.inline.take().and_then(|inline| inline.connection) {
            tokio::task::spawn_local(async move {
                // Whoever waits for the response hears of an error.
                let _ = connection.with_upgrades().await;
            });
        }
    }

    /// It waits in the pool.
    pub(super) fn rest(&self) {
        if let Some(inline) = &self.inline {
            inline.relay.phase.store(IDLE, SeqCst);
            if inline.relay.woken.load(SeqCst) {
                inline.relay.pool.wake();
            }
        }
    }

    /// It is used again.
    pub(super) fn hold(&self) {
        if let Some(inline) = &self.inline {
            inline.relay.phase.store(HELD, SeqCst);
        }
    }

    /// Sends a request and waits for the response. `None` if nothing has moved for as long as `limit`;
    /// `progress` is that of the request's body, if it streams.
    pub(super) async fn ask(
        &mut self,
        request: Request<Upload>,
        progress: Option<&Progress>,
        limit: Duration,
    ) -> Option<Outcome> {
        let sent = self.sender.try_send_request(request);
        let Some(inline) = &mut self.inline else { return within(sent, progress, limit).await };
        let deadline = Instant::now() + limit;
        // What is not polled by its own task must not be told to wait for it.
        let mut sent = pin!(unconstrained(sent));
        poll_fn(|cx| match inline.poll(cx, |cx| sent.as_mut().poll(cx)) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if inline.is_late(deadline) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Polls the body of a response that came over it.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<http_body::Frame<bytes::Bytes>>>> {
        let Some(inline) = &mut self.inline else { return Pin::new(body).poll_frame(cx) };
        let frame = ready!(inline.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
        if inline.asked && body.is_end_stream() {
            // hyper asks for the next frame, and there is none.
            inline.relay.woken.store(false, SeqCst);
        }
        Poll::Ready(frame)
    }
}

/// What a future comes to; `None` if nothing has moved for too long.
async fn within<T>(
    future: impl Future<Output = T>,
    progress: Option<&Progress>,
    limit: Duration,
) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = pin!(tokio::time::sleep(limit));
    loop {
        tokio::select! {
            biased;
            outcome = &mut future => return Some(outcome),
            () = &mut timer => {
                let next = progress.map(|progress| progress.moved.get() + limit)?;
                if next <= Instant::now() {
                    return None;
                }
                timer.as_mut().reset(next);
            }
        }
    }
}
