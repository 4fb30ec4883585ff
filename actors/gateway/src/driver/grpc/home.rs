//! On which thread a connection is. Where threads have runtimes of their own, a call on a connection of
//! another thread has to wake that thread, and again its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What stands for no thread.
const NOWHERE: usize = 0;

/// The number of this thread, from 1.
fn here() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// Where the connection of a channel is.
#[derive(Default)]
pub(super) struct Home(Arc<AtomicUsize>);

/// The same, as this thread sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resident {
    /// On this thread.
    Here,
    /// On another.
    Elsewhere,
    /// There is no connection.
    Nowhere,
}

impl Home {
    pub(super) fn resident(&self) -> Resident {
        match self.0.load(Ordering::Relaxed) {
            NOWHERE => Resident::Nowhere,
            thread if thread == here() => Resident::Here,
            _ => Resident::Elsewhere,
        }
    }

    /// Makes this thread the home, until the connection drops what it is given.
    pub(super) fn settle(&self) -> Stay {
        let thread = here();
        self.0.store(thread, Ordering::Relaxed);
        Stay { home: self.0.clone(), thread }
    }
}

/// Held by a connection, also by one that is still being made.
pub(super) struct Stay {
    home: Arc<AtomicUsize>,
    thread: usize,
}

impl Drop for Stay {
    fn drop(&mut self) {
        // Unless a newer connection has moved in elsewhere.
        let (thread, order) = (self.thread, Ordering::Relaxed);
        let _ = self.home.compare_exchange(thread, NOWHERE, order, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_at_home_on_its_thread_while_it_lasts() {
        let home = Home::default();
        assert_eq!(home.resident(), Resident::Nowhere);
        let stay = home.settle();
        assert_eq!(home.resident(), Resident::Here);
        let newer = std::thread::scope(|scope| {
            let other = scope.spawn(|| (home.resident(), home.settle()));
            other.join().unwrap()
        });
        assert_eq!((newer.0, home.resident()), (Resident::Elsewhere, Resident::Elsewhere));
        drop(stay);
        assert_eq!(home.resident(), Resident::Elsewhere);
        drop(newer);
        assert_eq!(home.resident(), Resident::Nowhere);
    }
}
