//! Events for hooks that run in this process: one is handled at a time, not to need a thread and a state for
//! each, and on a thread that nobody waits for.

use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::Failure;

/// The turns of events.
#[derive(Debug)]
pub(super) struct Handling(Semaphore);

impl Default for Handling {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Handling {
    /// Has `work` call a handler once it is its turn; the answer is whether there was one.
    pub(super) async fn run(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> Result<bool, Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let turn = timeout_at(deadline.into(), self.0.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(Failure::Busy)?;
        // Not on a thread of the background, which handlers wait for when they ask for data.
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Failure::Refused("there is no such handler".to_owned())),
            Ok(Err(failure)) => Err(failure),
            Err(error) => Err(Failure::Unreachable(error.to_string())),
        }
    }
}
