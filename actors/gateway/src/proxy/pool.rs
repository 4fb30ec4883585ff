//! Connections to upstreams that wait for another request. Each thread has a pool of its own.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::body::Upload;

/// Idle connections by upstream.
#[derive(Debug)]
pub(super) struct Pool {
    idle: RefCell<HashMap<Arc<str>, VecDeque<Idle>>>,
    /// There is something idle again.
    filled: Notify,
    most: usize,
    time: Duration,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

impl Pool {
    /// A pool of at most `most` connections to each upstream, each for at most `time`.
    pub(super) fn new(most: usize, time: Duration) -> Rc<Self> {
        let idle = RefCell::default();
        Rc::new(Self { idle, filled: Notify::new(), most, time })
    }

    /// The connection that was used last and still is one, and since when it has been idle.
    pub(super) fn take(&self, origin: &str) -> Option<(SendRequest<Upload>, Instant)> {
        let mut all = self.idle.borrow_mut();
        let idle = all.get_mut(origin)?;
        loop {
            let Idle { sender, since } = idle.pop_back()?;
            if sender.is_ready() {
                return Some((sender, since));
            }
        }
    }

    fn give(&self, origin: &Arc<str>, sender: SendRequest<Upload>) {
        let mut all = self.idle.borrow_mut();
        let one = Idle { sender, since: Instant::now() };
        match all.get_mut(origin) {
            Some(idle) => {
                if idle.len() >= self.most {
                    // The one that was not used for longest.
                    idle.pop_front();
                }
                if self.most > 0 {
                    idle.push_back(one);
                }
            }
            None if self.most > 0 => {
                if all.is_empty() {
                    self.filled.notify_one();
                }
                all.insert(origin.clone(), VecDeque::from([one]));
            }
            None => {}
        }
    }

    /// Closes what has been idle for too long.
    pub(super) async fn age(self: Rc<Self>) {
        loop {
            let now = Instant::now();
            self.idle.borrow_mut().retain(|_, idle| {
                while idle.front().is_some_and(|one| one.since + self.time <= now) {
                    idle.pop_front();
                }
                !idle.is_empty()
            });
            let oldest =
                self.idle.borrow().values().filter_map(VecDeque::front).map(|one| one.since).min();
            match oldest {
                Some(since) => sleep_until(since + self.time).await,
                None => self.filled.notified().await,
            }
        }
    }
}

/// A connection that is in use.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) sender: SendRequest<Upload>,
    pub(super) pool: Rc<Pool>,
    pub(super) origin: Arc<str>,
}

impl Lease {
    /// The response is over: the connection may be used anew, unless the upload is still under way.
    pub(super) fn give_back(self) {
        if self.sender.is_ready() {
            self.pool.give(&self.origin, self.sender);
        }
    }
}
