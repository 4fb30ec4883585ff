//! Connections to upstreams that wait for another request. Each thread has a pool of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::link::{Link, Tending};

/// Idle connections by upstream.
#[derive(Debug)]
pub(super) struct Pool {
    idle: RefCell<BTreeMap<Arc<str>, Rc<Place>>>,
    /// Its task: woken when a connection that waits has something to tell, or waits where none did.
    task: Arc<Tending>,
    /// The task knows of a time at which a connection will have waited for too long.
    timed: Cell<bool>,
    most: usize,
    time: Duration,
}

/// Those to one upstream; the one that was used last comes last.
#[derive(Debug, Default)]
pub(super) struct Place(RefCell<VecDeque<Idle>>);

impl Place {
    /// The connection that was used last and still is one, and since when it has waited.
    pub(super) fn take(&self) -> Option<(Link, Instant)> {
        let mut idle = self.0.borrow_mut();
        loop {
            let Idle { mut link, since } = idle.pop_back()?;
            link.hold();
            if link.is_ready() {
                return Some((link, since));
            }
        }
    }
}

#[derive(Debug)]
struct Idle {
    link: Link,
    since: Instant,
}

impl Pool {
    /// A pool of at most `most` connections to each upstream, each for at most `time`.
    pub(super) fn new(most: usize, time: Duration) -> Rc<Self> {
        let (idle, timed) = (RefCell::default(), Cell::new(false));
        Rc::new(Self { idle, task: Arc::default(), timed, most, time })
    }

    /// Who cares for connections that wait.
    pub(super) fn task(&self) -> Arc<Tending> {
        self.task.clone()
    }

    /// Where those to an upstream wait.
    pub(super) fn place(&self, origin: &Arc<str>) -> Rc<Place> {
        if let Some(place) = self.idle.borrow().get(origin) {
            return place.clone();
        }
        self.idle.borrow_mut().entry(origin.clone()).or_default().clone()
    }

    fn give(&self, place: &Place, link: Link) {
        if self.most == 0 {
            return;
        }
        link.rest();
        if !self.timed.replace(true) {
            self.task.call();
        }
        let mut idle = place.0.borrow_mut();
        if idle.len() >= self.most {
            // The one that was not used for longest.
            idle.pop_front();
        }
        idle.push_back(Idle { link, since: Instant::now() });
    }

    /// Closes what the other side has closed and what was idle for too long.
    pub(super) async fn tend(self: Rc<Self>) {
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| {
            loop {
                self.task.register(cx.waker());
                let oldest = self.sweep(Instant::now());
                self.timed.set(oldest.is_some());
                let Some(oldest) = oldest else { return Poll::Pending };
                if timer.deadline() != oldest + self.time {
                    timer.as_mut().reset(oldest + self.time);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::<()>::Pending;
                }
            }
        })
        .await;
    }

    /// Since when the one waits that waits for longest.
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut oldest = None;
        self.idle.borrow_mut().retain(|_, place| {
            // A place whose connections are in use is where they come back to.
            let is_used = Rc::strong_count(place) > 1;
            let mut idle = place.0.borrow_mut();
            idle.retain_mut(|one| one.since + self.time > now && one.link.is_ready());
            let first = idle.front().map(|one| one.since);
            oldest = [oldest, first].into_iter().flatten().min();
            first.is_some() || is_used
        });
        oldest
    }
}

/// A connection that is in use.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) link: Link,
    pub(super) pool: Rc<Pool>,
    pub(super) place: Rc<Place>,
}

impl Lease {
    /// The response is over: the connection may be used anew, unless the upload is still under way.
    pub(super) fn give_back(mut self) {
        if self.link.is_ready() {
            self.pool.give(&self.place, self.link);
        }
    }
}
