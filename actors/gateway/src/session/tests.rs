//! Sessions as they are stored, sent, checked and counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::hash::{HashFunction, session_id, stored_name};
use super::keys::{KeyOptions, Keys, masked, new_key};
use super::limits::{Limits, Usage};
use super::*;
use crate::api::tests::api;
use crate::api::{Api, KeySource, Template};
use crate::exchange::{Denied, Draft, Scheme, Target};
use crate::policy::Policies;
use crate::store::{Embedded, Store};
use crate::wire::SessionState;

fn session(json: Value) -> Session {
    serde_json::from_value(json).unwrap()
}

/// A request to an API below `/api/`.
pub(crate) fn draft(method: &str, path: &str) -> Draft {
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    Draft {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: Target { path: path.to_owned(), query: query.map(str::to_owned) },
        received: path.to_owned(),
        authority: "h".to_owned(),
        scheme: Scheme::Http,
        headers: HeaderMap::new(),
        body: None,
        client: None,
        session: None,
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn said(result: Result<(), Denied>) -> (u16, String) {
    let denied = result.unwrap_err();
    (denied.status.as_u16(), denied.message)
}

#[test]
fn what_go_writes_is_read_and_what_is_unknown_is_kept() {
    let stored = json!({
        "rate": 100, "per": 1.5, "org_id": "o", "expires": -1, "hmac_string": "h",
        "access_rights": {"a": {
            "api_id": "a", "api_name": "A", "versions": null,
            "allowed_urls": [{"url": "/x", "methods": null, "own": 1}],
            "limit": {"rate": 5, "per": 1, "smoothing": {"on": true}},
        }},
        "meta_data": {"testkey": {"nestedkey": "nestedvalue"}, "testkey2": "testvalue"},
        "tags": null, "oauth_keys": null, "monitor": {"trigger_limits": null},
        "basic_auth_data": {"password": "p", "hash_type": "bcrypt"}, "jwt_data": {"secret": "s"},
        "mtls_static_certificate_bindings": ["c"], "enable_detail_recording": true,
    });
    let read = session(stored);
    let again = session(serde_json::to_value(&read).unwrap());
    assert_eq!(read, again);
    let again = serde_json::to_value(again).unwrap();
    assert_eq!(again["mtls_static_certificate_bindings"], json!(["c"]));
    assert_eq!(again["access_rights"]["a"]["limit"]["smoothing"]["on"], true);
    assert_eq!(again["access_rights"]["a"]["allowed_urls"][0]["own"], 1);
    assert_eq!((&again["hmac_string"], &again["key_id"]), (&json!("h"), &Value::Null));
    let wire = read.to_wire();
    assert_eq!(wire.metadata["testkey"], r#"{"nestedkey":"nestedvalue"}"#);
    assert_eq!(wire.metadata["testkey2"], "testvalue");
    assert!(wire.enable_detailed_recording, "by the older key");
    assert_eq!(wire.basic_auth_data.unwrap().hash, "bcrypt");
    assert_eq!(wire.access_rights["a"].allowed_urls[0].url, "/x");
}

#[test]
fn t57_what_follows_the_end_of_a_key_survives_the_round_trip() {
    for (action, period) in [("delete", 0), ("retain", -1), ("retain", 200), ("", 0)] {
        let stored = session(json!({
            "post_expiry_action": action, "post_expiry_grace_period": period
        }));
        let back = from_wire(stored.to_wire(), &api("a"), Texts::new());
        assert_eq!(back.post_expiry_action, action);
        assert_eq!(back.post_expiry_grace_period, period);
    }
}

#[test]
fn what_plugins_may_say_and_never_see() {
    let stored = session(json!({ "certificate": "c", "max_query_depth": 3, "org_id": "other" }));
    let wire = stored.to_wire();
    assert_eq!((wire.certificate.as_str(), wire.max_query_depth), ("", 0));
    assert!(wire.basic_auth_data.is_some() && wire.jwt_data.is_some() && wire.monitor.is_some());
    let said = SessionState { certificate: "c".into(), max_query_depth: 3, ..wire };
    let metadata = Texts::from([("token".to_owned(), "abc".to_owned())]);
    let back = from_wire(said, &api("a"), metadata);
    assert_eq!((back.certificate.as_str(), back.max_query_depth), ("c", 3));
    assert_eq!(back.org_id, "o1", "the API's");
    assert_eq!(back.metadata_text("token").as_deref(), Some("abc"));
}

#[test]
fn a_key_that_has_ended_or_is_switched_off() {
    let ends = session(json!({ "expires": 100 }));
    assert_eq!(check::expired(&ends, at(99)), Ok(()));
    let over = (401, "Key has expired, please renew".to_owned());
    assert_eq!(said(check::expired(&ends, at(100))), over);
    for never in [0, -1] {
        assert_eq!(check::expired(&session(json!({ "expires": never })), at(100)), Ok(()));
    }
    let off = session(json!({ "is_inactive": true }));
    assert_eq!(said(check::inactive(&off)), (403, "Key is inactive, please renew".to_owned()));
    assert_eq!(check::inactive(&ends), Ok(()));
}

#[test]
fn t78_rights_are_for_some_apis_or_for_all() {
    let api = api("a");
    let no = (403, "Access to this API has been disallowed".to_owned());
    assert_eq!(check::rights(&Session::default(), &api), Ok(()));
    let other = session(json!({ "access_rights": {"b": {}} }));
    assert_eq!(said(check::rights(&other, &api)), no);
    let both = session(json!({ "access_rights": {"a": {}, "b": {}} }));
    assert_eq!(check::rights(&both, &api), Ok(()));
}

#[test]
fn paths_and_methods_of_a_key() {
    let api = api("a");
    let urls = |urls: Value| session(json!({ "access_rights": {"a": { "allowed_urls": urls }} }));
    let some = urls(
        json!([{"url": "^/get", "methods": ["GET"]}, {"url": "^/api/put", "methods": ["PUT"]}]),
    );
    let ask = |session: &Session, method, path| check::urls(session, &api, &draft(method, path));
    assert_eq!(ask(&some, "GET", "/api/get/1"), Ok(()));
    assert_eq!(ask(&some, "PUT", "/api/put"), Ok(()));
    let no = (403, "Access to this resource has been disallowed".to_owned());
    for (method, path) in
        [("POST", "/api/get"), ("get", "/api/get"), ("GET", "/api/other"), ("GET", "/api/put")]
    {
        assert_eq!(said(ask(&some, method, path)), no, "{method} {path}");
    }
    assert_eq!(ask(&urls(json!([])), "GET", "/api/any"), Ok(()));
    // A pattern that is none matches nothing, and a blank entry has no methods.
    assert_eq!(said(ask(&urls(json!([{"url": "(", "methods": ["GET"]}])), "GET", "/api/("),), no);
    assert_eq!(said(ask(&urls(json!([{}])), "GET", "/api/")), no);
}

#[test]
fn ids_of_sessions() {
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    assert_eq!(hash::md5("abc"), md5);
    assert_eq!(session_id("o", md5, None), format!("o{md5}"));
    let json = session_id("o", "i", Some(HashFunction::Murmur64));
    // base64 of {"org":"o","id":"i","h":"murmur64"}
    assert_eq!(json, "eyJvcmciOiJvIiwiaWQiOiJpIiwiaCI6Im11cm11cjY0In0=");
    assert_eq!(HashFunction::named("none of them"), Some(HashFunction::Murmur64));
    assert_eq!(HashFunction::named(""), None);
    assert_eq!(stored_name(&json), HashFunction::Murmur64.hash(&json));
    assert_eq!(stored_name("plain"), HashFunction::Murmur32.hash("plain"));
}

#[test]
fn hashes_have_the_values_that_others_give_them() {
    let all = [
        (HashFunction::Murmur32, "", "00000000"),
        (HashFunction::Murmur32, "hello", "248bfa47"),
        (HashFunction::Murmur32, "hello, world", "149bbb7f"),
        (HashFunction::Murmur64, "hello", "cbd8a7b341bd9b02"),
        (HashFunction::Murmur128, "", "00000000000000000000000000000000"),
        (HashFunction::Murmur128, "hello", "cbd8a7b341bd9b025b1e906a48ae1d19"),
        (HashFunction::Murmur128, "hello, world", "342fac623a5ebc8e4cdcbc079642414d"),
        (
            HashFunction::Murmur128,
            "The quick brown fox jumps over the lazy dog.",
            "cd99481f9ee902c9695da1a38987b6e7",
        ),
        (
            HashFunction::Sha256,
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
    ];
    for (function, text, hash) in all {
        assert_eq!(function.hash(text), hash, "{function:?} of {text:?}");
    }
}

#[test]
fn keys_are_masked_and_new_ones_differ() {
    assert_eq!(masked("0123456789abcdef"), "****cdef");
    assert_eq!(masked("short"), "****");
    let (one, other) = (new_key("o", None).unwrap(), new_key("o", None).unwrap());
    assert!(one != other && one.len() == 33 && one.starts_with('o'), "{one}");
}

#[test]
fn where_a_key_stands() {
    let source =
        |header: Option<&'static str>, param: Option<&str>, cookie: Option<&str>| KeySource {
            header: header.map(http::HeaderName::from_static),
            param: param.map(str::to_owned),
            cookie: cookie.map(str::to_owned),
        };
    let mut request = draft("GET", "/api/?a=1&key=in%20query&b=2");
    let headers = &mut request.headers;
    headers.append("authorization", "Bearer  in-header".parse().unwrap());
    headers.append("cookie", "x=1; key=in%2Fcookie; y=2".parse().unwrap());
    let all = source(Some("authorization"), Some("key"), Some("key"));
    assert_eq!(all.find(&request).as_deref(), Some("in-header"));
    assert_eq!(source(None, Some("key"), Some("key")).find(&request).as_deref(), Some("in query"));
    assert_eq!(source(None, None, Some("key")).find(&request).as_deref(), Some("in/cookie"));
    assert_eq!(source(Some("x-key"), Some("none"), None).find(&request), None);
    let denied = source(Some("x-key"), None, None).key(&request).unwrap_err();
    assert_eq!(
        (denied.status.as_u16(), denied.message.as_str()),
        (401, "Authorization field missing")
    );
    all.strip(&mut request);
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(request.target.query.as_deref(), Some("a=1&b=2"));
    assert_eq!(request.headers["cookie"], "x=1; y=2");
    assert_eq!(all.find(&request), None);
}

#[test]
fn headers_of_responses_tell_of_the_session() {
    let template = Template::new("<$tyk_meta.sessionMetaKey> $tyk_meta.none!");
    let session = session(json!({ "meta_data": {"sessionMetaKey": "value"} }));
    assert_eq!(template.render(Some(&session)), "<value> !");
    assert_eq!(template.render(None), "<> !");
    assert_eq!(Template::new("plain").render(None), "plain");
}

#[test]
fn how_long_a_session_is_kept() {
    let of =
        |own: i64, expires: i64| session(json!({ "session_lifetime": own, "expires": expires }));
    let seconds = Duration::from_secs;
    let now = at(1000);
    assert_eq!(of(0, 0).life(Duration::ZERO, false, now), None);
    assert_eq!(of(0, 0).life(seconds(9), false, now), Some(seconds(9)));
    assert_eq!(of(5, 0).life(seconds(9), false, now), Some(seconds(5)));
    assert_eq!(of(5, 1100).life(seconds(9), true, now), Some(seconds(100)));
    assert_eq!(of(5, 900).life(seconds(9), true, now), Some(seconds(5)));
    assert_eq!(of(5, 0).life(seconds(9), true, now), None);
}

/// Keys in a file of their own.
struct Kept {
    _folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
}

fn kept(options: KeyOptions, policies: &str) -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Embedded::open(&folder.path().join("s")).unwrap());
    let policies = Policies::parse(policies).unwrap();
    let keys = Arc::new(Keys::new(store.clone(), options, policies));
    Kept { _folder: folder, store, keys }
}

fn plain() -> Kept {
    kept(KeyOptions::default(), "{}")
}

async fn admits(
    limits: &Limits,
    id: &str,
    session: &Session,
    api: &Api,
    now: u64,
) -> Result<Session, (u16, String)> {
    let mut session = session.clone();
    match limits.admit(id, &mut session, api, at(now)).await {
        Ok(_) => Ok(session),
        Err(denied) => Err(said(Err(denied))),
    }
}

#[tokio::test]
async fn a_rate_is_a_window_that_slides() {
    let kept = plain();
    let limits = Limits::new(kept.keys.clone());
    let session = session(json!({ "rate": 4, "per": 10 }));
    let mut api = api("a");
    for _ in 0..4 {
        admits(&limits, "k", &session, &api, 1000).await.unwrap();
    }
    let over = Err((429, "Rate Limit Exceeded".to_owned()));
    assert_eq!(admits(&limits, "k", &session, &api, 1009).await, over);
    admits(&limits, "other", &session, &api, 1009).await.unwrap();
    // Half of the window before still counts: two more.
    for _ in 0..2 {
        admits(&limits, "k", &session, &api, 1015).await.unwrap();
    }
    assert_eq!(admits(&limits, "k", &session, &api, 1015).await, over);
    admits(&limits, "k", &session, &api, 1040).await.unwrap();
    admits(&limits, "k", &session, &api, 10).await.unwrap();
    api.disable_rate_limit = true;
    for _ in 0..9 {
        admits(&limits, "k", &session, &api, 10).await.unwrap();
    }
    for (rate, per) in [(0, 1), (-1, 1), (1, 0)] {
        let any = self::session(json!({ "rate": rate, "per": per }));
        for _ in 0..9 {
            admits(&limits, "any", &any, &crate::api::tests::api("a"), 10).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_quota_is_used_up_and_renewed() {
    let kept = plain();
    let limits = Limits::new(kept.keys.clone());
    let session = session(json!({ "quota_max": 2, "quota_renewal_rate": 3600 }));
    let mut api = api("a");
    let now = epoch(SystemTime::now()) as u64;
    let first = admits(&limits, "k", &session, &api, now).await.unwrap();
    assert_eq!(first.quota_remaining, 1);
    assert!((now as i64 + 3590..=now as i64 + 3600).contains(&first.quota_renews), "{first:?}");
    admits(&limits, "k", &session, &api, now).await.unwrap();
    let over = Err((403, "Quota exceeded".to_owned()));
    assert_eq!(admits(&limits, "k", &session, &api, now).await, over);
    api.disable_quota = true;
    admits(&limits, "k", &session, &api, now).await.unwrap();
    api.disable_quota = false;
    // It outlives the session, and begins anew where that is wanted.
    kept.keys.keep("k", &session, None).await.unwrap();
    let counted = kept.keys.counted("k").await.unwrap().unwrap();
    assert_eq!(counted.quota_remaining, 0);
    assert!(kept.keys.remove("k").await.unwrap());
    admits(&limits, "k", &session, &api, now).await.unwrap();
    assert_eq!(kept.store.keys("quota-").await.unwrap(), ["quota-k"]);
}

#[tokio::test]
async fn what_was_used_elsewhere_counts() {
    let kept = plain();
    let limits = Limits::new(kept.keys.clone());
    let now = epoch(SystemTime::now());
    let session = session(json!({
        "quota_max": 10, "quota_remaining": 1, "quota_renews": now + 60, "quota_renewal_rate": 3600
    }));
    let first = admits(&limits, "k", &session, &api("a"), now as u64).await.unwrap();
    assert!(first.quota_remaining == 0 && first.quota_renews <= now + 61, "{first:?}");
    admits(&limits, "k", &session, &api("a"), now as u64).await.unwrap_err();
}

#[tokio::test]
async fn limits_of_one_api_count_in_place_of_the_sessions() {
    let kept = plain();
    let limits = Limits::new(kept.keys.clone());
    let session = session(json!({ "quota_max": 1, "access_rights": {
        "a": {"limit": {"quota_max": 2}}, "b": {},
    } }));
    for _ in 0..2 {
        admits(&limits, "k", &session, &api("a"), 1).await.unwrap();
    }
    admits(&limits, "k", &session, &api("a"), 1).await.unwrap_err();
    admits(&limits, "k", &session, &api("b"), 1).await.unwrap();
    admits(&limits, "k", &session, &api("b"), 1).await.unwrap_err();
    assert_eq!(kept.store.keys("quota").await.unwrap(), ["quota-k", "quota.1-a-k"]);
}

#[tokio::test]
async fn keys_are_kept_found_and_removed() {
    let kept = plain();
    let keys = &kept.keys;
    let one = session(json!({ "rate": 1, "own": "kept" }));
    keys.keep("abc", &one, None).await.unwrap();
    keys.keep("orgdef", &one, None).await.unwrap();
    let found = keys.find("abc").await.unwrap().unwrap();
    assert_eq!((found.rate, found.key_id.as_str()), (1.0, "abc"));
    let (id, _) = keys.find_key("org", "def").await.unwrap().unwrap();
    assert_eq!(id, "orgdef");
    assert!(keys.find_key("other", "def").await.unwrap().is_none());
    assert!(keys.find("ab").await.unwrap().is_none(), "too short");
    assert!(keys.find_key("orgd", "ef").await.unwrap().is_none(), "too short, whatever the id");
    assert_eq!(keys.list().await.unwrap(), ["abc", "orgdef"]);
    // What this gateway changes counts at once, what others do within ten seconds.
    keys.keep("abc", &session(json!({ "rate": 2 })), None).await.unwrap();
    assert_eq!(keys.find("abc").await.unwrap().unwrap().rate, 2.0);
    kept.store.remove("apikey-abc").await.unwrap();
    assert_eq!(keys.find("abc").await.unwrap().unwrap().rate, 2.0);
    assert!(!keys.remove("abc").await.unwrap());
    assert!(keys.find("abc").await.unwrap().is_none());
    kept.store.set("apikey-bad", b"{".to_vec(), None).await.unwrap();
    let error = keys.find("bad").await.unwrap_err();
    assert!(error.0.starts_with("the session of key ****"), "{error}");
}

#[tokio::test]
async fn hashed_keys_are_not_in_the_store() {
    let options = KeyOptions { hash_keys: true, ..KeyOptions::default() };
    let kept = kept(options, "{}");
    kept.keys.keep("secret-key", &Session::default(), None).await.unwrap();
    let name = format!("apikey-{}", HashFunction::Murmur32.hash("secret-key"));
    assert_eq!(kept.store.keys("").await.unwrap(), [name]);
    assert!(kept.keys.find("secret-key").await.unwrap().is_some());
}

#[tokio::test]
async fn policies_are_applied_to_what_is_found_and_not_to_what_is_stored() {
    let kept = kept(KeyOptions::default(), r#"{"p": {"rate": 7, "per": 1}}"#);
    let one = session(json!({ "rate": 1, "per": 1, "apply_policies": ["p"] }));
    kept.keys.keep("abc", &one, None).await.unwrap();
    assert_eq!(kept.keys.find("abc").await.unwrap().unwrap().rate, 7.0);
    assert_eq!(kept.keys.stored("abc").await.unwrap().unwrap().rate, 1.0);
    kept.keys.set_policies(Policies::parse(r#"{"p": {"rate": 8, "per": 1}}"#).unwrap());
    assert_eq!(kept.keys.find("abc").await.unwrap().unwrap().rate, 8.0);
    kept.keys.set_policies(Policies::default());
    assert!(kept.keys.find("abc").await.unwrap().is_none());
}

/// A hook's answer: a session with a token.
fn returned(change: impl FnOnce(&mut SessionState)) -> (Option<SessionState>, Texts) {
    let mut state = SessionState { rate: 3.0, ..SessionState::default() };
    change(&mut state);
    (Some(state), Texts::from([("token".to_owned(), "abc".to_owned())]))
}

#[tokio::test]
async fn a_hooks_answer_becomes_a_session() {
    let kept = plain();
    let api = api("a");
    let (state, metadata) = returned(|_| ());
    let attached = kept.keys.adopt(&api, None, state, metadata).await.unwrap();
    assert_eq!((attached.id.as_str(), attached.session.key_id.as_str()), ("abc", "abc"));
    let stored = kept.keys.stored("abc").await.unwrap().unwrap();
    assert_eq!((stored.rate, stored.org_id.as_str()), (3.0, "o1"));
    let (state, metadata) = returned(|_| ());
    let attached = kept.keys.adopt(&api, Some("taken".into()), state, metadata).await.unwrap();
    assert_eq!(attached.id, "taken");
    assert_eq!(kept.keys.list().await.unwrap(), ["abc", "taken"]);
}

#[tokio::test]
async fn a_hooks_answer_without_session_or_token_or_policy_is_forbidden() {
    let kept = plain();
    let api = api("a");
    let (state, metadata) = returned(|_| ());
    let (bad_policy, _) = returned(|state| state.apply_policies = vec!["none".into()]);
    for (state, metadata) in
        [(None, metadata.clone()), (state, Texts::new()), (bad_policy, metadata)]
    {
        let denied = kept.keys.adopt(&api, None, state, metadata).await.unwrap_err();
        assert_eq!((denied.status, denied.message.as_str()), (StatusCode::FORBIDDEN, "Forbidden"));
    }
    assert_eq!(kept.keys.list().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_quota_goes_on_in_the_session_that_a_hook_makes_again() {
    let kept = plain();
    let limits = Limits::new(kept.keys.clone());
    let api = api("a");
    let now = SystemTime::now();
    for round in 0..2 {
        let (state, metadata) = returned(|state| {
            state.quota_max = 1;
            state.quota_renewal_rate = 60;
        });
        let mut attached = kept.keys.adopt(&api, None, state, metadata).await.unwrap();
        let admitted = limits.admit(&attached.id, &mut attached.session, &api, now).await;
        assert_eq!(admitted.is_ok(), round == 0);
    }
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(text in "\\PC{0,64}|\\{\"(rate|tags|meta_data|access_rights)\":\\PC{0,16}\\}") {
        let _ = serde_json::from_str::<Session>(&text);
    }
}

#[test]
fn each_limit_of_usage_is_reached_once_a_period() {
    let reached = |count, limits: &[f64]| Usage { count, max: 8 }.reached(limits);
    let limits = [75.0, 50.0, 99.5];
    let all: Vec<_> = (1..=8).map(|count| reached(count, &limits)).collect();
    let none = None;
    assert_eq!(all, [none, none, none, Some(50.0), none, Some(75.0), none, Some(99.5)]);
    // Several at once are told by the highest.
    assert_eq!(reached(1, &[3.0, 10.0]), Some(10.0));
    assert_eq!(reached(1, &[0.0, -1.0, f64::NAN]), None);
}

#[test]
fn what_is_no_number_does_not_spoil_a_session() {
    let state = SessionState {
        rate: f64::NAN,
        per: f64::INFINITY,
        monitor: Some(crate::wire::Monitor { trigger_limits: vec![f64::NAN, 80.0] }),
        ..SessionState::default()
    };
    let session = from_wire(state, &api("a"), Texts::default());
    let stored = serde_json::to_string(&session).unwrap();
    let read: Session = serde_json::from_str(&stored).unwrap();
    assert_eq!((read.rate, read.per, read.monitor.trigger_limits), (0.0, 0.0, vec![0.0, 80.0]));
    // Go takes null for nothing.
    let nulls = r#"{"rate": null, "quota_max": null, "is_inactive": null, "monitor": null}"#;
    let read: Session = serde_json::from_str(nulls).unwrap();
    assert_eq!((read.rate, read.quota_max, read.is_inactive), (0.0, 0, false));
}

#[tokio::test]
async fn quotas_of_any_size_do_not_overflow() {
    let limits = Limits::new(plain().keys.clone());
    for (quota_max, quota_remaining, expected) in
        [(i64::MAX, i64::MIN, 200), (i64::MAX, -1, 200), (1, i64::MIN, 403)]
    {
        let session = Session {
            quota_max,
            quota_remaining,
            quota_renews: i64::MAX,
            quota_renewal_rate: i64::MAX,
            ..Session::default()
        };
        let id = format!("{quota_max} {quota_remaining}");
        let admitted = admits(&limits, &id, &session, &api("a"), 1000).await;
        assert_eq!(admitted.map_or_else(|(status, _)| status, |_| 200), expected, "{id}");
    }
}
