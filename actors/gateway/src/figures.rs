//! What APIs and hooks have done so far, for status and metrics. Counters only grow, and outlive reloads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

use crate::wire::HookType;

/// The upper bounds of a histogram's buckets, in microseconds; what is longer is in the last bucket.
pub const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Adds one.
    pub fn add(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(took, Relaxed);
    }

    /// How many fell into each bucket, and how long all took, in microseconds.
    pub fn snapshot(&self) -> ([u64; BOUNDS_US.len() + 1], u64) {
        (self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)), self.sum_us.load(Relaxed))
    }
}

/// What one API has done.
#[derive(Debug, Default)]
pub struct ApiFigures {
    classes: [AtomicU64; 5],
    /// How long whole requests took, to the head of their answer.
    pub latency: Histogram,
}

impl ApiFigures {
    /// The classes of status, as they are counted.
    pub const CLASSES: [&'static str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

    /// Counts a request that was answered.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Relaxed);
        self.latency.add(took);
    }

    /// How many requests were answered, by class of status.
    pub fn classes(&self) -> [(&'static str, u64); 5] {
        let mut classes = Self::CLASSES.map(|class| (class, 0));
        for ((_, sum), count) in classes.iter_mut().zip(&self.classes) {
            *sum = count.load(Relaxed);
        }
        classes
    }
}

/// What one hook of an API has done.
#[derive(Debug, Default)]
pub struct HookFigures {
    failures: AtomicU64,
    /// Calls that wait for their answer, those in the driver's queue too.
    pub(crate) pending: AtomicU64,
    /// How long calls took, whatever came of them.
    pub latency: Histogram,
}

/// A call that is being made.
#[derive(Debug)]
pub(crate) struct Pending<'a>(&'a HookFigures);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Relaxed);
    }
}

impl HookFigures {
    /// Begins a call; it is pending until what is returned is dropped.
    pub(crate) fn begin(&self) -> Pending<'_> {
        self.pending.fetch_add(1, Relaxed);
        Pending(self)
    }

    /// Counts a call that has come to an end.
    pub(crate) fn ended(&self, took: Duration, failed: bool) {
        self.latency.add(took);
        self.failures.fetch_add(failed.into(), Relaxed);
    }

    /// How many calls failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How many calls wait for their answer.
    pub fn pending(&self) -> u64 {
        self.pending.load(Relaxed)
    }
}

/// The name of a hook's moment, as metrics and logs say it.
pub fn moment(kind: HookType) -> &'static str {
    match kind {
        HookType::Unknown => "unknown",
        HookType::Pre => "pre",
        HookType::Post => "post",
        HookType::PostKeyAuth => "post_key_auth",
        HookType::CustomKeyCheck => "auth_check",
        HookType::Response => "response",
    }
}

/// A hook of an API: the API's id, the moment, the hook's name.
type HookKey = (String, &'static str, String);

/// The figures of all APIs that ever were.
#[derive(Debug, Default)]
pub struct Figures {
    apis: Mutex<BTreeMap<String, Arc<ApiFigures>>>,
    hooks: Mutex<BTreeMap<HookKey, Arc<HookFigures>>>,
}

impl Figures {
    /// Those of an API.
    pub fn api(&self, id: &str) -> Arc<ApiFigures> {
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        apis.entry(id.to_owned()).or_default().clone()
    }

    /// Those of a hook.
    pub fn hook(&self, api: &str, kind: HookType, name: &str) -> Arc<HookFigures> {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.entry((api.to_owned(), moment(kind), name.to_owned())).or_default().clone()
    }

    /// All APIs, by id.
    pub fn apis(&self) -> Vec<(String, Arc<ApiFigures>)> {
        let apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        apis.iter().map(|(id, figures)| (id.clone(), figures.clone())).collect()
    }

    /// All hooks, by API, moment and name.
    pub fn hooks(&self) -> Vec<(HookKey, Arc<HookFigures>)> {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.iter().map(|(key, figures)| (key.clone(), figures.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let figures = Figures::default();
        let api = figures.api("a1");
        api.answered(StatusCode::OK, Duration::from_micros(100));
        api.answered(StatusCode::NOT_FOUND, Duration::from_secs(100));
        // The same after a reload.
        let classes = figures.api("a1").classes();
        assert_eq!(classes, [("1xx", 0), ("2xx", 1), ("3xx", 0), ("4xx", 1), ("5xx", 0)]);
        let (buckets, sum) = api.latency.snapshot();
        assert_eq!((buckets[0], buckets[BOUNDS_US.len()], sum), (1, 1, 100_000_100));
        let hook = figures.hook("a1", HookType::Pre, "Stamp");
        {
            let _pending = hook.begin();
            assert_eq!(hook.pending(), 1);
        }
        hook.ended(Duration::from_millis(1), true);
        assert_eq!((hook.pending(), hook.failures()), (0, 1));
        assert_eq!(figures.hooks()[0].0, ("a1".into(), "pre", "Stamp".into()));
    }
}
