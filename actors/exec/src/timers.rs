//! What a connection has armed, on one timer of the runtime.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::session::Timer;

/// The timers of one connection.
#[derive(Debug)]
pub(crate) struct Timers {
    at: [Option<Instant>; Timer::ALL.len()],
    sleep: Pin<Box<Sleep>>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { at: [None; Timer::ALL.len()], sleep: Box::pin(sleep_until(Instant::now())) }
    }

    /// Arms a timer; one beyond the end of time never passes.
    pub(crate) fn arm(&mut self, timer: Timer, from: Instant, time: Duration) {
        self.at[timer as usize] = from.checked_add(time);
    }

    pub(crate) fn disarm(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    /// The next that has passed; it is disarmed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Timer> {
        let armed =
            Timer::ALL.into_iter().filter_map(|timer| Some((self.at[timer as usize]?, timer)));
        let Some((at, timer)) = armed.min_by_key(|(at, _)| *at) else { return Poll::Pending };
        if self.sleep.deadline() != at {
            self.sleep.as_mut().reset(at);
        }
        match self.sleep.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.disarm(timer);
                Poll::Ready(timer)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn d9_the_earliest_passes_first_and_each_once() {
        let mut timers = Timers::new();
        let now = Instant::now();
        timers.arm(Timer::Deadline, now, Duration::from_millis(30));
        timers.arm(Timer::Kill, now, Duration::from_millis(10));
        timers.arm(Timer::Header, now, Duration::from_millis(20));
        timers.arm(Timer::Drain, now, Duration::MAX);
        timers.disarm(Timer::Header);
        for (timer, least) in [(Timer::Kill, 10), (Timer::Deadline, 30)] {
            assert_eq!(std::future::poll_fn(|cx| timers.poll(cx)).await, timer);
            assert!(now.elapsed() >= Duration::from_millis(least));
        }
    }
}
