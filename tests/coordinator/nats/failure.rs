//! Coordinators and servers that die, come back, or come late: what was taken is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::{NONE, Server, request, wait_until_shared};
use crate::rig::{Answer, Hook, Provider, Rig, failed, ok};
use crate::support::{eventually, free_port};

/// How often each id was answered.
fn answers(hook: &Hook) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for posted in hook.posts.all() {
        *seen.entry(posted.body["id"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    seen
}

/// Asks many times while `disturb` runs; then each request that was taken has one answer, within its
/// time, and no provider got one twice.
fn under_load(from: &Arc<Rig>, providers: &[&Provider], disturb: impl FnOnce()) -> (usize, usize) {
    const ASKING: usize = 8;
    const EACH: usize = 40;
    let hook = Arc::new(Hook::start());
    let asking: Vec<_> = (0..ASKING)
        .map(|worker| {
            let (from, hook) = (from.clone(), hook.clone());
            thread::spawn(move || {
                let mut taken = Vec::new();
                for number in 0..EACH {
                    let id = format!("l{worker}.{number}");
                    let ack = from.post(&request(&id, "foo", &hook.url("/")));
                    if ack["error"] == "" {
                        taken.push((id, Instant::now()));
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                taken
            })
        })
        .collect();
    // Some are on their way.
    hook.posts.nth(10);
    disturb();
    let taken: Vec<_> = asking.into_iter().flat_map(|one| one.join().unwrap()).collect();
    eventually("each that was taken is answered", || answers(&hook).len() >= taken.len());
    let posts = hook.posts.all();
    let seen = answers(&hook);
    for (id, at) in &taken {
        assert_eq!(seen.get(id), Some(&1), "{id}");
        let answer = posts.iter().find(|posted| posted.body["id"] == **id).unwrap();
        let late = answer.at.saturating_duration_since(*at);
        assert!(late < Duration::from_secs(20), "{id} was answered after {late:?}");
    }
    assert_eq!(seen.len(), taken.len(), "what was refused is answered as well");
    let mut ran = BTreeMap::new();
    for request in providers.iter().flat_map(|provider| provider.requests.all()) {
        *ran.entry(request["args"]["k"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    ran.remove("");
    assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    let failed = posts.iter().filter(|posted| posted.body["error"] != "").count();
    (taken.len(), failed)
}

#[test]
fn a_coordinator_that_dies_loses_nothing_silently() {
    let server = Server::start(&[]);
    let keys = [("nats__ack_timeout", "1s")];
    let (a, b, c) = (Arc::new(server.rig(&keys)), server.rig(&keys), server.rig(&keys));
    let near = b.provider("foo", "1-b.sock", Answer::Result(json!("b")));
    // This one takes and never answers.
    let dying = c.provider("foo", "1-c.sock", Answer::Ack);
    wait_until_shared(&a, "foo");
    let idle = || dying.requests.all().is_empty();
    if idle() {
        let mut number = 0;
        let hook = Hook::start();
        eventually("both are asked", || {
            number += 1;
            a.post(&request(&format!("w{number}"), "foo", &hook.url("/")));
            !idle()
        });
    }
    let (taken, failed) = under_load(&a, &[&near, &dying], || {
        let before = dying.requests.all().len();
        dying.requests.nth(before + 3);
        c.wrapper.signal(Signal::SIGKILL);
    });
    // Those that were with the dead one, at least.
    assert!(failed >= 3 && taken > failed, "{failed} of {taken}");
}

#[test]
fn a_server_that_dies_loses_nothing_silently_and_comes_back() {
    let mut server = Server::start(&[]);
    let keys = [("nats__ack_timeout", "1s")];
    let (a, b) = (Arc::new(server.rig(&keys)), server.rig(&keys));
    let f = b.provider("foo", "1-b.sock", Answer::Result(json!("b")));
    wait_until_shared(&a, "foo");
    under_load(&a, &[&f], || server.kill());
    let hook = Hook::start();
    assert_eq!(a.post(&request("away", "foo", &hook.url("/"))), failed("away", NONE));
    server.begin();
    wait_until_shared(&a, "foo");
    // What was refused in between never runs.
    assert!(f.requests.all().iter().all(|request| request["args"]["k"] != "away"));
}

#[test]
fn what_came_from_another_is_finished_before_the_end() {
    let server = Server::start(&[]);
    let (a, mut b) = (server.rig(&[]), server.rig(&[]));
    let f = b.provider("foo", "1-b.sock", Answer::Ack);
    wait_until_shared(&a, "foo");
    for request in f.requests.all() {
        b.respond(&json!({ "id": request["id"], "result": 0 }));
    }
    let before = f.requests.all().len();
    let hook = Hook::start();
    assert_eq!(a.post(&request("x", "foo", &hook.url("/"))), ok("x"));
    let hop = f.requests.nth(before)["id"].clone();
    b.wrapper.signal(Signal::SIGTERM);
    let mut number = 0;
    eventually("nothing new is taken", || {
        number += 1;
        let id = format!("y{number}");
        a.post(&request(&id, "foo", &hook.url("/"))) == failed(&id, NONE)
    });
    b.respond(&json!({ "id": hop, "result": "late" }));
    assert_eq!(hook.posts.nth(0).body["result"], "late");
    assert_eq!(b.wrapper.wait(), 0);
}

#[test]
fn servers_may_be_a_cluster_of_which_one_dies() {
    let (near, far) = (free_port().to_string(), free_port().to_string());
    let cluster = |own: &str, other: &str| {
        let (own, other) = (format!("nats://127.0.0.1:{own}"), format!("nats://127.0.0.1:{other}"));
        Server::start(&["--cluster_name", "c", "--cluster", &own, "--routes", &other])
    };
    let (mut one, two) = (cluster(&near, &far), cluster(&far, &near));
    let both = format!("{} {}", one.url(), two.url());
    let keys = [("nats__ack_timeout", "1s"), ("nats__url", both.as_str())];
    let (a, b, c) = (Arc::new(one.rig(&keys)), two.rig(&[]), one.rig(&[]));
    let far = b.provider("foo", "1-b.sock", Answer::Result(json!("b")));
    wait_until_shared(&a, "foo");
    // Who refuses at the nearer server keeps nobody from being asked at the other.
    let _busy = c.provider("foo", "1-c.sock", Answer::Refuse("busy".into()));
    wait_until_shared(&a, "foo");
    under_load(&a, &[&far], || one.kill());
    wait_until_shared(&a, "foo");
}
