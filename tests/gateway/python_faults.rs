//! Workers that die, hooks that do not end, and files that change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::python::{Stage, interpreters};
use crate::rig::{api, hook};
use crate::support::eventually;

const HOOKS: &str = "
import os
import time

@Hook
def Stamp(request, session, spec):
    request.add_header('Pid', str(os.getpid()))
    return request, session

@Hook
def Sleep(request, session, spec):
    time.sleep(float(request.get_header('Seconds')))
    return request, session

@Hook
def Spin(request, session, spec):
    while True:
        pass

RUNS = 0

@Hook
def Count(request, session, spec):
    global RUNS
    RUNS += 1
    request.add_header('Runs', str(RUNS))
    time.sleep(float(request.get_header('Seconds')))
    return request, session

@Hook
def Fork(request, session, spec):
    request.add_header('Pid', str(os.getpid()))
    os.fork()
    return request, session

@Hook
def Grow(request, session, spec):
    request.object.raw_body = b'x' * int(request.get_header('Bytes'))
    return request, session

@Hook
def Die(request, session, spec):
    os._exit(3)
";

/// How many ask at once while workers are killed.
const CLIENTS: usize = 4;

/// An API with one hook that runs first.
fn pre(name: &'static str) -> impl FnOnce(u16) -> Value {
    move |port| api(port, json!({ "pre": [hook(name)] }))
}

/// The pids of the workers that run.
fn pids(stage: &Stage) -> Vec<i32> {
    let status: Value =
        serde_json::from_str(&stage.rig.coproc(&["status", "--format", "json"])).unwrap();
    let all = status["coprocesses"].as_array().unwrap();
    all.iter().filter_map(|one| Some(one["pid"].as_i64()? as i32)).collect()
}

fn kill(pid: i32, signal: rustix::process::Signal) {
    // It may be gone already.
    let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal);
}

#[test]
#[allow(clippy::print_stdout, reason = "a longer run is made for its figures")]
fn killed_workers_cost_the_calls_that_they_have_and_nothing_else() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, HOOKS, "", pre("Stamp"));
    assert_eq!(stage.rig.get("/api/get").status(), 200, "{}", stage.rig.wrapper.dump());
    // A longer run kills one each second.
    let (kills, pause) = match std::env::var("COPROC_KILLS") {
        Ok(kills) => (kills.parse().unwrap(), Duration::from_secs(1)),
        Err(_) => (6, Duration::from_millis(500)),
    };
    let (over, good, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answer = stage.rig.get("/api/get");
                    match answer.status() {
                        200 if answer.text() == "upstream" => good.fetch_add(1, Ordering::Relaxed),
                        500 if answer.text().contains("Middleware error") => {
                            failed.fetch_add(1, Ordering::Relaxed)
                        }
                        status => panic!("{status}: {}", answer.text()),
                    };
                }
            });
        }
        for round in 0..kills {
            thread::sleep(pause);
            let pids = pids(&stage);
            if let Some(pid) = pids.get(round % pids.len().max(1)) {
                kill(*pid, rustix::process::Signal::KILL);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let (good, failed) = (good.into_inner(), failed.into_inner());
    println!("{kills} workers were killed, {good} requests were answered, {failed} failed");
    assert!(failed <= kills * CLIENTS, "each kill costs what its worker had: {failed} failed");
    assert!(good > kills, "{good} were answered");
    eventually("both workers are back", || pids(&stage).len() == 2);
}

#[test]
fn a_hook_that_ends_its_worker_fails_and_others_are_answered() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, HOOKS, "", pre("Die"));
    assert_eq!(stage.rig.get("/api/get").status(), 500);
    eventually("it is told", || stage.logged("its worker has ended") > 0);
}

#[test]
fn an_answer_that_is_too_large_is_that_hooks_failure_alone() {
    let [interpreter, _] = interpreters();
    let tables = "workers = 1\nmax_message = \"64KiB\"";
    let stage = Stage::start(&interpreter, HOOKS, tables, pre("Grow"));
    let get = |bytes| stage.rig.request("GET", "/api/get").header("Bytes", bytes).send().status();
    assert_eq!(get("60000"), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(get("70000"), 500);
    eventually("it is told", || stage.logged("are allowed") == 1);
    assert_eq!(get("60000"), 200);
    assert_eq!(stage.logged("gateway-python-1 is up"), 1, "it is the same worker");
}

#[test]
fn a_hook_that_blocks_blocks_one_thread() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, HOOKS, "workers = 1\nthreads = 2", |port| {
        api(port, json!({ "pre": [hook("Sleep")] }))
    });
    assert_eq!(stage.rig.request("GET", "/api/get").header("Seconds", "0").send().status(), 200);
    let quick = AtomicUsize::new(0);
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let request = stage.rig.request("GET", "/api/get").header("Seconds", "3");
            (request.send().status(), quick.load(Ordering::SeqCst))
        });
        thread::sleep(Duration::from_millis(200));
        for _ in 0..10 {
            let request = stage.rig.request("GET", "/api/get").header("Seconds", "0");
            assert_eq!(request.send().status(), 200);
            quick.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!(slow.join().unwrap(), (200, 10), "the others were answered meanwhile");
    });
}

#[test]
fn a_missed_deadline_kills_the_worker() {
    for (name, stuck) in [("Sleep", "60"), ("Spin", "")] {
        let [interpreter, _] = interpreters();
        let tables = format!("interpreter = \"{interpreter}\"\nworkers = 1\nthreads = 1");
        let stage = Stage::with("hook_timeout = \"500ms\"", &tables, HOOKS, pre(name));
        eventually("the worker runs", || stage.logged("gateway-python-1 is up") == 1);
        let before = pids(&stage);
        let request = stage.rig.request("GET", "/api/get").header("Seconds", stuck);
        assert_eq!(request.send().status(), 500);
        eventually("another worker is there", || stage.logged("gateway-python-1 is up") == 2);
        assert_ne!(pids(&stage), before);
        assert!(stage.logged("is killed: a hook missed its deadline") > 0);
    }
}

#[test]
fn a_call_that_waits_its_turn_too_long_kills_nobody() {
    let [interpreter, _] = interpreters();
    let tables = format!("interpreter = \"{interpreter}\"\nworkers = 1\nthreads = 1");
    // The first of the two hooks is the one that takes its time.
    let apis = |port| {
        let slow = json!({ "name": "Sleep", "timeout": "30s" });
        let quick = json!({ "name": "Stamp", "timeout": "500ms" });
        api(port, json!({ "pre": [quick, slow] }))
    };
    let stage = Stage::with("", &tables, HOOKS, apis);
    eventually("the worker runs", || stage.logged("gateway-python-1 is up") == 1);
    thread::scope(|scope| {
        let get = |seconds| stage.rig.request("GET", "/api/get").header("Seconds", seconds).send();
        let first = scope.spawn(move || get("3").status());
        thread::sleep(Duration::from_millis(500));
        assert_eq!(get("0").status(), 500, "it was not begun in time");
        assert_eq!(first.join().unwrap(), 200);
    });
    assert_eq!(stage.logged("is killed"), 0);
    let request = stage.rig.request("GET", "/api/get").header("Seconds", "0");
    assert_eq!(request.send().status(), 200);
}

#[test]
fn calls_that_were_begun_late_kill_nobody_and_those_given_up_are_not_run() {
    let [interpreter, _] = interpreters();
    let tables = format!("interpreter = \"{interpreter}\"\nworkers = 1\nthreads = 1");
    let stage = Stage::with("hook_timeout = \"1500ms\"", &tables, HOOKS, pre("Count"));
    eventually("the worker runs", || stage.logged("gateway-python-1 is up") == 1);
    let get = |seconds| stage.rig.request("GET", "/api/get").header("Seconds", seconds).send();
    thread::scope(|scope| {
        let first = scope.spawn(move || get("1").status());
        thread::sleep(Duration::from_millis(200));
        let others: Vec<_> = (0..3).map(|_| scope.spawn(move || get("1").status())).collect();
        assert_eq!(first.join().unwrap(), 200);
        for other in others {
            // One of them was begun, and did not end in time.
            assert_eq!(other.join().unwrap(), 500);
        }
    });
    assert_eq!(get("0").status(), 200, "{}", stage.rig.wrapper.dump());
    assert_eq!(stage.logged("is killed"), 0);
    let runs: u32 = stage.upstream.last().header("runs").unwrap().parse().unwrap();
    assert!(runs < 5, "nobody waited for the last of them any more, and {runs} were run");
}

#[test]
fn more_calls_than_a_worker_can_do_leave_it_doing_what_it_can() {
    let [interpreter, _] = interpreters();
    let tables = format!("interpreter = \"{interpreter}\"\nworkers = 1\nthreads = 2");
    let stage = Stage::with("hook_timeout = \"1s\"", &tables, HOOKS, pre("Sleep"));
    eventually("the worker runs", || stage.logged("gateway-python-1 is up") == 1);
    let (begun, good) = (Instant::now(), AtomicUsize::new(0));
    let end = Duration::from_secs(5);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while begun.elapsed() < end {
                    let asked = stage.rig.request("GET", "/api/get").header("Seconds", "0.25");
                    let status = asked.send().status();
                    // By then as many calls wait as ever will, and each has waited as long as it may.
                    if status == 200 && begun.elapsed() > Duration::from_secs(2) {
                        good.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let good = good.into_inner();
    assert!(
        good >= 8,
        "{good} of two dozen that could be answered were\n{}",
        stage.rig.wrapper.dump()
    );
    assert_eq!(stage.logged("is killed"), 0);
}

#[test]
fn a_copy_of_a_worker_that_a_hook_makes_takes_no_calls() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, HOOKS, "workers = 1", pre("Fork"));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        assert_eq!(stage.rig.get("/api/get").status(), 200, "{}", stage.rig.wrapper.dump());
        seen.insert(stage.upstream.last().header("pid").unwrap().to_owned());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn a_hook_that_nobody_waits_for_is_watched() {
    let [interpreter, _] = interpreters();
    let tables = format!("interpreter = \"{interpreter}\"\nworkers = 1\nthreads = 1");
    let stage = Stage::with("hook_timeout = \"1s\"", &tables, HOOKS, pre("Spin"));
    eventually("the worker runs", || stage.logged("gateway-python-1 is up") == 1);
    let mut client = std::net::TcpStream::connect(("127.0.0.1", stage.rig.port)).unwrap();
    std::io::Write::write_all(&mut client, b"GET /api/get HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(300));
    drop(client);
    eventually("another worker is there", || stage.logged("gateway-python-1 is up") == 2);
}

#[test]
fn a_file_that_is_wrong_is_told_and_takes_no_other_down() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, HOOKS, "workers = 1", pre("Stamp"));
    std::fs::write(stage.hooks.path().join("broken.py"), "x = 1\ndef (\n").unwrap();
    eventually("it is told", || stage.logged("broken.py:2: SyntaxError") > 0);
    assert_eq!(stage.rig.get("/api/get").status(), 200);
}

#[test]
fn a_file_that_never_ends_is_mended_by_its_change() {
    let [interpreter, _] = interpreters();
    let stage =
        Stage::start(&interpreter, HOOKS, "workers = 1\nstart_timeout = \"1s\"", pre("Stamp"));
    eventually("the worker runs", || stage.logged("gateway-python-1 is up") == 1);
    let endless = stage.hooks.path().join("endless.py");
    std::fs::write(&endless, "import time\ntime.sleep(3600)\n").unwrap();
    eventually("its successor does not come", || stage.logged("did not come back") == 1);
    std::fs::remove_file(endless).unwrap();
    eventually("another one has come", || stage.logged("gateway-python-1 is up") == 2);
    assert_eq!(stage.rig.get("/api/get").status(), 200, "{}", stage.rig.wrapper.dump());
}

#[test]
fn a_changed_file_is_taken_up_without_a_failure() {
    for interpreter in interpreters() {
        let text = "
import helper

@Hook
def Stamp(request, session, spec):
    request.add_header('Generation', helper.NAME)
    return request, session
";
        let stage = Stage::start(&interpreter, text, "", pre("Stamp"));
        let helper = stage.hooks.path().join("helper.py");
        std::fs::write(&helper, "NAME = 'first'\n").unwrap();
        let generation = || {
            let answer = stage.rig.get("/api/get");
            (answer.status() == 200)
                .then(|| stage.upstream.last().header("generation").map(str::to_owned))
                .flatten()
        };
        eventually("the helper is there", || generation().as_deref() == Some("first"));
        // Both workers are of that generation when they have come back.
        thread::sleep(Duration::from_millis(300));
        eventually("both have it", || (0..8).all(|_| generation().as_deref() == Some("first")));
        std::fs::write(&helper, "NAME = 'second'\n").unwrap();
        let begun = Instant::now();
        let mut seen = 0;
        while seen < 20 {
            let generation = generation();
            assert!(generation.is_some(), "a request failed\n{}", stage.rig.wrapper.dump());
            seen += usize::from(generation.as_deref() == Some("second"));
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", stage.rig.wrapper.dump());
        }
    }
}

#[test]
fn a_reload_has_workers_make_way_without_a_failure() {
    let [interpreter, _] = interpreters();
    let stage = Stage::start(&interpreter, HOOKS, "", pre("Stamp"));
    eventually("both run", || {
        stage.logged("gateway-python-1 is up") == 1 && stage.logged("gateway-python-2 is up") == 1
    });
    let before = pids(&stage);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answer = stage.rig.get("/api/get");
                    assert_eq!(answer.status(), 200, "{}", stage.rig.wrapper.dump());
                }
            });
        }
        stage.rig.coproc(&["reload"]);
        eventually("both are new", || {
            stage.logged("gateway-python-1 is up") == 2
                && stage.logged("gateway-python-2 is up") == 2
        });
        over.store(true, Ordering::Relaxed);
    });
    assert!(pids(&stage).iter().all(|pid| !before.contains(pid)));
}

#[test]
fn a_stop_leaves_no_worker_and_no_socket() {
    let [interpreter, _] = interpreters();
    let mut stage = Stage::start(&interpreter, HOOKS, "", pre("Stamp"));
    assert_eq!(stage.rig.get("/api/get").status(), 200);
    let pids = pids(&stage);
    assert_eq!(stage.rig.wrapper.stop(), 0, "{}", stage.rig.wrapper.dump());
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    assert!(!stage.rig.place.path().join("run/gateway-python.sock").exists());
}
