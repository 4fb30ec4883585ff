//! What requests come to, and what is refused.

use super::*;
use crate::given::Route;
use crate::request::{Health, KeysOrder, Order, Request, Until};
use crate::role::Role;
use coproc_core::signal::Signal;

fn ask_at(openly: bool, method: &str, path: &str, body: &str) -> Result<Route, u16> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (entry, word) = find(openly, method, path).map_err(|denied| denied.refused.status)?;
    let given = Given { word, method, query: Query(query), body: body.as_bytes() };
    (entry.read)(&given).map_err(|refused| refused.status)
}

fn ask(method: &str, path: &str, body: &str) -> Result<Route, u16> {
    ask_at(false, method, path, body)
}

fn role(method: &str, path: &str) -> Role {
    find(false, method, path).map(|(entry, _)| entry.role).unwrap()
}

#[test]
fn who_may_ask_for_what() {
    for path in ["/livez", "/metrics", "/v1/status", "/v1/why", "/v1/events", "/v1/logs"] {
        assert_eq!(role("GET", path), Role::Read, "{path}");
    }
    for action in ["start", "stop", "restart", "set", "signal", "background", "foreground"] {
        let path = format!("/v1/coprocesses/agent/{action}");
        assert_eq!(role("POST", &path), Role::Operate, "{path}");
    }
    assert_eq!(role("POST", "/v1/reload"), Role::Operate);
    assert_eq!(role("POST", "/v1/emit"), Role::Operate);
    // What ends the main process ends all.
    assert_eq!(role("POST", "/v1/coprocesses/main/signal"), Role::Admin);
    assert_eq!(role("POST", "/v1/coprocesses/%6dain/signal"), Role::Admin);
    assert_eq!(role("GET", "/v1/keys"), Role::Admin);
    assert_eq!(role("DELETE", "/v1/keys/a"), Role::Admin);
}

#[test]
fn what_a_path_takes_is_said() {
    let denied = find(false, "DELETE", "/v1/keys").err().unwrap();
    assert_eq!(denied.header, Some(("allow", "GET, POST".to_owned())));
    let denied = find(true, "POST", "/metrics").err().unwrap();
    assert_eq!(denied.refused.why, "`/metrics` takes GET only");
}

#[test]
fn a_port_tells_health_and_metrics_and_nothing_else() {
    let port = |method, path| ask_at(true, method, path, "");
    for method in ["GET", "HEAD"] {
        assert_eq!(port(method, "/livez"), Ok(Route::Health(Health::Alive)));
        assert_eq!(port(method, "/readyz"), Ok(Route::Health(Health::Ready)));
        assert_eq!(port(method, "/metrics"), Ok(Route::Metrics));
        for path in ["/", "/v1", "/v1/status", "/v1/events", "/v1/logs", "/v1/logs?follow=1"] {
            assert_eq!(port(method, path), Err(404), "{path}");
        }
    }
    for path in ["/v1/reload", "/v1/emit", "/v1/coprocesses/a/stop", "/v1/status"] {
        assert_eq!(port("POST", path), Err(404), "{path}");
    }
    assert_eq!(port("POST", "/metrics"), Err(405));
}

#[test]
fn what_clients_can_ask() {
    let coprocess = |request| Ok(Route::Ask(request));
    assert_eq!(ask("GET", "/livez", ""), Ok(Route::Health(Health::Alive)));
    assert_eq!(ask("GET", "/readyz?verbose", ""), Ok(Route::Health(Health::Ready)));
    assert_eq!(ask("GET", "/metrics", ""), Ok(Route::Metrics));
    assert_eq!(ask("HEAD", "/livez", ""), Ok(Route::Health(Health::Alive)));
    assert_eq!(ask("GET", "/v1/status", ""), coprocess(Request::Status(None)));
    assert_eq!(ask("GET", "/v1/plan", ""), coprocess(Request::Plan));
    let reconfigure = |apply| coprocess(Request::Reconfigure { apply });
    assert_eq!(ask("GET", "/v1/reconfigure/plan", ""), reconfigure(false));
    assert_eq!(ask("POST", "/v1/reconfigure", ""), reconfigure(true));
    assert_eq!(ask("GET", "/v1/why", ""), coprocess(Request::Why(None)));
    assert_eq!(ask("GET", "/v1/why?name=a%20b", ""), coprocess(Request::Why(Some("a b".into()))));
    assert_eq!(
        ask("POST", "/v1/coprocesses/my%20agent/stop", ""),
        coprocess(Request::Order("my agent".into(), Order::Stop))
    );
    assert_eq!(
        ask("POST", "/v1/coprocesses/a/signal", r#"{"signal": 15}"#),
        coprocess(Request::Signal("a".into(), Signal::TERM))
    );
    assert_eq!(
        ask("POST", "/v1/coprocesses/a/set", r#"{"restarts": 3, "background": "true"}"#),
        coprocess(Request::Set(
            "a".into(),
            vec![("restarts".into(), "3".into()), ("background".into(), "true".into())]
        ))
    );
    assert_eq!(ask("POST", "/v1/emit", r#"{"name": "x"}"#), coprocess(Request::Emit("x".into())));
    assert_eq!(
        ask("GET", "/v1/coprocesses/main/wait", ""),
        coprocess(Request::Wait("main".into(), Until::Ready))
    );
    assert_eq!(
        ask("GET", "/v1/coprocesses/a/wait?for=exited", ""),
        coprocess(Request::Wait("a".into(), Until::Exited))
    );
    assert_eq!(
        ask("GET", "/v1/events?since=7&follow=1", ""),
        Ok(Route::Events { since: Some(7), follow: true })
    );
    assert_eq!(
        ask("GET", "/v1/logs?n=5&name=a%2Db", ""),
        Ok(Route::Logs { name: Some("a-b".into()), count: 5, follow: false })
    );
}

#[test]
fn keys_are_asked_for_on_the_socket_alone() {
    let keys = |method: &str, id: Option<&str>, body: &str, (go_on, hashed)| {
        Ok(Route::Ask(Request::Keys(KeysOrder {
            method: method.to_owned(),
            id: id.map(str::to_owned),
            hashed,
            body: body.into(),
            go_on,
        })))
    };
    assert_eq!(ask("GET", "/v1/keys", ""), keys("GET", None, "", (false, false)));
    let path = "/v1/keys/a%2Fb%3D?suppress_reset=1";
    assert_eq!(ask("POST", path, "{}"), keys("POST", Some("a/b="), "{}", (true, false)));
    let path = "/v1/keys/0a1b?hashed=true";
    assert_eq!(ask("DELETE", path, ""), keys("DELETE", Some("0a1b"), "", (false, true)));
    assert_eq!(ask("DELETE", "/v1/keys/a/b", ""), Err(404));
    assert_eq!(ask_at(true, "GET", "/v1/keys", ""), Err(404));
}

#[test]
fn what_is_refused() {
    assert_eq!(ask("GET", "/", ""), Err(404));
    assert_eq!(ask("POST", "/v1/status", ""), Err(405));
    assert_eq!(ask("POST", "/readyz", ""), Err(405));
    assert_eq!(ask("HEAD", "/v1/events?follow=1", ""), Err(405));
    assert_eq!(ask("GET", "/v1/reload", ""), Err(405));
    assert_eq!(ask("GET", "/v1/reconfigure", ""), Err(405));
    assert_eq!(ask("POST", "/v1/reconfigure/plan", ""), Err(405));
    assert_eq!(ask("GET", "/v1/emit", ""), Err(405));
    assert_eq!(ask("GET", "/v1/coprocesses/a/set", ""), Err(405));
    assert_eq!(ask("POST", "/v1/coprocesses/a/dance", ""), Err(404));
    assert_eq!(ask("POST", "/v1/coprocesses/a/signal", "{}"), Err(400));
    assert_eq!(ask("POST", "/v1/coprocesses/a/signal", r#"{"signal":"NO"}"#), Err(400));
    assert_eq!(ask("POST", "/v1/emit", "nonsense"), Err(400));
    assert_eq!(ask("GET", "/v1/events?since=x", ""), Err(400));
    assert_eq!(ask("GET", "/v1/events?follow=perhaps", ""), Err(400));
    assert_eq!(ask("GET", "/v1/coprocesses/a/wait?for=dinner", ""), Err(400));
    for path in ["/v1/%zz", "/v1/%+f", "/v1/%f", "/v1/%ff"] {
        assert_eq!(ask("GET", path, ""), Err(400), "{path}");
    }
}
