//! Sessions: who a request comes from, and what they may do. This is the stored form, whose names are those
//! of the JSON that Tyk keeps in Redis and takes at `/tyk/keys`.

pub mod check;
pub mod credential;
pub mod hash;
pub mod keys;
pub mod limits;
mod pattern;
mod recent;
mod wired;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::store::Count;

pub use self::keys::Keys;
pub use self::limits::Limits;
pub use self::pattern::Pattern;
pub use self::wired::from_wire;
use crate::wire::Texts;

/// A session as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "what is not explained here is no more than kept")]
pub struct Session {
    #[serde(deserialize_with = "or_default")]
    pub last_check: i64,
    #[serde(deserialize_with = "or_default")]
    pub allowance: f64,
    /// Requests that are let through in each window; 0 and less: any number.
    #[serde(deserialize_with = "or_default")]
    pub rate: f64,
    /// The window's length in seconds.
    #[serde(deserialize_with = "or_default")]
    pub per: f64,
    /// When the key ends, in seconds since 1970; below 1: never.
    #[serde(deserialize_with = "or_default")]
    pub expires: i64,
    /// Requests in each period of the quota; 0 and less: any number.
    #[serde(deserialize_with = "or_default")]
    pub quota_max: i64,
    /// When the quota's period ends, in seconds since 1970.
    #[serde(deserialize_with = "or_default")]
    pub quota_renews: i64,
    /// What is left of the quota.
    #[serde(deserialize_with = "or_default")]
    pub quota_remaining: i64,
    /// The length of the quota's period in seconds.
    #[serde(deserialize_with = "or_default")]
    pub quota_renewal_rate: i64,
    /// What may be used, by the ids of APIs; empty: every API.
    #[serde(deserialize_with = "or_default")]
    pub access_rights: BTreeMap<String, Access>,
    #[serde(deserialize_with = "or_default")]
    pub org_id: String,
    #[serde(deserialize_with = "or_default")]
    pub oauth_client_id: String,
    #[serde(deserialize_with = "or_default")]
    pub oauth_keys: Texts,
    #[serde(deserialize_with = "or_default")]
    pub basic_auth_data: BasicAuth,
    #[serde(deserialize_with = "or_default")]
    pub jwt_data: Jwt,
    #[serde(deserialize_with = "or_default")]
    pub hmac_enabled: bool,
    #[serde(rename = "hmac_string", deserialize_with = "or_default")]
    pub hmac_secret: String,
    /// Whether the key is switched off.
    #[serde(deserialize_with = "or_default")]
    pub is_inactive: bool,
    #[serde(deserialize_with = "or_default")]
    pub apply_policy_id: String,
    #[serde(deserialize_with = "or_default")]
    pub data_expires: i64,
    #[serde(deserialize_with = "or_default")]
    pub monitor: Monitor,
    #[serde(deserialize_with = "or_default")]
    pub enable_detailed_recording: bool,
    /// What plugins know of it, of any type.
    #[serde(rename = "meta_data", deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub alias: String,
    #[serde(deserialize_with = "or_default")]
    pub last_updated: String,
    /// Until when an id taken out of a request leads here without its hook being asked, in seconds since
    /// 1970.
    #[serde(deserialize_with = "or_default")]
    pub id_extractor_deadline: i64,
    /// How many seconds it is kept; 0: as long as its API says.
    #[serde(deserialize_with = "or_default")]
    pub session_lifetime: i64,
    /// Policies that are laid over it.
    #[serde(deserialize_with = "or_default")]
    pub apply_policies: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub certificate: String,
    #[serde(deserialize_with = "or_default")]
    pub max_query_depth: i64,
    #[serde(deserialize_with = "or_default")]
    pub post_expiry_action: String,
    #[serde(deserialize_with = "or_default")]
    pub post_expiry_grace_period: i64,
    /// The key or id by which it was found; not stored.
    #[serde(skip)]
    pub key_id: String,
    /// Keys that are unknown here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a session may do on one API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "what is not explained here is no more than kept")]
pub struct Access {
    #[serde(deserialize_with = "or_default")]
    pub api_name: String,
    #[serde(deserialize_with = "or_default")]
    pub api_id: String,
    #[serde(deserialize_with = "or_default")]
    pub versions: Vec<String>,
    /// The paths; none: all.
    #[serde(deserialize_with = "or_default")]
    pub allowed_urls: Vec<AllowedUrl>,
    /// Limits that count for this API in place of the session's.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Limit::is_empty")]
    pub limit: Limit,
    /// By what name those limits are counted; empty: the API's id.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub allowance_scope: String,
    /// Keys that are unknown here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Paths and methods that may be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedUrl {
    /// A regex that is found in the path.
    pub url: Pattern,
    /// Methods, in the case in which they are sent.
    #[serde(deserialize_with = "or_default")]
    pub methods: Vec<String>,
    /// Keys that are unknown here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Rate limit and quota, as in [`Session`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as in `Session`")]
pub struct Limit {
    #[serde(deserialize_with = "or_default")]
    pub rate: f64,
    #[serde(deserialize_with = "or_default")]
    pub per: f64,
    #[serde(deserialize_with = "or_default")]
    pub quota_max: i64,
    #[serde(deserialize_with = "or_default")]
    pub quota_renews: i64,
    #[serde(deserialize_with = "or_default")]
    pub quota_remaining: i64,
    #[serde(deserialize_with = "or_default")]
    pub quota_renewal_rate: i64,
    /// Keys that are unknown here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Limit {
    /// Whether it limits nothing.
    pub fn is_empty(&self) -> bool {
        self.rate == 0.0 && self.per == 0.0 && self.quota_max == 0 && self.quota_renewal_rate == 0
    }
}

/// Data of basic authentication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "no more than kept")]
pub struct BasicAuth {
    #[serde(deserialize_with = "or_default")]
    pub password: String,
    #[serde(rename = "hash_type", deserialize_with = "or_default")]
    pub hash: String,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Data of JSON web tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "no more than kept")]
pub struct Jwt {
    #[serde(deserialize_with = "or_default")]
    pub secret: String,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Limits at which usage is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "no more than kept")]
pub struct Monitor {
    #[serde(deserialize_with = "or_default")]
    pub trigger_limits: Vec<f64>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Session {
    /// Policies in the order in which they are laid over it.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        let single = self.apply_policies.is_empty() && !self.apply_policy_id.is_empty();
        let single = single.then_some(self.apply_policy_id.as_str());
        self.apply_policies.iter().map(String::as_str).chain(single)
    }

    /// Whether an id that leads here stands for the hook's own word at this time.
    pub fn spares_hook(&self, now: SystemTime) -> bool {
        self.id_extractor_deadline > epoch(now)
    }

    /// What stands for a name in its metadata: texts as they are, all else as JSON.
    pub fn metadata_text(&self, name: &str) -> Option<String> {
        self.metadata.get(name).map(text)
    }

    /// Compiles the patterns of its paths, so that they are compiled in what is cloned of it.
    pub(crate) fn compile(&self) {
        for one in self.access_rights.values().flat_map(|access| &access.allowed_urls) {
            let _ = one.url.compiled();
        }
    }

    /// Takes over what is left of the quotas of the session that was stored before it.
    pub fn carry_over(&mut self, stored: &Self) {
        self.quota_renews = stored.quota_renews;
        self.quota_remaining = stored.quota_remaining;
        for (api, access) in &mut self.access_rights {
            if let Some(before) = stored.access_rights.get(api) {
                access.limit.quota_renews = before.limit.quota_renews;
                access.limit.quota_remaining = before.limit.quota_remaining;
            }
        }
    }

    /// How long it is kept from now on, where the API keeps sessions for `fallback`, and no shorter than
    /// its key is good if `respects` says so; `None`: for ever.
    pub fn life(&self, fallback: Duration, respects: bool, now: SystemTime) -> Option<Duration> {
        let own = u64::try_from(self.session_lifetime).ok().filter(|seconds| *seconds > 0);
        let life = own.map_or(fallback, Duration::from_secs);
        if life.is_zero() {
            return None;
        }
        if !respects {
            return Some(life);
        }
        match self.expires {
            ..1 => None,
            expires => {
                let good = u64::try_from(expires - epoch(now)).unwrap_or(0);
                Some(life.max(Duration::from_secs(good)))
            }
        }
    }
}

/// Seconds since 1970.
pub fn epoch(now: SystemTime) -> i64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Writes what a count has left of a quota into a session: what remains, and when the period ends, 0 for never.
pub(crate) fn write_quota(
    count: Count,
    max: i64,
    (remaining, renews): (&mut i64, &mut i64),
    now: SystemTime,
) {
    *remaining = max.saturating_sub(count.value).max(0);
    *renews = count.left.map_or(0, |left| ends(now, left));
}

/// When a time is over that begins now, in seconds since 1970.
fn ends(now: SystemTime, left: Duration) -> i64 {
    now.checked_add(left).map_or(i64::MAX, epoch)
}

/// A value of the metadata as plugins see it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Go writes what is empty as null.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests;
