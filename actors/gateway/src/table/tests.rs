//! The `[gateway]` table.

use serde_json::{Value, json};

use super::*;
use crate::config::{Listen, StoreConfig};

fn resolve(table: Value) -> Result<Config, Vec<String>> {
    let table: GatewayTable =
        serde_json::from_value(table).map_err(|error| vec![error.to_string()])?;
    let whats = |refusals: Vec<Refusal>| {
        let told = |refusal: Refusal| format!("{}: {}", refusal.key.join("."), refusal.what);
        refusals.into_iter().map(told).collect()
    };
    table.resolve().map(|(config, _)| config).map_err(whats)
}

#[test]
fn defaults_are_those_that_are_shown() {
    let bare = resolve(json!({})).unwrap();
    assert_eq!(format!("{bare:?}"), format!("{:?}", Config::default()));
    let mut said = json!({ "limits": {}, "store": {} });
    for (key, value) in DEFAULTS {
        said[key] = value.into();
    }
    for (key, value) in LIMITS_DEFAULTS {
        said["limits"][key] = value.into();
    }
    for (key, value) in STORE_DEFAULTS {
        said["store"][key] = value.into();
    }
    assert_eq!(format!("{:?}", resolve(said).unwrap()), format!("{bare:?}"));
    let grpc = resolve(json!({ "grpc": "h:1" })).unwrap().grpc.unwrap();
    let default = GrpcConfig {
        addresses: vec!["h:1".to_owned()],
        receive_max: 4 << 20,
        ..GrpcConfig::default()
    };
    assert_eq!(grpc, default);
}

#[test]
fn places_to_listen_at() {
    let listen = |value: Value| resolve(json!({ "listen": value })).map(|config| config.listen);
    let tcp = |text: &str| Listen::Tcp(text.parse().unwrap());
    assert_eq!(listen(json!("[::1]:0")).unwrap(), [tcp("[::1]:0")]);
    assert_eq!(
        listen(json!(["127.0.0.1:1", "unix:///run/g.sock", "unix:${run_path}/g"])).unwrap(),
        [
            tcp("127.0.0.1:1"),
            Listen::Unix("/run/g.sock".into()),
            Listen::Unix("${run_path}/g".into())
        ]
    );
    for wrong in
        [json!("8080"), json!("localhost:80"), json!("unix:x"), json!([]), json!("http://h")]
    {
        listen(wrong).unwrap_err();
    }
}

#[test]
fn definitions_are_part_of_the_table() {
    let good = json!({ "api_id": "a", "use_keyless": true,
        "proxy": { "listen_path": "/a/", "target_url": "http://h" } });
    assert_eq!(resolve(json!({ "api": [good] })).unwrap().apis[0].id, "a");
    let text = format!("{good} ");
    assert_eq!(resolve(json!({ "api": text })).unwrap().apis.len(), 1);
    let wrong = resolve(json!({ "api": [good, good, { "api_id": 1 }] })).unwrap_err();
    assert_eq!(wrong[0], "api.1.api_id: `a` is the id of the API in gateway.api[0] already");
    assert!(wrong.iter().any(|what| what.starts_with("api.2.proxy.listen_path: ")), "{wrong:?}");
    resolve(json!({ "api": "{" })).unwrap_err();
}

#[test]
fn the_store_is_a_file_or_redis() {
    let store = |table: Value| resolve(json!({ "store": table })).map(|config| config.store);
    assert_eq!(store(json!({})).unwrap(), StoreConfig::File(None));
    assert_eq!(store(json!({ "path": "x" })).unwrap(), StoreConfig::File(Some("x".into())));
    let StoreConfig::Redis(redis) = store(json!({ "redis": "redis://h:1/2" })).unwrap() else {
        panic!("redis");
    };
    assert_eq!((redis.url.as_str(), redis.prefix.as_str()), ("redis://h:1/2", ""));
    for (table, what) in [
        (json!({ "redis": "http://h" }), "store.redis: it is not the URL of"),
        (json!({ "redis": "redis://h", "path": "x" }), "store.path: `path` and `redis` exclude"),
        (json!({ "password": "x" }), "store.password: is set without `redis`"),
        (json!({ "redis": "redis://:p@h" }), "store.redis: the URL has credentials"),
    ] {
        let told = store(table).unwrap_err();
        assert!(told[0].starts_with(what), "{told:?}");
    }
}

#[test]
fn paths_are_placed() {
    let config = resolve(json!({
        "listen": "unix:${run}/g.sock", "app_path": "apps", "policies": "/p.json",
        "tls": { "certificate": "c", "key": "k" },
    }));
    let placed = config.unwrap().placed(
        |text| text.replace("${run}", "/run"),
        std::path::Path::new("/here"),
        std::path::Path::new("/run/me"),
    );
    assert_eq!(placed.listen, [Listen::Unix("/run/g.sock".into())]);
    assert_eq!(placed.app_path.unwrap().to_str(), Some("/here/apps"));
    assert_eq!(placed.policies.unwrap().to_str(), Some("/p.json"));
    assert_eq!(placed.tls.unwrap().key.to_str(), Some("/here/k"));
    assert_eq!(placed.store, StoreConfig::File(Some("/run/me/gateway.redb".into())));
}

#[test]
fn handlers_of_events_that_belong_to_no_api() {
    let handlers = |event: &str| {
        json!({ "event_handlers": { "events": { event: [
            { "handler_name": "cp_dynamic_handler", "handler_meta": { "name": "h" } }] } } })
    };
    for event in ["TokenDeleted", "HostDown", "one-of-a-plugin"] {
        let config = resolve(handlers(event)).unwrap();
        assert_eq!(config.events, [(event.to_owned(), "h".to_owned())]);
    }
    let wrong = resolve(json!({ "event_handlers": { "events": { "X": [{}] } } })).unwrap_err();
    assert_eq!(wrong, ["event_handlers.events.X.0: `handler_name` is required"]);
}

#[test]
fn hooks_in_python() {
    use coproc_core::process::{Context, OF_HELPERS, OomAdjustment};

    use crate::driver::python::PythonConfig;
    let python = |value: Value| resolve(json!({ "python": value }));
    let mut said = json!({ "path": "/h" });
    let bare = python(said.clone()).unwrap().python.unwrap();
    // Workers are helpers: they are killed before the main process when memory runs out.
    let context =
        Context { oom: OomAdjustment::RaisedBy(OF_HELPERS), ..PythonConfig::default().context };
    let expected = PythonConfig { path: Some("/h".into()), context, ..PythonConfig::default() };
    assert_eq!(bare, expected);
    for (key, value) in PYTHON_DEFAULTS {
        said[key] = value.into();
    }
    assert_eq!(python(said).unwrap().python.unwrap(), bare);
    let venv = python(json!({ "path": "/h", "virtualenv": "/v" })).unwrap().python.unwrap();
    assert_eq!(venv.interpreter, "/v/bin/python");
    for (wrong, told) in [
        (json!({ "path": "/h", "workers": 1025 }), "python.workers: is too many"),
        (
            json!({ "path": "/h", "interpreter": "a", "virtualenv": "b" }),
            "python.virtualenv: `interpreter` and `virtualenv` exclude each other",
        ),
        (
            json!({ "path": "/h", "env": { "COPROC_PYTHON_SOCKET": "x" } }),
            "python.env.COPROC_PYTHON_SOCKET: this variable is the gateway's own",
        ),
        (
            json!({ "path": "/h", "env": { "A=B": "x" } }),
            "python.env.A=B: `A=B` cannot be passed on",
        ),
    ] {
        assert_eq!(python(wrong).unwrap_err(), [told]);
    }
}
