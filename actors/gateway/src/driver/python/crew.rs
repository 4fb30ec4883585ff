//! The workers that are connected: which one takes the next call, how long one is waited for, and who still
//! loads its hooks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::worker::{Seat, Worker};
use crate::driver::Failure;
use crate::driver::breaker::{Input, Limits, State, step};

/// All workers.
#[derive(Debug)]
pub(super) struct Crew {
    workers: ArcSwap<Vec<Arc<Worker>>>,
    /// Names and processes of those that load their hooks.
    loading: Mutex<Vec<(String, i32)>>,
    /// Counts those that came.
    came: watch::Sender<u64>,
    /// Held while the list is changed.
    changing: Mutex<()>,
    /// Whether it is any use to wait for a worker.
    breaker: Mutex<State>,
    limits: Limits,
    /// How long one is waited for.
    patience: Duration,
    /// How many hooks each runs at once.
    threads: usize,
}

impl Crew {
    pub(super) fn new(limits: Limits, patience: Duration, threads: usize) -> Self {
        Self {
            workers: ArcSwap::default(),
            loading: Mutex::default(),
            came: watch::channel(0).0,
            changing: Mutex::default(),
            breaker: Mutex::new(State::Closed { failures: 0 }),
            limits,
            patience,
            threads,
        }
    }

    pub(super) fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.load().to_vec()
    }

    /// Notes one that loads its hooks, until what is returned is dropped.
    pub(super) fn begin_loading(&self, name: &str, pid: i32) -> Loading<'_> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), pid));
        Loading { crew: self, pid }
    }

    /// Names and processes of those that load their hooks.
    pub(super) fn loading(&self) -> Vec<(String, i32)> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds one that has come.
    pub(super) fn add(&self, worker: Arc<Worker>) {
        self.change(|workers| workers.push(worker));
        self.see(Input::Renewed);
        self.came.send_modify(|count| *count += 1);
    }

    /// Takes one out that is gone.
    pub(super) fn remove(&self, worker: &Arc<Worker>) {
        self.change(|workers| workers.retain(|one| !Arc::ptr_eq(one, worker)));
        worker.mark_gone();
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Worker>>)) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workers = self.workers();
        change(&mut workers);
        self.workers.store(Arc::new(workers));
    }

    /// Counts up with each worker that comes.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.came.subscribe()
    }

    /// A place at the worker with the fewest calls of those that know the bundles of `since`, waited for
    /// where there is none.
    pub(super) async fn seat(&self, deadline: Instant, since: u64) -> Result<Seat, Failure> {
        match self.least(since) {
            Some(seat) => Ok(seat),
            None => self.wait(deadline, since).await,
        }
    }

    fn least(&self, since: u64) -> Option<Seat> {
        let workers = self.workers.load();
        loop {
            // Behind hooks that take their time on all threads a call would only wait.
            let cost = |worker: &Worker| Some((worker.is_full(self.threads), worker.load()?));
            let knowing = workers.iter().filter(|worker| worker.bundles >= since);
            let costs = knowing.filter_map(|worker| Some((cost(worker)?, worker)));
            let ((_, load), least) = costs.min_by_key(|(cost, _)| *cost)?;
            if let Some(seat) = least.seat(load) {
                return Some(seat);
            }
        }
    }

    async fn wait(&self, deadline: Instant, since: u64) -> Result<Seat, Failure> {
        if !self.see(Input::Call) {
            return Err(Failure::Resting);
        }
        let mut probe = Probe { crew: self, outcome: Input::Dropped };
        let until = deadline.min(Instant::now() + self.patience);
        let came = async {
            let mut news = self.news();
            loop {
                if let Some(seat) = self.least(since) {
                    return seat;
                }
                // It cannot fail: the sender is here.
                let _ = news.changed().await;
            }
        };
        match timeout_at(until.into(), came).await {
            Ok(seat) => {
                probe.outcome = Input::Answered;
                Ok(seat)
            }
            Err(_) if until == deadline => {
                probe.outcome = Input::Late;
                Err(Failure::Late)
            }
            Err(_) => {
                probe.outcome = Input::Broken;
                Err(Failure::Unreachable("no worker is there".to_owned()))
            }
        }
    }

    fn see(&self, input: Input) -> bool {
        let mut state = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, may) = step(*state, input, Instant::now(), &self.limits);
        *state = next;
        may
    }
}

/// A worker that loads its hooks.
pub(super) struct Loading<'a> {
    crew: &'a Crew,
    pid: i32,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut loading = self.crew.loading.lock().unwrap_or_else(PoisonError::into_inner);
        loading.retain(|(_, pid)| *pid != self.pid);
    }
}

/// Tells the breaker what came of waiting.
struct Probe<'a> {
    crew: &'a Crew,
    outcome: Input,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.crew.see(self.outcome);
    }
}
