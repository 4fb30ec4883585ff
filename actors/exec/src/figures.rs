//! What a socket has done and does just now, for status and metrics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Counters of one socket, shared by its threads; they outlive the actor.
#[derive(Debug, Default)]
pub struct Figures {
    connected: AtomicU32,
    /// Connections of each user that has any, kept only where a user may not have them all.
    users: Mutex<HashMap<u32, u32>>,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) exec_failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) killed: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    runs: Mutex<HashMap<i32, Run>>,
}

/// A program that runs for a client.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its pid.
    pub pid: i32,
    /// Its name as the client gave it.
    pub program: Box<str>,
    /// The client's user.
    pub uid: u32,
    /// The client's pid.
    pub peer: i32,
    /// When it was started.
    pub started: Instant,
}

/// All figures at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Connections that are served just now.
    pub connected: u32,
    /// Connections that were accepted, the refused ones among them.
    pub accepted: u64,
    /// Connections that were closed without being served: too many, or of the wrong user.
    pub refused: u64,
    /// Programs that were started.
    pub started: u64,
    /// Programs that could not be started or were not allowed.
    pub exec_failed: u64,
    /// Connections that came to their deadline.
    pub timed_out: u64,
    /// Programs that had to be killed.
    pub killed: u64,
    /// Requests that broke the protocol.
    pub protocol_errors: u64,
    /// Bytes that came from clients.
    pub bytes_in: u64,
    /// Bytes that went to clients.
    pub bytes_out: u64,
    /// What runs just now, the oldest first.
    pub runs: Vec<Run>,
}

/// The right to be served; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    figures: Arc<Figures>,
    /// Whose share it is of.
    user: Option<u32>,
}

/// Why a connection is not served: how many are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Of all users.
    All(u32),
    /// Of this one.
    User { uid: u32, most: u32 },
}

impl Figures {
    /// Admits a connection unless `most` are served already, or `most_of_user` of user `uid`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        most: u32,
        uid: u32,
        most_of_user: Option<u32>,
    ) -> Result<Permit, Full> {
        let one_more = |now: u32| (now < most).then_some(now + 1);
        self.connected.fetch_update(Relaxed, Relaxed, one_more).map_err(Full::All)?;
        // It goes back if the user's share is used up.
        let mut permit = Permit { figures: self.clone(), user: None };
        if let Some(most) = most_of_user {
            let mut users = self.users();
            let now = users.entry(uid).or_default();
            if *now >= most {
                return Err(Full::User { uid, most });
            }
            *now += 1;
            permit.user = Some(uid);
        }
        Ok(permit)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<u32, u32>> {
        // A thread that panicked while it held the lock left a map that is still one.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<i32, Run>> {
        // A thread that panicked while it held the lock left a map that is still one.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, run: Run) {
        self.runs().insert(run.pid, run);
    }

    pub(crate) fn end(&self, pid: i32) {
        self.runs().remove(&pid);
    }

    /// All of them as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let mut runs: Vec<_> = self.runs().values().cloned().collect();
        runs.sort_by_key(|run| (run.started, run.pid));
        Snapshot {
            connected: self.connected.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            started: self.started.load(Relaxed),
            exec_failed: self.exec_failed.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            killed: self.killed.load(Relaxed),
            protocol_errors: self.protocol_errors.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            runs,
        }
    }
}

/// One more of what a counter counts.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// So many more.
pub(crate) fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(bytes as u64, Relaxed);
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.figures.connected.fetch_sub(1, Relaxed);
        if let Some(uid) = self.user {
            let mut users = self.figures.users();
            if let Some(now) = users.get_mut(&uid) {
                *now -= 1;
                if *now == 0 {
                    users.remove(&uid);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d19_exactly_as_many_as_allowed_are_admitted() {
        let figures = Arc::new(Figures::default());
        let permits: Vec<_> = (0..3).map(|_| figures.admit(2, 0, None)).collect();
        assert_eq!(permits.iter().flatten().count(), 2);
        drop(permits);
        assert!(figures.admit(1, 0, None).is_ok());
    }

    #[test]
    fn a_user_has_no_more_than_a_share() {
        let figures = Arc::new(Figures::default());
        let first = figures.admit(3, 7, Some(1)).unwrap();
        assert_eq!(figures.admit(3, 7, Some(1)).unwrap_err(), Full::User { uid: 7, most: 1 });
        let other = figures.admit(3, 8, Some(1)).unwrap();
        assert_eq!(figures.snapshot().connected, 2);
        drop(first);
        let again = figures.admit(3, 7, Some(1)).unwrap();
        drop((other, again));
        assert!(figures.users().is_empty());
    }
}
