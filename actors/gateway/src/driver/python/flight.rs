//! A call on its way to a worker and back: how long it is waited for, and when its worker is taken to be stuck.
//!
//! A hook that runs longer than its call may holds a thread of its worker, which only the worker's end gives
//! back. A call that has not begun since others are being worked on holds nothing, and its worker is left alone;
//! so is that of one which has begun late, until the hook itself has had the time of a call: else many calls at
//! once, of hooks that end, would take workers from each other. All of this is true of calls that nobody waits
//! for any more, so those are watched as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::timeout_at;

use super::Shared;
use super::lane::{Answer, Sent};
use super::worker::Seat;
use crate::driver::Failure;

/// A call. When it is dropped without an answer it is watched on.
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
                if call.is_stuck() {
                    call.kill();
                    self.call = None;
                }
                Err(Failure::Late)
            }
        }
    }
}

impl Call {
    /// Whether the worker is at this call for as long as it may, or nothing is heard of it though it could be.
    fn is_stuck(&self) -> bool {
        let Self { shared, sent, seat: Seat(worker), allowance, .. } = self;
        match sent.begun() {
            Some(begun) => begun.elapsed() >= *allowance,
            None => {
                let is_silent = worker.heard.load(Ordering::Relaxed) == self.heard;
                is_silent && !worker.is_full(shared.config.threads)
            }
        }
    }

    /// Ends the worker.
    fn kill(&self) {
        let Self { shared, seat: Seat(worker), .. } = self;
        tracing::warn!(target: "gateway", "{} is killed: a hook missed its deadline", worker.name);
        shared.crew.remove(worker);
        shared.kill(&worker.name, worker.pid);
    }

    /// Waits for an answer that nobody else waits for. One that has not begun has been given up.
    async fn watch(mut self) {
        let given_up = Instant::now();
        loop {
            let begun = self.sent.begun();
            let until = begun.unwrap_or(given_up) + self.allowance;
            if timeout_at(until.into(), &mut self.sent.answer).await.is_ok() {
                return;
            }
            if self.is_stuck() {
                return self.kill();
            }
            if self.sent.begun() == begun {
                return;
            }
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
