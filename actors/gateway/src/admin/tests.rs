//! Orders about keys and reloads, as they come over HTTP.

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
    for (method, expected) in
        [("POST", Kind::TokenCreated), ("PUT", Kind::TokenUpdated), ("DELETE", Kind::TokenDeleted)]
    {
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
