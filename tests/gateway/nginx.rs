//! A real nginx before an API: `auth_request` asks the gateway.

use serde_json::json;

use crate::auth::let_in;
use crate::client::Request;
use crate::plugin::{Plugin, overrides, request};
use crate::rig::{Rig, checked, hook, with};
use crate::support::{Place, eventually, skipped};
use crate::upstream::Upstream;

fn plugin() -> Plugin {
    Plugin::start(|mut object| {
        let headers = request(&mut object).headers.clone();
        if object.hook_name == "before" {
            request(&mut object).set_headers.insert("X-User".into(), "me".into());
            if request(&mut object).url == "/api/login?a=1" {
                overrides(&mut object).response_code = 401;
            }
        } else if headers.get("Authorization").is_some_and(|key| key == "good") {
            let_in(&mut object, "good");
        }
        object
    })
}

fn gateway(plugin: &Plugin) -> (Upstream, Rig) {
    let upstream = Upstream::start();
    let api = checked(
        upstream.port,
        json!({ "pre": [hook("before")], "auth_check": hook("auth"),
        "post": [hook("after")] }),
    );
    let keys = format!("grpc = \"{}\"\nauth_request = \"/.coproc/auth\"", plugin.address);
    let rig = Rig::with(&keys, "", &[api]);
    (upstream, rig)
}

#[test]
fn a_subrequest_is_answered_with_what_hooks_say_of_the_request() {
    let plugin = plugin();
    let (upstream, rig) = gateway(&plugin);
    let ask = |uri: &str, key: &str| {
        let request = rig.request("GET", "/.coproc/auth/api1").header("Authorization", key);
        request.header("X-Original-URI", uri).header("X-Original-Method", "PUT").send()
    };
    let answer = ask("/api/x?b=2", "good");
    assert_eq!((answer.status(), answer.header("x-user")), (200, Some("me")));
    let seen = plugin.objects("auth")[0].request.clone().unwrap();
    assert_eq!((seen.url.as_str(), seen.method.as_str()), ("/api/x?b=2", "PUT"));
    assert_eq!(ask("/api/x", "bad").status(), 403);
    assert_eq!(ask("/api/login?a=1", "good").status(), 401);
    assert_eq!(rig.get("/.coproc/auth/other").status(), 404);
    assert_eq!(rig.get("/.coproc/auth/api1").status(), 400);
    assert!(plugin.objects("after").is_empty() && upstream.seen().is_empty());
}

#[test]
fn a_path_that_nginx_would_resolve_is_refused() {
    let plugin = plugin();
    let upstream = Upstream::start();
    let versions = json!({ "version_data": { "not_versioned": true, "versions": { "Default": {
        "name": "Default", "extended_paths": { "ignored": [{ "path": "/open/" }] } } } } });
    let api = with(checked(upstream.port, json!({ "auth_check": hook("auth") })), versions);
    let keys = format!("grpc = \"{}\"\nauth_request = \"/auth\"", plugin.address);
    let rig = Rig::with(&keys, "", &[api]);
    let ask = |uri: &str| rig.request("GET", "/auth/api1").header("X-Original-URI", uri).send();
    assert_eq!(ask("/api/open/x").status(), 200);
    assert_eq!(ask("/api1/open/x").status(), 200);
    for uri in ["/apiopen/x", "/api1open/x", "/api/x"] {
        assert_eq!(ask(uri).status(), 403, "{uri}");
    }
    for uri in ["/api/open/../x", "/api/open/%2e%2e/x", "/api/open/..;/x", "/api/open/..%2Fx"] {
        let answer = ask(uri);
        assert_eq!(
            (answer.status(), answer.header("x-coproc-status")),
            (403, Some("400")),
            "{uri}"
        );
    }
}

#[test]
fn what_a_hook_sets_comes_back_though_the_client_said_the_same() {
    let plugin = plugin();
    let (_upstream, rig) = gateway(&plugin);
    let request = rig.request("GET", "/.coproc/auth/api1").header("Authorization", "good");
    let answer = request.header("X-Original-URI", "/api/x").header("X-User", "me").send();
    assert_eq!((answer.status(), answer.header("x-user")), (200, Some("me")));
}

#[test]
fn nginx_lets_in_whom_the_hooks_let_in() {
    if !std::path::Path::new("/usr/sbin/nginx").exists() {
        return skipped("there is no nginx");
    }
    let plugin = plugin();
    let (upstream, rig) = gateway(&plugin);
    let place = Place::new();
    let server = format!(
        "location / {{ auth_request /auth; auth_request_set $user $upstream_http_x_user; \
         proxy_set_header X-User $user; proxy_pass http://127.0.0.1:{}/; }} \
         location = /auth {{ internal; proxy_pass http://127.0.0.1:{}/.coproc/auth/api1; \
         proxy_pass_request_body off; proxy_set_header Content-Length \"\"; \
         proxy_set_header X-Original-URI $request_uri; \
         proxy_set_header X-Original-Method $request_method; }}",
        upstream.port, rig.port
    );
    let port = place.nginx(1, &server, "");
    let nginx = place.run();
    eventually(&format!("nginx is up\n{}", nginx.dump()), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let ask = |key: &str| Request::new(port, "GET", "/api/x").header("Authorization", key).send();
    assert_eq!(ask("bad").status(), 403);
    assert!(upstream.seen().is_empty());
    let answer = ask("good");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "upstream"));
    assert_eq!(upstream.only().header("x-user"), Some("me"));
}
