//! Keys and reloads for those who run the gateway: over the control socket, and at `/tyk/` on its own ports
//! where a secret is set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Secret;
use crate::event::{About, Details, Kind, Voice};
use crate::session::Session;
use crate::session::keys::{By, Keys, masked, new_key};
use crate::store::StoreError;

/// The header that bears the secret.
const HEADER: &str = "x-tyk-authorization";

/// What paths for those who run the gateway begin with.
pub const PREFIX: &str = "/tyk/";

/// How long a reload may wait for others, so that they become one.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// What is done for those who run the gateway.
pub struct Admin {
    keys: Arc<Keys>,
    secret: Option<Secret>,
    voice: Arc<Voice>,
    reload: Arc<dyn Fn() + Send + Sync>,
    /// Whether a reload is on its way that nobody needs to ask for again.
    reloading: Arc<AtomicBool>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// What is to be done with keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Tell all ids.
    List,
    /// Tell the session of an id.
    Show(Named),
    /// Keep a session under an id, or under a new one. The quota begins anew, unless it is to go on.
    Keep {
        /// The id; `None`: a new one.
        id: Option<Named>,
        /// The session, as JSON.
        session: Value,
        /// Whether the quota goes on as it was.
        go_on: bool,
    },
    /// Remove an id.
    Remove(Named),
}

/// How a key is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The key, or its hash.
    pub text: String,
    /// Whether it is the hash.
    pub hashed: bool,
}

impl Named {
    fn by(&self) -> By<'_> {
        if self.hashed { By::Hash(&self.text) } else { By::Id(&self.text) }
    }
}

/// Why something was not done: a status of HTTP and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// 400, 403, 404, 405 or 500.
    pub status: StatusCode,
    /// Why.
    pub why: String,
}

impl Refused {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(target: "gateway", "{error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.0)
    }
}

impl Admin {
    /// Does it with these keys, and has `voice` tell of it. `reload` has the APIs read anew; it may wait
    /// for files.
    pub fn new(
        keys: Arc<Keys>,
        secret: Option<Secret>,
        voice: Arc<Voice>,
        reload: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { keys, secret, voice, reload: Arc::new(reload), reloading: Arc::default() }
    }

    /// Whether a path is for those who run the gateway: only where there is a secret, so that otherwise
    /// an API may have it.
    pub fn takes(&self, path: &str) -> bool {
        let rest = path.strip_prefix(PREFIX);
        self.secret.is_some()
            && rest.is_some_and(|rest| {
                let first = rest.split('/').next();
                matches!(first, Some("keys" | "reload"))
            })
    }

    /// Carries out an order; the answer is Tyk's.
    ///
    /// # Errors
    /// What cannot be done, and why.
    pub async fn perform(&self, order: Order) -> Result<Value, Refused> {
        match order {
            Order::List => Ok(json!({ "keys": self.keys.list().await? })),
            Order::Show(named) => {
                let session = self.keys.counted(self.by(&named)?).await?.ok_or_else(missing)?;
                serde_json::to_value(session).map_err(|error| StoreError(error.to_string()).into())
            }
            Order::Keep { id, session, go_on } => self.keep(id, session, go_on).await,
            Order::Remove(named) => {
                let by = self.by(&named)?;
                let org = match self.keys.stored(by).await {
                    Ok(session) => session.map(|session| session.org_id),
                    // One that cannot be read can be removed.
                    Err(_) => None,
                };
                if !self.keys.remove(by).await? {
                    return Err(missing());
                }
                let key = &named.text;
                tracing::info!(target: "gateway", "key {} was removed", masked(key));
                self.tell(Kind::TokenDeleted, "Key deleted.", key, &org.unwrap_or_default());
                Ok(json!({ "key": key, "status": "ok", "action": "deleted" }))
            }
        }
    }

    /// How a key is looked for.
    fn by<'a>(&self, named: &'a Named) -> Result<By<'a>, Refused> {
        if named.hashed && !self.keys.options().hash_keys {
            let why = "keys are not hashed here: `hash_keys` is not set";
            return Err(Refused::new(StatusCode::BAD_REQUEST, why));
        }
        Ok(named.by())
    }

    fn tell(&self, kind: Kind, message: &str, key: &str, org: &str) {
        self.voice.tell(About { kind, message, details: Details::Token(key, org) });
    }

    async fn keep(&self, id: Option<Named>, session: Value, go_on: bool) -> Result<Value, Refused> {
        let bad = |why: String| Refused::new(StatusCode::BAD_REQUEST, why);
        if !session.is_object() {
            return Err(bad("a session is a JSON object".to_owned()));
        }
        let mut session: Session = serde_json::from_value(session)
            .map_err(|error| bad(format!("this is no session: {error}")))?;
        for url in session.access_rights.values().flat_map(|access| &access.allowed_urls) {
            if url.url.compiled().is_none() {
                let url = url.url.as_str().escape_debug();
                return Err(bad(format!("`{url}` in `allowed_urls` is not a regular expression")));
            }
        }
        self.keys.policies().apply(&mut session.clone()).map_err(|error| bad(error.to_string()))?;
        let options = self.keys.options();
        let named = match id {
            Some(named) if !named.hashed && named.text.len() < options.min_token_length => {
                let least = options.min_token_length;
                return Err(bad(format!("a key has at least {least} characters")));
            }
            Some(named) => named,
            None => {
                let text = new_key(&session.org_id, options.hash_function)?;
                Named { text, hashed: false }
            }
        };
        let by = self.by(&named)?;
        let now = SystemTime::now();
        let before = self.keys.stored(by).await?;
        if named.hashed && before.is_none() {
            // Nobody could ever come with a key that has this hash.
            return Err(missing());
        }
        if !go_on {
            self.keys.reset(by, before.as_ref()).await?;
        }
        session.last_updated = crate::session::epoch(now).to_string();
        let life = session.life(Duration::ZERO, false, now);
        self.keys.keep(by, &session, life).await?;
        let (action, kind, message) = match before {
            Some(_) => ("modified", Kind::TokenUpdated, "Key modified."),
            None => ("added", Kind::TokenCreated, "Key generated."),
        };
        let key = &named.text;
        tracing::info!(target: "gateway", "key {} was {action}", masked(key));
        self.tell(kind, message, key, &session.org_id);
        Ok(json!({ "key": key, "status": "ok", "action": action }))
    }

    /// Has the APIs read anew, soon and once for all who ask in the meantime.
    fn reload_soon(&self) {
        if self.reloading.swap(true, Ordering::SeqCst) {
            return;
        }
        let (reload, reloading) = (self.reload.clone(), self.reloading.clone());
        tokio::spawn(async move {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            reloading.store(false, Ordering::SeqCst);
            // Who panics has told of it.
            let _ = tokio::task::spawn_blocking(move || reload()).await;
        });
    }

    /// Whether a text is the secret. How long it takes says nothing of where they differ.
    fn is_secret(&self, text: &[u8]) -> bool {
        let Some(secret) = &self.secret else { return false };
        let (ours, theirs) = (Sha256::digest(secret.0.as_bytes()), Sha256::digest(text));
        ours.iter().zip(theirs).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
    }
}

/// Answers a request to one of the paths that [`Admin::takes`].
pub async fn answer(admin: &Admin, request: Request<Bytes>) -> Response<Bytes> {
    let (status, value) = match respond(admin, &request).await {
        Ok(value) => (StatusCode::OK, value),
        Err(refused) => (refused.status, json!({ "status": "error", "message": refused.why })),
    };
    let mut response = Response::new(Bytes::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn respond(admin: &Admin, request: &Request<Bytes>) -> Result<Value, Refused> {
    let secret = request.headers().get(HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if !admin.is_secret(secret) {
        let why = "the secret in X-Tyk-Authorization is missing or wrong";
        return Err(Refused::new(StatusCode::FORBIDDEN, why));
    }
    let path = request.uri().path();
    let nothing = || Refused::new(StatusCode::NOT_FOUND, "there is nothing at this path");
    let rest = path.strip_prefix(PREFIX).ok_or_else(nothing)?.trim_end_matches('/');
    let (first, id) = rest.split_once('/').map_or((rest, None), |(first, id)| (first, Some(id)));
    let id = match id {
        Some(id) => Some(percent_decode_str(id).decode_utf8().map_err(|_| nothing())?.into_owned()),
        None => None,
    };
    let method = request.method();
    match (first, id.as_deref()) {
        ("reload", None | Some("group")) if method == Method::GET => {
            admin.reload_soon();
            Ok(json!({ "status": "ok", "message": "" }))
        }
        ("keys", _) => {
            let query = request.uri().query().unwrap_or_default();
            let is_set = |name: &str, value: &str| {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                pairs.any(|pair| pair == (name.into(), value.into()))
            };
            let (go_on, hashed) = (is_set("suppress_reset", "1"), is_set("hashed", "true"));
            let id = id.filter(|id| id != "create" || method != Method::POST);
            let id = id.map(|text| Named { text, hashed });
            admin.perform(order(method.as_str(), id, request.body(), go_on)?).await
        }
        ("reload", None | Some("group")) => Err(not_allowed()),
        _ => Err(nothing()),
    }
}

fn missing() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "there is no such key")
}

fn not_allowed() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}

/// From a method, an id and a body to an order. Pure.
///
/// # Errors
/// 400 for a body that is no JSON, 405 for a method that means nothing here.
pub fn order(method: &str, id: Option<Named>, body: &[u8], go_on: bool) -> Result<Order, Refused> {
    let session = || {
        serde_json::from_slice(body).map_err(|error| {
            Refused::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}"))
        })
    };
    match (method, id) {
        ("GET", None) => Ok(Order::List),
        ("GET", Some(id)) => Ok(Order::Show(id)),
        ("POST", id @ None) | ("POST" | "PUT", id @ Some(_)) => {
            Ok(Order::Keep { id, session: session()?, go_on })
        }
        ("DELETE", Some(id)) => Ok(Order::Remove(id)),
        _ => Err(not_allowed()),
    }
}

#[cfg(test)]
mod tests;
