//! A call on its way to a worker and back: how long it is waited for, and when its worker is taken to be stuck.
//!
//! A hook that runs longer than its call may holds a thread of its worker, which only the worker's end gives
//! back. A call that has not begun since others are being worked on holds nothing, and its worker is left alone.
//! Both are true of calls that nobody waits for any more, so those are watched as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{timeout, timeout_at};

use super::Shared;
use super::lane::{Answer, Sent};
use super::worker::Seat;
use crate::driver::Failure;

/// A call. When it is dropped without an answer it is watched for once more its time.
pub(super) struct Flight {
    /// `None` once there is nothing to wait for.
    call: Option<Call>,
    deadline: Instant,
}

struct Call {
    shared: Arc<Shared>,
    seat: Seat,
    sent: Sent,
    /// How many frames had come from the worker when it was sent.
    heard: u64,
    allowance: Duration,
}

impl Flight {
    pub(super) fn new(shared: Arc<Shared>, seat: Seat, sent: Sent, deadline: Instant) -> Self {
        let heard = seat.0.heard.load(Ordering::Relaxed);
        let allowance = deadline.saturating_duration_since(Instant::now());
        Self { call: Some(Call { shared, seat, sent, heard, allowance }), deadline }
    }

    /// What the call comes to.
    pub(super) async fn answer(mut self) -> Answer {
        let ended = || Err(Failure::Unreachable("its worker has ended".to_owned()));
        let Some(call) = &mut self.call else { return ended() };
        match timeout_at(self.deadline.into(), &mut call.sent.answer).await {
            Ok(answer) => {
                self.call = None;
                answer.unwrap_or_else(|_| ended())
            }
            Err(_) => {
                if call.kill_if_stuck() {
                    self.call = None;
                }
                Err(Failure::Late)
            }
        }
    }
}

impl Call {
    /// Ends the worker if it is at this call, or if nothing is heard of it though it could be at it.
    fn kill_if_stuck(&self) -> bool {
        let Self { shared, sent, seat: Seat(worker), .. } = self;
        let is_silent = worker.heard.load(Ordering::Relaxed) == self.heard;
        let is_full = worker.is_full(shared.config.threads);
        let is_stuck = sent.is_slow() || is_silent && !is_full;
        if is_stuck {
            tracing::warn!(
                target: "gateway",
                "{} is killed: a hook missed its deadline",
                worker.name
            );
            shared.crew.remove(worker);
            shared.kill(worker);
        }
        is_stuck
    }

    /// Waits for an answer that nobody else waits for.
    async fn watch(mut self) {
        if timeout(self.allowance, &mut self.sent.answer).await.is_err() {
            self.kill_if_stuck();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.sent.forget() {
            // What it still answers is not counted any more.
            self.seat.0.slow.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        call.sent.cancel();
        // Without a runtime its lane ends as well.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(call.watch());
        }
    }
}
