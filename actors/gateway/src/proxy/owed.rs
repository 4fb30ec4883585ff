//! What clients of HTTP/2 have asked for and do not take.
//!
//! A client that gives no room to a response keeps what the response needs: the upstream's connection, a
//! place among the requests that are being answered. The socket says nothing of it, and hyper asks the body
//! for nothing. So the body leaves a mark whenever it has given something, and the task that answers the
//! request gives up once the mark is too old.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

/// Since when the client has had something to take; `None` while the gateway itself is not ready.
#[derive(Debug, Default)]
pub(super) struct Owed(Cell<Option<Instant>>);

impl Owed {
    /// There is something to take.
    pub(super) fn given(&self) {
        self.0.set(Some(Instant::now()));
    }

    /// The client took it, and there is room for more.
    pub(super) fn taken(&self) {
        self.0.set(None);
    }
}

/// The tasks of one connection, each of which answers one request.
#[derive(Clone, Debug)]
pub(super) struct Answering {
    /// Whose turn it is.
    turn: Rc<RefCell<Option<Rc<Owed>>>>,
    /// How long a client may leave a response where it is.
    limit: Duration,
}

impl Answering {
    /// Tasks that give up after `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { turn: Rc::default(), limit }
    }

    /// The mark of the task that is running.
    pub(super) fn owed(&self) -> Option<Rc<Owed>> {
        self.turn.borrow().clone()
    }

    async fn run(self, answer: impl Future<Output = ()>) {
        let mut answer = pin!(answer);
        let owed = Rc::new(Owed::default());
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            self.turn.replace(Some(owed.clone()));
            let polled = answer.as_mut().poll(cx);
            self.turn.replace(None);
            if polled.is_ready() {
                return Poll::Ready(());
            }
            while let Some(given) = owed.0.get() {
                let end = given + self.limit;
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
                // A later end is left to the timer that is set already.
                if timer.as_mut().poll(cx).is_pending() {
                    break;
                }
                if end <= Instant::now() {
                    // hyper resets what it lets go.
                    return Poll::Ready(());
                }
                timer.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await;
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Answering {
    fn execute(&self, answer: F) {
        tokio::task::spawn_local(self.clone().run(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a response is given up that is given `pieces` pieces, each after a pause, and then not taken.
    async fn gives_up(pieces: usize, pause: Duration, then_waits: bool) -> Duration {
        let answering = Answering::new(Duration::from_secs(60));
        let (began, marks) = (Instant::now(), answering.clone());
        let answer = async move {
            let owed = marks.owed().unwrap();
            for _ in 0..pieces {
                owed.given();
                tokio::time::sleep(pause).await;
                owed.taken();
            }
            if !then_waits {
                owed.given();
            }
            tokio::time::sleep(Duration::from_secs(10_000)).await;
        };
        answering.clone().run(answer).await;
        assert!(answering.owed().is_none());
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_takes_nothing_is_given_up() {
        let (short, long) = (Duration::from_secs(59), Duration::from_secs(61));
        assert_eq!(gives_up(0, short, false).await.as_secs(), 60);
        assert_eq!(gives_up(3, short, false).await.as_secs(), 3 * 59 + 60);
        assert_eq!(gives_up(3, long, false).await.as_secs(), 60);
        // It is the gateway that takes its time.
        assert_eq!(gives_up(3, short, true).await.as_secs(), 3 * 59 + 10_000);
    }
}
