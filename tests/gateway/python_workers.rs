//! Workers themselves: whatever Python runs them, as whom, and what one of them costs that is stuck.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::json;

use crate::client::Message;
use crate::python::{Stage, interpreters};
use crate::rig::{api, hook};
use crate::support::{Wrapper, eventually, is_root, skipped};

const HOOKS: &str = "
import json, os, sys

@Hook
def Who(request, session, spec):
    if request.get_header('Spin'):
        while True:
            pass
    overrides = request.object.return_overrides
    overrides.response_code = 200
    overrides.response_body = '%d.%d as %d' % (sys.version_info[:2] + (os.getuid(),))
    return request, session
";

/// Debian's nobody.
const NOBODY: u32 = 65534;

/// Any interpreter of this machine, by its version: what is on PATH, and what pyenv has.
fn installed() -> Vec<(u32, String)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let home = std::env::var_os("HOME").unwrap_or_default();
    let versions = PathBuf::from(home).join(".pyenv/versions");
    for entry in std::fs::read_dir(versions).into_iter().flatten().flatten() {
        folders.insert(0, entry.path().join("bin"));
    }
    let find = |minor: u32| {
        let mut files = folders.iter().map(|folder| folder.join(format!("python3.{minor}")));
        // Shims only say that there is no such version.
        let file = files.find(|file| file.is_file() && !file.to_string_lossy().contains("/shims/"));
        file.map(|file| (minor, file.display().to_string()))
    };
    (6..20).filter_map(find).collect()
}

fn who(stage: &Stage) -> Message {
    stage.rig.get("/api/get")
}

/// Waits until two workers have come up so often in all.
fn both_are_up(stage: &Stage, times: usize) {
    let up = |number| stage.logged(&format!("gateway-python-{number} is up"));
    eventually("both are up", || up(1) + up(2) == times && up(1) > 0 && up(2) > 0);
}

#[test]
fn any_python_from_3_8_on_will_do() {
    let found = installed();
    assert!(!found.is_empty(), "there is a Python at least");
    let mut tried = 0;
    for (minor, interpreter) in &found {
        let start = |wait: bool| {
            let tables = format!("interpreter = \"{interpreter}\"\nworkers = 1");
            let stage =
                Stage::with("", &tables, HOOKS, |port| api(port, json!({ "pre": [hook("Who")] })));
            if wait {
                eventually("the worker is up", || stage.logged("gateway-python-1 is up") == 1);
            }
            stage
        };
        if *minor < 8 {
            let stage = start(false);
            let said = format!("hooks need Python 3.8 or later, and this is 3.{minor}.");
            eventually(&said, || stage.logged(&said) > 0);
            continue;
        }
        let stage = start(true);
        let answer = who(&stage);
        let own = rustix::process::getuid().as_raw();
        assert_eq!(answer.text(), format!("3.{minor} as {own}"), "{}", stage.rig.wrapper.dump());
        tried += 1;
    }
    assert!(tried > 0, "one of them is new enough");
}

#[test]
fn what_is_wrong_with_protobuf_is_told_once() {
    let [interpreter, _] = interpreters();
    let folder = tempfile::tempdir().unwrap();
    let package = |name: &str, text: &str| {
        let path = folder.path().join(name).join("google");
        std::fs::create_dir_all(path.join("protobuf")).unwrap();
        std::fs::write(path.join("__init__.py"), "").unwrap();
        std::fs::write(path.join("protobuf/__init__.py"), text).unwrap();
        path
    };
    std::fs::remove_dir_all(package("none", "").join("protobuf")).unwrap();
    package("broken", "raise TypeError('as asked')");
    let cases = [
        ("none", "there is no package `protobuf`, so messages are made in plain Python"),
        ("broken", "the package `protobuf` cannot be used: TypeError: as asked, so messages"),
    ];
    for (name, said) in cases {
        let path = folder.path().join(name);
        let tables = format!("workers = 2\nenv = {{ PYTHONPATH = \"{}\" }}", path.display());
        let stage = Stage::start(&interpreter, HOOKS, &tables, |port| {
            api(port, json!({ "pre": [hook("Who")] }))
        });
        both_are_up(&stage, 2);
        assert_eq!(stage.logged(said), 1, "{}", stage.rig.wrapper.dump());
        assert_eq!(who(&stage).status(), 200);
    }
    let stage =
        Stage::start(&interpreter, HOOKS, "", |port| api(port, json!({ "pre": [hook("Who")] })));
    both_are_up(&stage, 2);
    assert_eq!(stage.logged("plain Python"), 0);
}

#[test]
fn workers_are_somebody_else_with_nothing_but_their_socket() {
    if !is_root() {
        skipped("only root may switch users");
        return;
    }
    let tables = "interpreter = \"/usr/bin/python3\"\nuser = \"nobody\"\nworkers = 1";
    let mut stage =
        Stage::with("", tables, HOOKS, |port| api(port, json!({ "pre": [hook("Who")] })));
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(stage.hooks.path(), readable).unwrap();
    std::fs::set_permissions(
        stage.hooks.path().join("middleware.py"),
        PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    // Once more, with a mask that takes everything from others.
    assert_eq!(stage.rig.wrapper.stop(), 0, "{}", stage.rig.wrapper.dump());
    let masked = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    stage.rig.wrapper = Wrapper::start(stage.rig.place.command_below(&masked, &["run"]));
    stage.rig.wait_until_up();
    let answer = who(&stage).text();
    assert!(answer.ends_with(&format!(" as {NOBODY}")), "{answer}\n{}", stage.rig.wrapper.dump());
    let socket = stage.rig.place.path().join("run/gateway-python.sock").metadata().unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (NOBODY, 0o600));
    let program = stage.rig.place.path().join("run/gateway-python/worker.py").metadata().unwrap();
    assert_eq!((program.uid(), program.mode() & 0o777), (0, 0o644));
}

#[test]
fn a_worker_that_is_stuck_costs_its_own_call_alone() {
    let [interpreter, _] = interpreters();
    let tables = format!("interpreter = \"{interpreter}\"\nworkers = 2\nthreads = 1");
    let stage = Stage::with("hook_timeout = \"2s\"", &tables, HOOKS, |port| {
        api(port, json!({ "pre": [hook("Who")] }))
    });
    both_are_up(&stage, 2);
    std::thread::scope(|scope| {
        let stuck =
            scope.spawn(|| stage.rig.request("GET", "/api/get").header("Spin", "yes").send());
        while !stuck.is_finished() {
            let answer = who(&stage);
            assert_eq!(answer.status(), 200, "{}\n{}", answer.text(), stage.rig.wrapper.dump());
        }
        assert_eq!(stuck.join().unwrap().status(), 500);
    });
    both_are_up(&stage, 3);
    assert_eq!(stage.logged("is killed: a hook missed its deadline"), 1);
}

#[test]
fn a_worker_that_does_not_come_up_is_told() {
    let [interpreter, _] = interpreters();
    for file in ["import time\ntime.sleep(3600)\n", "import os\nos._exit(0)\n"] {
        let stage = Stage::start(&interpreter, file, "start_timeout = \"1s\"", |port| {
            api(port, json!({ "pre": [hook("Nobody")] }))
        });
        eventually("both are told", || stage.logged("has not come up for 1s") == 2);
        assert_eq!(stage.rig.get("/api/get").status(), 500);
        // It is not said again and again.
        assert_eq!(stage.logged("has not come up for 1s"), 2);
    }
}
