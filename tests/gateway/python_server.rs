//! A plugin server in Python over grpcio, as its users write them, that is a coprocess behind the gateway.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::rig::{Rig, checked, hook, with};
use crate::support::{coprocess, eventually};
use crate::upstream::Upstream;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The server's code, made of today's schema, in a folder of its own.
#[allow(clippy::disallowed_methods, reason = "a command that ends by itself")]
fn stubs() -> (tempfile::TempDir, String) {
    let python = format!("{ROOT}/target/python/bin/python");
    assert!(Path::new(&python).exists(), "`make deps` installs what Python plugins need");
    let folder = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
    let to = folder.path().display();
    let made = Command::new(&python)
        .args(["-m", "grpc_tools.protoc", "-I", &format!("{ROOT}/actors/gateway/proto")])
        .args([format!("--python_out={to}"), format!("--grpc_python_out={to}")])
        .arg("coprocess.proto")
        .status();
    assert!(made.unwrap().success());
    (folder, python)
}

#[test]
fn a_server_in_python_is_started_killed_and_started_again() {
    let (folder, python) = stubs();
    let address = format!("unix:{}/socket", folder.path().display());
    let script = format!("{ROOT}/tests/plugins/python/plugin.py");
    let exec = json!([python, script, folder.path(), address]).to_string();
    let rest = "restarts = \"unlimited\"\nbackground = true\nready = { log = \"ready\" }\n\
                exec_event = \"pre-start\"\nstop_event = \"exit\"";
    let upstream = Upstream::start();
    let hooks = json!({ "pre": [hook("SetHeader")], "auth_check": hook("Token"),
        "post": [hook("Params"), hook("Body")], "response": [hook("NewBody")] });
    let failures = json!({ "event_handlers": { "events": { "AuthFailure": [
        { "handler_name": "cp_dynamic_handler", "handler_meta": { "name": "h" } }] } } });
    let api = with(checked(upstream.port, hooks), failures);
    let keys = format!("grpc = \"{address}\"\ngrpc_coprocess = \"plugin\"");
    let rig = Rig::with(&keys, &coprocess("plugin", &exec, rest), &[api]);

    let ask = |key: &str| {
        let request = rig.request("POST", "/api/post?a=1&remove=3").header("Authorization", key);
        request.body("text/plain", "text").send()
    };
    let is_served = || {
        let answer = ask("abc");
        assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), rig.wrapper.dump());
        assert_eq!((answer.text().as_str(), answer.header("X-Python")), ("newbody", Some("yes")));
        let seen = upstream.last();
        assert_eq!(seen.header("Testheader"), Some("testvalue"));
        assert_eq!(seen.target(), "/post?a=1&customparam=customvalue");
        assert_eq!(seen.text(), "TEXT");
    };
    is_served();
    assert_eq!(ask("bad").status(), 403);
    // It hears of that, too.
    rig.wrapper.wait_for(r#"\"Type\":\"AuthFailure\""#);

    let first = rig.wrapper.started("plugin", 1);
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    assert_ne!(rig.wrapper.started("plugin", 2), first);
    eventually("it serves again", || ask("abc").status() == 200);
    is_served();
    rig.coproc(&["restart", "plugin"]);
    eventually("it serves after a restart", || ask("abc").status() == 200);
    is_served();
}
