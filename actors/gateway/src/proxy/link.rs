//! A connection to an upstream, and who lets it go on.
//!
//! Whoever waits for a response polls the connection as well: its bytes are read and written by the task
//! that needs them, which no other task has to be woken for. As long as all on it is plain, that is all; what
//! is not is for hyper, which has it from then on. A connection that serves a request with a streaming body,
//! or that may change its protocol, has a task of its own from then on: it has to go on while nobody waits for
//! the response.

use std::fmt;
use std::future::poll_fn;
use std::mem::replace;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::body::{Fault, Progress, Upload};
use super::left::Left;
use super::plain::{Asked, Plain, is_plain};
use super::timer::Timer;
use super::upstream::Failed;

/// What comes of a request that was sent.
pub(super) type Outcome = Result<Response<Arriving>, TrySendError<Request<Upload>>>;

type Io = TokioIo<Left>;

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Link {
    way: Way,
    timer: Timer,
    pool: Arc<Tending>,
}

/// Who reads and writes.
#[derive(Debug)]
enum Way {
    Plain(Box<(Plain, Builder)>),
    Hyper {
        sender: SendRequest<Upload>,
        /// `None` once it has a task of its own.
        inline: Option<Box<Inline>>,
    },
    /// It is on its way from one to the other, or was lost there.
    Gone,
}

/// Who cares for the connections that wait in a pool.
#[derive(Debug, Default)]
pub(super) struct Tending(AtomicWaker);

impl Tending {
    /// Who is to be woken from now on.
    pub(super) fn register(&self, waker: &Waker) {
        self.0.register(waker);
    }

    /// There is something to be seen to.
    pub(super) fn call(&self) {
        self.0.wake();
    }
}

impl Wake for Tending {
    fn wake(self: Arc<Self>) {
        self.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.call();
    }
}

/// A response's body, which comes over its connection.
#[derive(Debug)]
pub(super) enum Arriving {
    /// So many bytes are still to come.
    Plain(u64),
    Hyper(Incoming),
}

impl Arriving {
    /// Polls it; over `link`, if that goes on only while it is polled for.
    pub(super) fn poll(
        &mut self,
        link: Option<&mut Link>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = match (self, link.map(|link| &mut link.way)) {
            (Self::Plain(0), _) => return Poll::Ready(None),
            (Self::Plain(left), Some(Way::Plain(plain))) => {
                let piece = ready!(plain.0.poll_body(left, cx));
                return Poll::Ready(piece.map(|piece| piece.map(Frame::data)));
            }
            // The rest is nowhere but on its connection.
            (Self::Plain(_), _) => return Poll::Ready(Some(Err(Fault::Broken))),
            (Self::Hyper(body), Some(Way::Hyper { inline: Some(inline), .. })) => {
                ready!(inline.poll_body(body, cx))
            }
            (Self::Hyper(body), _) => ready!(Pin::new(body).poll_frame(cx)),
        };
        Poll::Ready(frame.map(|frame| frame.map_err(|_| Fault::Broken)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(left) => *left == 0,
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(left) => SizeHint::with_exact(*left),
            Self::Hyper(body) => body.size_hint(),
        }
    }
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
    pool: Arc<Tending>,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        match self.phase.load(SeqCst) {
            USED => self.user.wake(),
            IDLE => self.pool.call(),
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

    /// Polls the body of a response that came over it.
    fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(self.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx)));
        if self.asked && body.is_end_stream() {
            // hyper asks for the next frame, and there is none.
            self.relay.woken.store(false, SeqCst);
        }
        Poll::Ready(frame)
    }
}

impl Link {
    /// A connection that is new, which hyper gets by `builder` once it needs to. `pool` is who cares for it while
    /// nobody uses it.
    pub(super) fn new(plain: Plain, builder: Builder, pool: Arc<Tending>) -> Self {
        Self { way: Way::Plain(Box::new((plain, builder))), timer: Timer::default(), pool }
    }

    /// Whether it can take a request.
    pub(super) fn is_ready(&mut self) -> bool {
        match &mut self.way {
            Way::Plain(plain) => {
                // The pool hears of it when something comes that nobody asked for.
                let pool = Waker::from(self.pool.clone());
                plain.0.is_idle(&mut Context::from_waker(&pool))
            }
            Way::Hyper { sender, inline } => {
                if let Some(inline) = inline {
                    inline.go_on();
                }
                sender.is_ready()
            }
            Way::Gone => false,
        }
    }

    /// Leaves it to hyper, unless hyper has it.
    async fn leave(&mut self) -> hyper::Result<()> {
        let (plain, builder) = match replace(&mut self.way, Way::Gone) {
            Way::Plain(plain) => *plain,
            other => {
                self.way = other;
                return Ok(());
            }
        };
        let (sender, connection) = builder.handshake(TokioIo::new(plain.leave())).await?;
        let relay = Arc::new(Relay {
            woken: AtomicBool::new(true),
            phase: AtomicU8::new(HELD),
            user: AtomicWaker::new(),
            pool: self.pool.clone(),
        });
        let waker = Waker::from(relay.clone());
        let inline = Inline { connection: Some(connection), relay, waker, asked: false };
        self.way = Way::Hyper { sender, inline: Some(Box::new(inline)) };
        Ok(())
    }

    /// Gives the connection a task of its own.
    pub(super) async fn detach(&mut self) -> hyper::Result<()> {
        self.leave().await?;
        if let Way::Hyper { inline, .. } = &mut self.way
            && let Some(connection) = inline.take().and_then(|inline| inline.connection)
        {
            tokio::task::spawn_local(async move {
                // Whoever waits for the response hears of an error.
                let _ = connection.with_upgrades().await;
            });
        }
        Ok(())
    }

    fn relay(&self) -> Option<&Relay> {
        match &self.way {
            Way::Hyper { inline: Some(inline), .. } => Some(&inline.relay),
            _ => None,
        }
    }

    /// It waits in the pool.
    pub(super) fn rest(&self) {
        if let Some(relay) = self.relay() {
            relay.phase.store(IDLE, SeqCst);
            if relay.woken.load(SeqCst) {
                relay.pool.call();
            }
        }
    }

    /// It is used again.
    pub(super) fn hold(&self) {
        if let Some(relay) = self.relay() {
            relay.phase.store(HELD, SeqCst);
        }
    }

    /// Sends a request and waits for the response. `progress` is that of the request's body, if it streams.
    pub(super) async fn ask(
        &mut self,
        mut request: Request<Upload>,
        progress: Option<&Progress>,
        limit: Duration,
    ) -> Result<Outcome, Failed> {
        let deadline = Instant::now() + limit;
        if let Way::Plain(plain) = &mut self.way
            && is_plain(&request)
        {
            match plain.0.ask(&mut request, &mut self.timer, deadline).await {
                Asked::Answered(response) => return Ok(Ok(response)),
                Asked::Late => return Err(Failed::Late),
                Asked::Odd => {}
            }
        }
        self.leave().await.map_err(Failed::Broken)?;
        self.ask_hyper(request, progress, (deadline, limit)).await.ok_or(Failed::Late)
    }

    /// The same by hyper. `None` if nothing has moved for too long.
    async fn ask_hyper(
        &mut self,
        request: Request<Upload>,
        progress: Option<&Progress>,
        (deadline, limit): (Instant, Duration),
    ) -> Option<Outcome> {
        let Way::Hyper { sender, inline } = &mut self.way else { return None };
        let sent = sender.try_send_request(request);
        let outcome = match inline {
            None => within(sent, progress, limit).await,
            Some(inline) => {
                // What is not polled by its own task must not be told to wait for it.
                let mut sent = pin!(unconstrained(sent));
                poll_fn(|cx| match inline.poll(cx, |cx| sent.as_mut().poll(cx)) {
                    Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                    Poll::Pending => {
                        let mut cx = Context::from_waker(&inline.waker);
                        match self.timer.is_late(deadline, &mut cx) {
                            true => Poll::Ready(None),
                            false => Poll::Pending,
                        }
                    }
                })
                .await
            }
        };
        Some(match outcome? {
            Ok(response) => Ok(response.map(Arriving::Hyper)),
            Err(refused) => Err(refused),
        })
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
