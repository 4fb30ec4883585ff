//! Deadlines of calls, kept by timers that outlive them.
//!
//! A timer that is set for one call would nearly always be the next of its thread to ring, of which tokio tells
//! the thread by a system call; and it is hardly ever needed. So a timer stays set when its call is over, and
//! the next call takes it as it is: one that rings too early is set to the deadline then.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::runtime::{Handle, Id};
use tokio::time::{Sleep, sleep_until};

/// How many timers a thread keeps; further ones end with their calls.
const KEPT: usize = 64;

thread_local! {
    static IDLE: RefCell<Vec<Timer>> = const { RefCell::new(Vec::new()) };
}

/// What a future comes to; `None` if the deadline is over before. It stays where its owner has pinned it: what
/// is moved into a future takes its room twice.
pub(super) async fn before<T>(
    deadline: Instant,
    mut future: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut lent = None;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let lent = lent.get_or_insert_with(|| Lent::new(deadline));
        if lent.is_over(deadline, cx) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// A timer and the runtime that it belongs to.
struct Timer {
    runtime: Id,
    sleep: Pin<Box<Sleep>>,
}

/// A timer that a call has; it goes back to the thread afterwards.
struct Lent(Option<Timer>);

impl Lent {
    fn new(deadline: Instant) -> Self {
        let runtime = Handle::current().id();
        let idle = IDLE.with_borrow_mut(Vec::pop).filter(|timer| timer.runtime == runtime);
        let timer = idle
            .unwrap_or_else(|| Timer { runtime, sleep: Box::pin(sleep_until(deadline.into())) });
        Self(Some(timer))
    }

    fn is_over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let Some(Timer { sleep, .. }) = &mut self.0 else { return false };
        let deadline = deadline.into();
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
        false
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(timer) = self.0.take() else { return };
        // A thread that ends keeps none.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT {
                idle.push(timer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    fn in_ms(number: u64) -> Instant {
        tokio::time::Instant::now().into_std() + Duration::from_millis(number)
    }

    async fn waited(deadline: Instant) -> Duration {
        let began = tokio::time::Instant::now();
        assert_eq!(before(deadline, pin!(pending::<()>())).await, None);
        began.elapsed()
    }

    fn idle() -> usize {
        IDLE.with_borrow(Vec::len)
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_serves_calls_whose_deadlines_are_earlier_or_later() {
        let near = |took: Duration, ms| {
            let took = took.as_millis();
            assert!((ms..=ms + 1).contains(&took), "{took} ms are not {ms}");
        };
        assert_eq!(before(in_ms(0), pin!(ready(7))).await, Some(7));
        assert_eq!(idle(), 0, "who need not wait needs no timer");
        near(waited(in_ms(50)).await, 50);
        near(waited(in_ms(200)).await, 200);
        near(waited(in_ms(10)).await, 10);
        let sleep = pin!(tokio::time::sleep(Duration::from_millis(100)));
        assert_eq!(before(in_ms(1000), sleep).await, Some(()));
        near(waited(in_ms(20)).await, 20);
        near(waited(in_ms(2000)).await, 2000);
        assert_eq!(idle(), 1);
    }

    #[test]
    fn a_timer_of_a_runtime_that_has_ended_is_left_alone() {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(waited(Instant::now() + Duration::from_millis(1)));
        };
        run();
        run();
        assert_eq!(idle(), 1);
    }
}
