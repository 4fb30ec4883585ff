//! Whether the coprocess that is a plugin server is there.

use std::sync::RwLock;
use std::time::Instant;

use tokio::sync::watch::Receiver;
use tokio::time::timeout_at;

use crate::driver::Failure;

/// What the supervisor knows of a plugin server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It runs and is ready.
    Up,
    /// It is being started, and will be ready: calls wait for it, no longer than their deadline.
    Coming,
    /// It does not run, and nobody starts it.
    Gone,
}

/// What was last seen of a presence.
#[derive(Debug)]
pub(super) struct Watched(RwLock<Receiver<Presence>>);

impl Watched {
    pub(super) fn new(mut presence: Receiver<Presence>) -> Self {
        // What it is now, is nothing new.
        presence.mark_unchanged();
        Self(RwLock::new(presence))
    }

    /// Waits until the server is there. The answer is whether it came since it was last asked for.
    pub(super) async fn up(&self, deadline: Instant) -> Result<bool, Failure> {
        let (now, changed, mut waiting) = {
            let presence = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            let changed = presence.has_changed().unwrap_or(false);
            let now = *presence.borrow();
            if now == Presence::Up && !changed {
                return Ok(false);
            }
            (now, changed, presence.clone())
        };
        let found = match now {
            Presence::Coming => {
                let came = waiting.wait_for(|presence| *presence != Presence::Coming);
                match timeout_at(deadline.into(), came).await {
                    Ok(Ok(presence)) => *presence,
                    Ok(Err(_)) => Presence::Gone,
                    Err(_) => return Err(Failure::Late),
                }
            }
            now => now,
        };
        if found != Presence::Up {
            return Err(Failure::Unreachable("its coprocess is not running".to_owned()));
        }
        let mut presence = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        presence.mark_unchanged();
        Ok(changed || now == Presence::Coming)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn calls_wait_for_what_is_coming() {
        let far = Instant::now() + Duration::from_secs(60);
        let (tell, presence) = watch::channel(Presence::Coming);
        let watched = Watched::new(presence);
        let mut call = Box::pin(watched.up(far));
        assert!((&mut call).now_or_never().is_none());
        tell.send_replace(Presence::Up);
        assert_eq!(call.await, Ok(true));
        assert_eq!(watched.up(far).await, Ok(false));
        tell.send_replace(Presence::Coming);
        assert_eq!(watched.up(Instant::now()).await, Err(Failure::Late));
        tell.send_replace(Presence::Up);
        assert_eq!(watched.up(far).await, Ok(true), "it is another one than before");
        tell.send_replace(Presence::Gone);
        assert!(matches!(watched.up(far).await, Err(Failure::Unreachable(_))));
        tell.send_replace(Presence::Coming);
        drop(tell);
        assert!(matches!(watched.up(far).await, Err(Failure::Unreachable(_))));
    }
}
