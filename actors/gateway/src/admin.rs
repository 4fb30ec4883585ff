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
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::mpsc;

    use super::*;
    use crate::event::{Events, Heard};
    use crate::policy::Policies;
    use crate::session::keys::KeyOptions;
    use crate::store::Embedded;

    struct Desk {
        _folder: tempfile::TempDir,
        admin: Admin,
        reloads: Arc<AtomicUsize>,
        hears: mpsc::Receiver<Heard>,
    }

    fn desk(secret: Option<&str>) -> Desk {
        desk_with(secret, KeyOptions::default())
    }

    fn desk_with(secret: Option<&str>, options: KeyOptions) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(&folder.path().join("s")).unwrap());
        let policies = Policies::parse(r#"{"gold": {"rate": 7}}"#).unwrap();
        let keys = Arc::new(Keys::new(store, options, policies));
        let reloads = Arc::new(AtomicUsize::new(0));
        let count = reloads.clone();
        let secret = secret.map(|secret| Secret(secret.to_owned()));
        let (heard, hears) = mpsc::channel(8);
        let events = Events::start(Duration::from_secs(1));
        let voice = Arc::new(Voice::of_gateway(Vec::new(), None, events, heard));
        let admin = Admin::new(keys, secret, voice, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        Desk { _folder: folder, admin, reloads, hears }
    }

    async fn ask(desk: &Desk, method: &str, path: &str, secret: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header(HEADER, secret);
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let response = answer(&desk.admin, request).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let value = serde_json::from_slice(response.body()).unwrap();
        (response.status().as_u16(), value)
    }

    #[tokio::test]
    async fn what_is_done_with_keys_is_told() {
        let mut desk = desk(Some("s"));
        for (method, expected) in [
            ("POST", Kind::TokenCreated),
            ("PUT", Kind::TokenUpdated),
            ("DELETE", Kind::TokenDeleted),
        ] {
            assert_eq!(ask(&desk, method, "/tyk/keys/abc", "s", "{}").await.0, 200);
            let heard = desk.hears.try_recv().unwrap();
            assert_eq!((heard.kind(), heard.api(), heard.take()), (expected, "", 1));
        }
        assert_eq!(ask(&desk, "DELETE", "/tyk/keys/abc", "s", "").await.0, 404);
        assert!(desk.hears.try_recv().is_err(), "nothing was deleted");
    }

    #[tokio::test]
    async fn keys_are_named_by_their_hashes_where_they_are_hashed() {
        let options = KeyOptions { hash_keys: true, ..KeyOptions::default() };
        let desk = desk_with(Some("s"), options);
        let body = r#"{"quota_max": 5}"#;
        assert_eq!(ask(&desk, "POST", "/tyk/keys/abcdef", "s", body).await.0, 200);
        let (_, list) = ask(&desk, "GET", "/tyk/keys", "s", "").await;
        let hash = list["keys"][0].as_str().unwrap();
        assert_ne!(hash, "abcdef");
        let path = format!("/tyk/keys/{hash}?hashed=true");
        assert_eq!(ask(&desk, "GET", &path, "s", "").await.1["quota_max"], 5);
        assert_eq!(ask(&desk, "GET", &format!("/tyk/keys/{hash}"), "s", "").await.0, 404);
        assert_eq!(ask(&desk, "PUT", &path, "s", r#"{"quota_max": 6}"#).await.0, 200);
        assert_eq!(ask(&desk, "GET", "/tyk/keys/abcdef", "s", "").await.1["quota_max"], 6);
        let none = "/tyk/keys/00000000?hashed=true";
        assert_eq!(ask(&desk, "PUT", none, "s", "{}").await.0, 404, "nobody has such a key");
        assert_eq!(ask(&desk, "DELETE", &path, "s", "").await.0, 200);
        assert_eq!(ask(&desk, "GET", "/tyk/keys/abcdef", "s", "").await.0, 404);
        let plain = super::tests::desk(Some("s"));
        assert_eq!(ask(&plain, "GET", &path, "s", "").await.0, 400, "keys are not hashed");
    }

    #[tokio::test]
    async fn paths_are_taken_where_there_is_a_secret() {
        let with = desk(Some("s"));
        for path in ["/tyk/keys", "/tyk/keys/a", "/tyk/reload", "/tyk/reload/group"] {
            assert!(with.admin.takes(path) && !desk(None).admin.takes(path), "{path}");
        }
        for path in ["/tyk", "/tyk/", "/tyk/keysx", "/tyk/apis", "/x/tyk/keys", "/keys"] {
            assert!(!with.admin.takes(path), "{path}");
        }
    }

    #[tokio::test]
    async fn nobody_is_let_in_without_the_secret() {
        let desk = desk(Some("open"));
        for secret in ["", "ope", "openn", "Open"] {
            assert_eq!(ask(&desk, "GET", "/tyk/keys", secret, "").await.0, 403);
        }
        assert_eq!(ask(&desk, "GET", "/tyk/keys", "open", "").await, (200, json!({ "keys": [] })));
        let closed = super::tests::desk(None);
        assert_eq!(ask(&closed, "GET", "/tyk/keys", "", "").await.0, 403);
    }

    #[tokio::test]
    async fn keys_are_added_shown_changed_and_deleted() {
        let desk = desk(Some("s"));
        let (status, added) = ask(&desk, "POST", "/tyk/keys", "s", r#"{"org_id": "o"}"#).await;
        assert_eq!((status, &added["action"]), (200, &json!("added")));
        let key = added["key"].as_str().unwrap();
        assert!(key.starts_with('o'));
        let path = format!("/tyk/keys/{key}");
        let body = r#"{"quota_max": 5, "own": 1}"#;
        assert_eq!(ask(&desk, "PUT", &path, "s", body).await.1["action"], "modified");
        let (_, session) = ask(&desk, "GET", &path, "s", "").await;
        assert_eq!((&session["quota_max"], &session["own"]), (&json!(5), &json!(1)));
        assert_eq!(ask(&desk, "DELETE", &path, "s", "").await.1["action"], "deleted");
        assert_eq!(ask(&desk, "DELETE", &path, "s", "").await.0, 404);
        assert_eq!(ask(&desk, "GET", &path, "s", "").await.0, 404);
        let (_, made) = ask(&desk, "POST", "/tyk/keys/a%2Fb", "s", "{}").await;
        assert_eq!(made["key"], "a/b");
        assert_eq!(ask(&desk, "POST", "/tyk/keys/create", "s", "{}").await.0, 200);
    }

    #[tokio::test]
    async fn what_is_no_session_is_refused() {
        let desk = desk(Some("s"));
        for body in [
            "",
            "[]",
            r#"{"rate": "x"}"#,
            r#"{"apply_policies": ["none"]}"#,
            r#"{"access_rights": {"a": {"allowed_urls": [{"url": "("}]}}}"#,
        ] {
            assert_eq!(ask(&desk, "POST", "/tyk/keys/abc", "s", body).await.0, 400, "{body}");
        }
        assert_eq!(ask(&desk, "POST", "/tyk/keys/ab", "s", "{}").await.0, 400, "too short");
        assert_eq!(ask(&desk, "PATCH", "/tyk/keys/abc", "s", "{}").await.0, 405);
        assert_eq!(ask(&desk, "DELETE", "/tyk/keys", "s", "").await.0, 405);
        assert_eq!(ask(&desk, "GET", "/tyk/keys", "s", "").await.1, json!({ "keys": [] }));
    }

    #[tokio::test(start_paused = true)]
    async fn several_reloads_become_one() {
        let desk = desk(Some("s"));
        for path in ["/tyk/reload", "/tyk/reload/group", "/tyk/reload/"] {
            assert_eq!(ask(&desk, "GET", path, "s", "").await.0, 200);
        }
        assert_eq!(ask(&desk, "POST", "/tyk/reload", "s", "").await.0, 405);
        while desk.reloads.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(RELOAD_INTERVAL).await;
        }
        tokio::time::sleep(RELOAD_INTERVAL * 3).await;
        assert_eq!(desk.reloads.load(Ordering::SeqCst), 1);
    }
}
