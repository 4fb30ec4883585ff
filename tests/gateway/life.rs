//! The plugin server as a coprocess: awaited, ended and stopped under load. The error policy, a restart, and
//! nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::rig::{Rig, api, hook};
use crate::support::{coproc, coprocess, eventually};
use crate::upstream::Upstream;

/// A gateway whose plugin server is its coprocess `plugin`.
fn stage(hook: Value) -> (Upstream, Rig, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("p.sock");
    let program = std::path::Path::new(coproc()).with_file_name("examples/plugin");
    assert!(program.exists(), "the plugin is built by `cargo build --examples`");
    let exec = json!([program.to_str().unwrap(), format!("unix:{}", socket.display())]);
    let table = coprocess(
        "plugin",
        &exec.to_string(),
        "restarts = \"unlimited\"\nbackground = true\nready = { log = \"ready\" }\nstop_event = \"exit\"",
    );
    let upstream = Upstream::start();
    let keys = format!(
        "grpc = \"unix:{}\"\ngrpc_coprocess = \"plugin\"\nhook_timeout = \"5s\"",
        socket.display()
    );
    let rig = Rig::with(&keys, &table, &[api(upstream.port, json!({ "pre": [hook] }))]);
    (upstream, rig, folder)
}

/// The statuses that clients get while something happens.
fn under_load(rig: &Rig, happens: impl FnOnce()) -> BTreeSet<Option<u16>> {
    let over = AtomicBool::new(false);
    let ask = rig.request("GET", "/api/");
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut statuses = BTreeSet::new();
                    while !over.load(Ordering::SeqCst) {
                        statuses.insert(ask.try_send().map(|answer| answer.status()));
                    }
                    statuses
                })
            })
            .collect();
        happens();
        over.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn who_comes_before_the_plugin_is_ready_waits_for_it() {
    let (upstream, rig, _folder) = stage(hook("SetHeader"));
    assert_eq!(rig.get("/api/").status(), 200);
    assert_eq!(upstream.only().header("Testheader"), Some("testvalue"));
}

#[test]
fn complaint_10_a_plugin_that_is_killed_under_load_is_started_again_and_nothing_passes_unasked() {
    let (upstream, rig, _folder) = stage(hook("SetHeader"));
    assert_eq!(rig.get("/api/").status(), 200);
    let first = rig.wrapper.started("plugin", 1);
    let statuses = under_load(&rig, || {
        kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
        assert_ne!(rig.wrapper.started("plugin", 2), first);
        eventually("it serves again", || rig.get("/api/").status() == 200);
    });
    let policy = BTreeSet::from([Some(200), Some(500)]);
    assert!(statuses.is_subset(&policy), "{statuses:?}\n{}", rig.wrapper.dump());
    let seen = upstream.seen();
    assert!(seen.iter().all(|request| request.header("Testheader") == Some("testvalue")));
}

#[test]
fn a_plugin_that_is_stopped_under_load_is_late_and_goes_on_afterwards() {
    let late = json!({ "name": "SetHeader", "timeout": "200ms",
        "on_error": { "mode": "closed", "status": 504 } });
    let (upstream, rig, _folder) = stage(late);
    assert_eq!(rig.get("/api/").status(), 200);
    let pid = Pid::from_raw(rig.wrapper.started("plugin", 1));
    let statuses = under_load(&rig, || {
        kill(pid, Signal::SIGSTOP).unwrap();
        eventually("it is late", || rig.get("/api/").status() == 504);
        kill(pid, Signal::SIGCONT).unwrap();
        eventually("it serves again", || rig.get("/api/").status() == 200);
    });
    let policy = BTreeSet::from([Some(200), Some(504)]);
    assert!(statuses.is_subset(&policy), "{statuses:?}\n{}", rig.wrapper.dump());
    let seen = upstream.seen();
    assert!(seen.iter().all(|request| request.header("Testheader") == Some("testvalue")));
    assert_eq!(rig.wrapper.count("plugin: started "), 1);
}

#[test]
fn a_plugin_that_stays_away_lets_pass_only_where_it_is_open() {
    let open = json!({ "name": "SetHeader", "timeout": "1s", "on_error": { "mode": "open" } });
    let (upstream, rig, _folder) = stage(open);
    assert_eq!(rig.get("/api/").status(), 200);
    rig.coproc(&["stop", "plugin"]);
    eventually("it passes without the hook", || {
        assert_eq!(rig.get("/api/").status(), 200);
        upstream.last().header("Testheader").is_none()
    });
}
