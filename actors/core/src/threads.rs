//! Threads that serve: told together how far to stop, and known to be over.

use std::sync::Arc;

use tokio::sync::watch;

/// How far threads are to stop. Each step includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    Not,
    /// Nothing more is accepted; what has begun comes to its end.
    InOrder,
    /// At once.
    Now,
    /// At once, and whatever clients find the service by stays for the threads that are started next.
    Left,
}

/// The threads of a service. Dropping it leaves them behind: they end at once.
#[derive(Debug)]
pub struct Threads {
    stop: Arc<watch::Sender<Stop>>,
}

impl Threads {
    /// None so far. Each is given a receiver, and holds it for as long as it lives.
    pub fn new() -> (Self, watch::Receiver<Stop>) {
        let (stop, stopped) = watch::channel(Stop::Not);
        (Self { stop: Arc::new(stop) }, stopped)
    }

    /// Tells them how far to stop, unless they are to stop further already.
    pub fn stop(&self, stop: Stop) {
        self.stop.send_if_modified(|now| {
            let further = *now < stop;
            if further {
                *now = stop;
            }
            further
        });
    }

    /// Resolves when the last of them has ended.
    pub fn over(&self) -> impl Future<Output = ()> + 'static {
        let stop = self.stop.clone();
        async move { stop.closed().await }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop(Stop::Left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_way_back() {
        let (threads, stopped) = Threads::new();
        for (told, stop) in [
            (Stop::InOrder, Stop::InOrder),
            (Stop::Now, Stop::Now),
            (Stop::InOrder, Stop::Now),
            (Stop::Left, Stop::Left),
            (Stop::Not, Stop::Left),
        ] {
            threads.stop(told);
            assert_eq!(*stopped.borrow(), stop, "{told:?}");
        }
    }

    #[tokio::test]
    async fn they_are_over_with_the_last() {
        let (threads, first) = Threads::new();
        let second = first.clone();
        let over = tokio::spawn(threads.over());
        drop(first);
        tokio::task::yield_now().await;
        assert!(!over.is_finished());
        drop(second);
        over.await.unwrap();
    }

    #[test]
    fn whoever_drops_them_ends_them() {
        let (threads, stopped) = Threads::new();
        drop(threads);
        assert_eq!(*stopped.borrow(), Stop::Left);
    }
}
