//! Keys and the sessions that they stand for: the store, and what was lately read from it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use http::StatusCode;
use serde_json::Value;

use super::hash::{self, HashFunction, session_id};
use super::recent::{Moment, Recent};
use super::{Session, epoch, from_wire, write_quota};
use crate::api::Api;
use crate::exchange::{Attached, Denied};
use crate::policy::Policies;
use crate::store::{Store, StoreError};
use crate::wire::{SessionState, Texts};

/// What the names of sessions begin with in the store.
const PREFIX: &str = "apikey-";

/// What the names of counted quotas begin with, and of those that are limits of one API.
const QUOTA: &str = "quota-";
const SCOPED_QUOTA: &str = "quota.";

/// How long a session may be told from memory.
const FRESH: Duration = Duration::from_secs(10);

/// How keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOptions {
    /// Whether only hashes of ids are stored.
    pub hash_keys: bool,
    /// How new ids name their hash; `None`: they are an organisation's id and their own.
    pub hash_function: Option<HashFunction>,
    /// Shorter ids are nobody's.
    pub min_token_length: usize,
    /// How many sessions are remembered at most.
    pub max_cached: usize,
}

impl Default for KeyOptions {
    fn default() -> Self {
        Self { hash_keys: false, hash_function: None, min_token_length: 3, max_cached: 10_000 }
    }
}

/// Keys and their sessions.
#[derive(Debug)]
pub struct Keys {
    store: Arc<dyn Store>,
    options: KeyOptions,
    policies: ArcSwap<Policies>,
    cache: Recent<(Instant, Arc<Session>)>,
}

/// By what a stored session is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    /// Its id.
    Id(&'a str),
    /// The hash of its id, where keys are hashed.
    Hash(&'a str),
}

impl<'a> By<'a> {
    /// The text.
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Id(text) | Self::Hash(text) => text,
        }
    }
}

impl<'a> From<&'a str> for By<'a> {
    fn from(id: &'a str) -> Self {
        Self::Id(id)
    }
}

impl Keys {
    /// The keys of a store.
    pub fn new(store: Arc<dyn Store>, options: KeyOptions, policies: Policies) -> Self {
        Self {
            cache: Recent::new(options.max_cached),
            store,
            options,
            policies: ArcSwap::from_pointee(policies),
        }
    }

    /// How they are kept.
    pub fn options(&self) -> &KeyOptions {
        &self.options
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The policies that are laid over sessions.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.load_full()
    }

    /// Has other policies from now on.
    pub fn set_policies(&self, policies: Policies) {
        self.policies.store(Arc::new(policies));
        self.cache.clear();
    }

    /// The session of an id with its policies applied; `None` where there is none, where the id is too
    /// short and where a policy cannot be applied. For up to 10 seconds it is told from memory.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, id: &str) -> Result<Option<Arc<Session>>, StoreError> {
        if id.len() < self.options.min_token_length.max(1) {
            return Ok(None);
        }
        if let Some((read, session)) = self.cache.get(id)
            && read.elapsed() < FRESH
        {
            return Ok(Some(session));
        }
        let began = self.cache.moment(id);
        let Some(mut session) = self.stored(id).await? else { return Ok(None) };
        if let Err(why) = self.policies.load().apply(&mut session) {
            tracing::warn!(target: "gateway", "the session of key {}: {why}", masked(id));
            return Ok(None);
        }
        Ok(Some(self.remember(id, session, began)))
    }

    /// The session of a key that a client sent, and the id by which it was found: the key itself, or what
    /// the organisation's id and it make.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find_key(
        &self,
        org: &str,
        key: &str,
    ) -> Result<Option<(String, Arc<Session>)>, StoreError> {
        if key.len() < self.options.min_token_length.max(1) {
            return Ok(None);
        }
        for id in self.forms(org, key) {
            if let Some(session) = self.find(&id).await? {
                return Ok(Some((id, session)));
            }
        }
        Ok(None)
    }

    /// The ids that a key may stand for.
    fn forms(&self, org: &str, key: &str) -> impl Iterator<Item = String> {
        let with_hash = self.options.hash_function.map(|f| session_id(org, key, Some(f)));
        let joined = (!org.is_empty()).then(|| session_id(org, key, None));
        std::iter::once(key.to_owned()).chain(with_hash).chain(joined)
    }

    /// Keeps a session under an id, for ever or for a time.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep(
        &self,
        by: impl Into<By<'_>>,
        session: &Session,
        life: Option<Duration>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        let json = serde_json::to_vec(session).map_err(|error| StoreError(error.to_string()))?;
        let kept = self.store.set(&self.name(by), json, life).await;
        self.forget(by);
        kept
    }

    /// Removes the session of an id, and what was counted for it; the answer is whether it was there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn remove(&self, by: impl Into<By<'_>>) -> Result<bool, StoreError> {
        let by = by.into();
        // One that cannot be read can be removed all the same.
        let session = self.stored(by).await.ok().flatten();
        let removed = self.store.remove(&self.name(by)).await;
        self.forget(by);
        let removed = removed?;
        self.reset(by, session.as_ref()).await?;
        Ok(removed)
    }

    /// Begins the quotas of an id anew.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn reset(
        &self,
        by: impl Into<By<'_>>,
        session: Option<&Session>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.store.remove(&self.quota_name(by, "")).await?;
        let Some(session) = session else { return Ok(()) };
        for (api, access) in &session.access_rights {
            self.store.remove(&self.quota_name(by, access.scope(api))).await?;
        }
        Ok(())
    }

    /// The ids of all sessions, or their hashes where keys are hashed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self) -> Result<Vec<String>, StoreError> {
        let names = self.store.keys(PREFIX).await?;
        Ok(names.iter().filter_map(|name| Some(name.strip_prefix(PREFIX)?.to_owned())).collect())
    }

    /// The session of an id as it is stored, without its policies, but with what is left of its quotas.
    ///
    /// # Errors
    /// When the store does not answer, or its answer is no session.
    pub async fn stored(&self, by: impl Into<By<'_>>) -> Result<Option<Session>, StoreError> {
        let by = by.into();
        let Some(json) = self.store.get(&self.name(by)).await? else { return Ok(None) };
        let mut session: Session = serde_json::from_slice(&json).map_err(|error| {
            let masked = masked(by.as_str());
            StoreError(format!("the session of key {masked} cannot be read: {error}"))
        })?;
        session.key_id = by.as_str().to_owned();
        Ok(Some(session))
    }

    /// As [`Keys::stored`], with what is left of the quotas.
    ///
    /// # Errors
    /// As [`Keys::stored`].
    pub async fn counted(&self, by: impl Into<By<'_>>) -> Result<Option<Session>, StoreError> {
        let by = by.into();
        let Some(mut session) = self.stored(by).await? else { return Ok(None) };
        let now = SystemTime::now();
        let mut quotas = vec![(
            String::new(),
            session.quota_max,
            &mut session.quota_remaining,
            &mut session.quota_renews,
        )];
        for (api, access) in &mut session.access_rights {
            let scope = access.scope(api).to_owned();
            let limit = &mut access.limit;
            if !limit.is_empty() {
                quotas.push((
                    scope,
                    limit.quota_max,
                    &mut limit.quota_remaining,
                    &mut limit.quota_renews,
                ));
            }
        }
        for (scope, max, remaining, renews) in quotas {
            if max <= 0 {
                continue;
            }
            if let Some(count) = self.store.counted(&self.quota_name(by, &scope)).await? {
                write_quota(count, max, (remaining, renews), now);
            }
        }
        Ok(Some(session))
    }

    /// Makes a hook's answer the session of a request: under the extracted id, or under its token. It
    /// takes over what is left of the quota of the session that was there, gets its policies, and is
    /// stored.
    ///
    /// # Errors
    /// 403 where there is no session, no token, or a policy that cannot be applied; 500 where the store
    /// does not answer.
    pub async fn adopt(
        &self,
        api: &Api,
        extracted: Option<String>,
        returned: Option<SessionState>,
        metadata: Texts,
    ) -> Result<Attached, Denied> {
        let forbidden = || Denied::new(StatusCode::FORBIDDEN, "Forbidden");
        let failed = |error: StoreError| {
            tracing::error!(target: "gateway", "the store: {error}");
            Denied::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        };
        let mut session = from_wire(returned.ok_or_else(forbidden)?, api, metadata);
        let token = match session.metadata.get("token") {
            Some(Value::String(token)) if !token.is_empty() => token.clone(),
            _ => return Err(forbidden()),
        };
        let id = extracted.unwrap_or(token);
        if let Some(before) = self.counted(id.as_str()).await.map_err(failed)? {
            session.carry_over(&before);
        }
        let now = SystemTime::now();
        session.last_updated = epoch(now).to_string();
        session.key_id.clone_from(&id);
        let mut applied = session.clone();
        self.policies.load().apply(&mut applied).map_err(|why| {
            tracing::warn!(target: "gateway", "the session of key {}: {why}", masked(&id));
            forbidden()
        })?;
        let life = session.life(api.session_lifetime, api.lifetime_respects_expiration, now);
        let began = self.cache.moment(&id);
        let json = serde_json::to_vec(&session);
        let json = json.map_err(|error| failed(StoreError(error.to_string())))?;
        self.store.set(&self.name(By::Id(&id)), json, life).await.map_err(failed)?;
        applied.compile();
        self.cache.replace(&id, (Instant::now(), Arc::new(applied.clone())), began);
        Ok(Attached { id, session: applied })
    }

    /// The name of the number that counts an id's quota, of a scope or of the whole session. No two are the
    /// same, however ids and scopes are called.
    pub(super) fn quota_name(&self, by: By<'_>, scope: &str) -> String {
        let id = self.hashed(by);
        match scope {
            "" => format!("{QUOTA}{id}"),
            scope => format!("{SCOPED_QUOTA}{}-{scope}-{id}", scope.len()),
        }
    }

    fn name(&self, by: By<'_>) -> String {
        format!("{PREFIX}{}", self.hashed(by))
    }

    fn hashed<'a>(&self, by: By<'a>) -> Cow<'a, str> {
        match by {
            By::Id(id) if self.options.hash_keys => hash::stored_name(id).into(),
            By::Id(text) | By::Hash(text) => text.into(),
        }
    }

    /// Has a session read from the store when it is asked for next. Whose hash it is nobody knows.
    fn forget(&self, by: By<'_>) {
        match by {
            By::Id(id) => self.cache.remove(id),
            By::Hash(_) => self.cache.clear(),
        }
    }

    /// Remembers a session, unless the key was changed since it was read.
    fn remember(&self, id: &str, session: Session, since: Moment) -> Arc<Session> {
        session.compile();
        let session = Arc::new(session);
        self.cache.insert(id, (Instant::now(), session.clone()), since);
        session
    }
}

/// A key as logs may show it: by its last four characters, if that leaves most of it unsaid.
pub fn masked(id: &str) -> String {
    let count = id.chars().count();
    let shown = if count >= 12 { 4 } else { 0 };
    let tail: String = id.chars().skip(count - shown).collect();
    format!("****{tail}")
}

/// A new key that nobody can guess.
///
/// # Errors
/// When the system has no random bytes.
pub fn new_key(org: &str, function: Option<HashFunction>) -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError(error.to_string()))?;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(session_id(org, &id, function))
}
