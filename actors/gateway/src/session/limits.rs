//! Rate limits and quotas: how many requests a session may still send.
//!
//! Rates are counted in memory, in a window that slides: what the window before had counts as far as it
//! still lies within the last period. Quotas are counted in the store, so that they outlive the gateway and
//! are shared by all that have the same store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::keys::{By, Keys};
use super::recent::Recent;
use super::{Access, Session, epoch, write_quota};
use crate::api::Api;
use crate::exchange::Denied;

/// How many keys' rates are known at most.
const MAX_WINDOWS: usize = 1 << 17;

/// Counts requests.
#[derive(Debug)]
pub struct Limits {
    keys: Arc<Keys>,
    windows: Recent<Window>,
}

/// Requests of one key in this window and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window {
    /// When it began, in seconds since 1970.
    began: f64,
    count: f64,
    before: f64,
}

impl Window {
    /// Whether one more request is within the rate; if so it is counted.
    fn admits(&mut self, rate: f64, per: f64, now: f64) -> bool {
        let passed = ((now - self.began) / per).floor();
        // A clock that was set back begins anew.
        if !(0.0..2.0).contains(&passed) {
            *self = Self { began: now, count: 0.0, before: 0.0 };
        } else if passed == 1.0 {
            *self = Self { began: self.began + per, count: 0.0, before: self.count };
        }
        let part = 1.0 - (now - self.began) / per;
        if self.before * part + self.count + 1.0 > rate.max(1.0) {
            return false;
        }
        self.count += 1.0;
        true
    }
}

impl Access {
    /// By what name the limits of one API are counted.
    pub(super) fn scope<'a>(&'a self, api: &'a str) -> &'a str {
        match self.allowance_scope.as_str() {
            "" => api,
            scope => scope,
        }
    }
}

impl Limits {
    /// Counts for the sessions of `keys`.
    pub fn new(keys: Arc<Keys>) -> Self {
        Self { keys, windows: Recent::new(MAX_WINDOWS) }
    }

    /// Counts a request, and says whether it may go on. What is left of the quota is written into the
    /// session; the answer is what was used of it, if it has one.
    ///
    /// # Errors
    /// 429 above the rate, 403 where the quota is used up, 500 where the store does not answer.
    pub async fn admit(
        &self,
        id: &str,
        session: &mut Session,
        api: &Api,
        now: SystemTime,
    ) -> Result<Option<Usage>, Denied> {
        let access = session.access_rights.get_mut(&api.id);
        let own = access.filter(|access| !access.limit.is_empty());
        let (scope, rate, per, max, renewal, remaining, renews) = match own {
            Some(access) => {
                let scope = access.scope(&api.id).to_owned();
                let limit = &mut access.limit;
                let (rate, per) = (limit.rate, limit.per);
                let (max, renewal) = (limit.quota_max, limit.quota_renewal_rate);
                let left = (&mut limit.quota_remaining, &mut limit.quota_renews);
                (scope, rate, per, max, renewal, left.0, left.1)
            }
            None => {
                let (max, renewal) = (session.quota_max, session.quota_renewal_rate);
                let left = (&mut session.quota_remaining, &mut session.quota_renews);
                (String::new(), session.rate, session.per, max, renewal, left.0, left.1)
            }
        };
        if !api.disable_rate_limit && rate > 0.0 && per > 0.0 {
            let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let admits = |window: &mut Window| window.admits(rate, per, seconds.as_secs_f64());
            let name = match scope.as_str() {
                "" => std::borrow::Cow::Borrowed(id),
                scope => format!("{scope}-{id}").into(),
            };
            if !self.windows.with(&name, Window::default, admits) {
                return Err(Denied::new(StatusCode::TOO_MANY_REQUESTS, "Rate Limit Exceeded"));
            }
        }
        if api.disable_quota || max <= 0 {
            return Ok(None);
        }
        // A session that came from elsewhere brings with it what was used before.
        let running = *renews > epoch(now);
        let used = if running { max.saturating_sub(*remaining).clamp(0, max) } else { 0 };
        let life = match running {
            true => u64::try_from(*renews - epoch(now)).ok(),
            false => u64::try_from(renewal).ok(),
        };
        let life = life.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let name = self.keys.quota_name(By::Id(id), &scope);
        let count = self.keys.store().count(&name, used, life).await.map_err(|error| {
            tracing::error!(target: "gateway", "the store: {error}");
            Denied::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        })?;
        write_quota(count, max, (remaining, renews), now);
        match count.value > max {
            true => Err(Denied::new(StatusCode::FORBIDDEN, "Quota exceeded")),
            false => Ok(Some(Usage { count: count.value, max })),
        }
    }
}

/// How much of a quota is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Requests so far, the last one included.
    pub count: i64,
    /// How many there may be; above 0.
    pub max: i64,
}

impl Usage {
    /// In per cent.
    pub fn percentage(self) -> f64 {
        100.0 * self.count as f64 / self.max as f64
    }

    /// The highest of these limits, in per cent, that the last request has reached: each is reached once in
    /// a period.
    pub fn reached(self, limits: &[f64]) -> Option<f64> {
        let before = Self { count: self.count - 1, ..self }.percentage();
        let (limits, now) = (limits.iter().copied(), self.percentage());
        limits.filter(|limit| before < *limit && *limit <= now).max_by(f64::total_cmp)
    }
}
