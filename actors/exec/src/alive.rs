//! How many threads of a socket live, for one who waits for the last of them outside of any runtime.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The count.
#[derive(Debug, Default)]
pub(crate) struct Alive {
    count: Mutex<usize>,
    fell: Condvar,
}

/// One thread's part of it.
#[derive(Debug)]
pub(crate) struct Living(Arc<Alive>);

impl Alive {
    /// One more lives, until this is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Living {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Living(self.clone())
    }

    /// Waits until none lives; false if some did after that time.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.fell.wait_timeout_while(count, limit, |count| *count > 0);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *count == 0
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_waited_for() {
        let alive = Arc::new(Alive::default());
        assert!(alive.wait(Duration::ZERO));
        let living = [alive.enter(), alive.enter()];
        assert!(!alive.wait(Duration::from_millis(1)));
        let thread = std::thread::spawn(move || drop(living));
        assert!(alive.wait(Duration::from_secs(20)));
        thread.join().unwrap();
    }
}
