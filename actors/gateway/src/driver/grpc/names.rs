//! Names with several addresses, looked up again from time to time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a name may be looked up at most, also when its servers fail.
const PAUSE: Duration = Duration::from_secs(1);

/// When names are looked up. Calls ask for it: nothing looks up what nobody uses.
#[derive(Debug)]
pub(super) struct Schedule {
    period: Duration,
    /// The last look, and whether the next may come early.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Schedule {
    pub(super) fn new(period: Duration) -> Self {
        Self { period, last: Mutex::new(None) }
    }

    /// Whether it is time; who is told so looks the names up.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let due = last.is_none_or(|(at, early)| {
            let wait = if early { PAUSE.min(self.period) } else { self.period };
            now.saturating_duration_since(at) >= wait
        });
        if due {
            *last = Some((now, false));
        }
        due
    }

    /// Makes the next look come early: a server failed, which may have moved.
    pub(super) fn hurry(&self) {
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, early)) = last.as_mut() {
            *early = true;
        }
    }
}

/// All addresses of a name, sorted.
pub(super) async fn look_up(host: &str, port: u16) -> Result<BTreeSet<SocketAddr>, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found: BTreeSet<_> = found.map_err(|error| format!("`{host}`: {error}"))?.collect();
    if found.is_empty() { Err(format!("`{host}` has no address")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_time() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let schedule = Schedule::new(Duration::from_secs(30));
        assert!(schedule.is_due(at(0)));
        assert!(!schedule.is_due(at(29_999)));
        assert!(schedule.is_due(at(30_000)));
        schedule.hurry();
        assert!(!schedule.is_due(at(30_999)));
        assert!(schedule.is_due(at(31_000)));
        assert!(!schedule.is_due(at(32_000)));
    }
}
