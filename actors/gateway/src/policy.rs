//! Policies: limits and rights that are kept apart from sessions and laid over them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::session::{Access, Session, or_default};

/// Policies by their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies(BTreeMap<String, Policy>);

/// What a session gets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as in `Session`, where it is not explained")]
pub struct Policy {
    /// Only sessions of this organisation may have it; empty: all.
    #[serde(deserialize_with = "or_default")]
    pub org_id: String,
    pub rate: f64,
    pub per: f64,
    pub quota_max: i64,
    pub quota_renewal_rate: i64,
    #[serde(deserialize_with = "or_default")]
    pub access_rights: BTreeMap<String, Access>,
    /// Whether it may be used; one that is not is as if it were not there.
    #[serde(default = "yes")]
    pub active: bool,
    /// Whether keys that have it are switched off.
    pub is_inactive: bool,
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub meta_data: serde_json::Map<String, serde_json::Value>,
    /// Which of its parts count; none is all.
    #[serde(deserialize_with = "or_default")]
    pub partitions: Partitions,
}

/// The parts of a policy that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Partitions {
    /// The quota.
    pub quota: bool,
    /// The rate limit.
    pub rate_limit: bool,
    /// What may be used.
    pub acl: bool,
    /// The limits of each API, which stand with the rights.
    pub per_api: bool,
}

/// Why a session cannot have its policies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is none of the name.
    #[error("there is no policy `{0}`")]
    Unknown(String),
    /// It is another organisation's.
    #[error("policy `{0}` belongs to another organisation")]
    Foreign(String),
}

fn yes() -> bool {
    true
}

impl Policies {
    /// Reads a file: a JSON object of policies by their ids.
    ///
    /// # Errors
    /// A sentence that names the file, and line and column where it is no JSON.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            format!("{}:{}:{}: {what}", path.display(), error.line(), error.column())
        })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lays the policies that a session names over it. Of several the most generous limits count, and the
    /// rights of all.
    ///
    /// # Errors
    /// A policy that is not there or of another organisation; the session is as it was then.
    pub fn apply(&self, session: &mut Session) -> Result<(), PolicyError> {
        let mut policies = Vec::new();
        for id in session.policies() {
            let unknown = || PolicyError::Unknown(id.to_owned());
            let policy = self.0.get(id).filter(|policy| policy.active).ok_or_else(unknown)?;
            if !policy.org_id.is_empty() && policy.org_id != session.org_id {
                return Err(PolicyError::Foreign(id.to_owned()));
            }
            policies.push(policy);
        }
        if policies.is_empty() {
            return Ok(());
        }
        let (mut rate, mut quota, mut rights) = (None, None, None::<BTreeMap<String, Access>>);
        for policy in policies {
            let parts = policy.partitions.effective();
            if parts.rate_limit {
                rate = Some(generous_rate(rate, (policy.rate, policy.per)));
            }
            if parts.quota {
                let own = (policy.quota_max, policy.quota_renewal_rate);
                quota = Some(generous_quota(quota, own));
            }
            if parts.acl || parts.per_api {
                let all = rights.get_or_insert_default();
                for (api, access) in &policy.access_rights {
                    merge(all.entry(api.clone()).or_default(), access);
                }
            }
            session.is_inactive |= policy.is_inactive;
            for tag in &policy.tags {
                if !session.tags.contains(tag) {
                    session.tags.push(tag.clone());
                }
            }
            for (key, value) in &policy.meta_data {
                session.metadata.insert(key.clone(), value.clone());
            }
        }
        if let Some((of, per)) = rate {
            (session.rate, session.per) = (of, per);
        }
        if let Some((max, renewal)) = quota {
            (session.quota_max, session.quota_renewal_rate) = (max, renewal);
        }
        if let Some(mut rights) = rights {
            for (api, access) in &mut rights {
                if let Some(before) = session.access_rights.get(api) {
                    access.limit.quota_renews = before.limit.quota_renews;
                    access.limit.quota_remaining = before.limit.quota_remaining;
                }
            }
            session.access_rights = rights;
        }
        Ok(())
    }
}

impl Partitions {
    /// Where nothing is chosen, all counts.
    fn effective(self) -> Self {
        match self == Self::default() {
            true => Self { quota: true, rate_limit: true, acl: true, per_api: false },
            false => self,
        }
    }
}

/// Of two rates the one that lets more through in a second; no limit is more than any.
fn generous_rate(one: Option<(f64, f64)>, other: (f64, f64)) -> (f64, f64) {
    let speed = |(rate, per): (f64, f64)| match rate <= 0.0 || per <= 0.0 {
        true => f64::INFINITY,
        false => rate / per,
    };
    one.filter(|one| speed(*one) >= speed(other)).unwrap_or(other)
}

/// Of two quotas the one that allows more; no quota is more than any.
fn generous_quota(one: Option<(i64, i64)>, other: (i64, i64)) -> (i64, i64) {
    let size = |max: i64| if max <= 0 { i64::MAX } else { max };
    one.filter(|one| size(one.0) >= size(other.0)).unwrap_or(other)
}

/// Adds the rights of one policy to those of others on the same API. Where one of them allows every path,
/// every path is allowed.
fn merge(all: &mut Access, more: &Access) {
    if *all == Access::default() {
        *all = more.clone();
        return;
    }
    for version in &more.versions {
        if !all.versions.contains(version) {
            all.versions.push(version.clone());
        }
    }
    match all.allowed_urls.is_empty() || more.allowed_urls.is_empty() {
        true => all.allowed_urls.clear(),
        false => all.allowed_urls.extend(more.allowed_urls.iter().cloned()),
    }
    if all.limit.is_empty() || more.limit.is_empty() {
        all.limit = Default::default();
        return;
    }
    let limit = &mut all.limit;
    (limit.rate, limit.per) =
        generous_rate(Some((limit.rate, limit.per)), (more.limit.rate, more.limit.per));
    let own = (limit.quota_max, limit.quota_renewal_rate);
    let other = (more.limit.quota_max, more.limit.quota_renewal_rate);
    (limit.quota_max, limit.quota_renewal_rate) = generous_quota(Some(own), other);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(policies: &str, session: &str) -> Result<Session, PolicyError> {
        let mut session: Session = serde_json::from_str(session).unwrap();
        let policies = Policies::parse(policies).unwrap();
        policies.apply(&mut session).map(|()| session)
    }

    const TWO: &str = r#"{
        "slow": {"rate": 10, "per": 1, "quota_max": 5, "quota_renewal_rate": 60, "org_id": "o",
            "access_rights": {"a": {"api_id": "a", "allowed_urls": [{"url": "/x", "methods": ["GET"]}]}}},
        "fast": {"rate": 600, "per": 2, "quota_max": 3, "tags": ["t"], "is_inactive": true,
            "access_rights": {"b": {"api_id": "b"}}, "meta_data": {"plan": "gold"}},
        "part": {"rate": 1, "per": 1, "quota_max": 9, "partitions": {"quota": true}},
        "off": {"active": false}
    }"#;

    #[test]
    fn one_policy_sets_what_it_says() {
        let session = r#"{"org_id": "o", "rate": 1000, "per": 1, "apply_policy_id": "slow"}"#;
        let session = apply(TWO, session).unwrap();
        assert_eq!((session.rate, session.per, session.quota_max), (10.0, 1.0, 5));
        assert!(session.access_rights.keys().eq(["a"]));
    }

    #[test]
    fn of_several_the_most_generous_counts() {
        let session = apply(TWO, r#"{"org_id": "o", "apply_policies": ["slow", "fast"]}"#).unwrap();
        assert_eq!((session.rate, session.per, session.quota_max), (600.0, 2.0, 5));
        assert!(session.access_rights.keys().eq(["a", "b"]));
        assert_eq!(session.metadata_text("plan").as_deref(), Some("gold"));
        assert_eq!((session.is_inactive, session.tags), (true, vec!["t".to_owned()]));
    }

    #[test]
    fn a_partition_leaves_the_rest_as_it_was() {
        let session = apply(TWO, r#"{"rate": 7, "per": 7, "apply_policies": ["part"]}"#).unwrap();
        assert_eq!((session.rate, session.per, session.quota_max), (7.0, 7.0, 9));
    }

    #[test]
    fn a_policy_that_cannot_be_had() {
        let with = |id: &str| apply(TWO, &format!(r#"{{"apply_policies": ["{id}"]}}"#));
        assert_eq!(with("slow"), Err(PolicyError::Foreign("slow".into())));
        assert_eq!(with("off"), Err(PolicyError::Unknown("off".into())));
        assert_eq!(with("none"), Err(PolicyError::Unknown("none".into())));
    }
}
