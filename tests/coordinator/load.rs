//! Many at once: none is lost, none is answered twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::rig::{Answer, Hook, Rig, ok, unix};

#[test]
fn c70_two_hundred_at_once() {
    let rig = Arc::new(Rig::start());
    let responses = rig.provider("response", "200.sock", Answer::Ack);
    let f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let hook = unix(rig.at("response/200.sock").to_str().unwrap());
    let asking: Vec<_> = (0..200)
        .map(|number| {
            let (rig, hook) = (rig.clone(), hook.clone());
            thread::spawn(move || {
                let id = format!("r{number}");
                let request = json!({ "id": id, "task": "foo", "responsehook": hook });
                assert_eq!(rig.ask(&request), ok(&id));
            })
        })
        .collect();
    asking.into_iter().for_each(|one| one.join().unwrap());
    responses.requests.nth(199);
    once_each(&responses.requests.all(), "r", 200);
    once_each(&f.requests.all(), "r", 200);
}

fn once_each(messages: &[Value], prefix: &str, count: usize) {
    let mut seen = BTreeMap::new();
    for message in messages {
        *seen.entry(message["id"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(messages.len(), count);
    for number in 0..count {
        assert_eq!(seen.get(&format!("{prefix}{number}")), Some(&1), "{prefix}{number}");
    }
}

#[test]
fn a_thousand_tasks_at_once_and_none_is_lost_or_answered_twice() {
    const TASKS: usize = 1000;
    let rig = Arc::new(Rig::with(&[("request_timeout", "60s")]));
    // These requesters, their provider and their hook need more descriptors than the coordinator.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65536), hard).unwrap();
    let hook = Hook::start();
    let f = rig.provider("foo", "1-f.sock", Answer::Result(json!(1)));
    let asking: Vec<_> = (0..TASKS)
        .map(|number| {
            let (rig, hook) = (rig.clone(), hook.url("/"));
            let ask = move || {
                let id = format!("t{number}");
                let request = json!({ "id": id, "task": "foo", "responsehook": hook });
                let ack = if number % 2 == 0 { rig.post(&request) } else { rig.ask(&request) };
                assert_eq!(ack, ok(&id));
            };
            thread::Builder::new().stack_size(256 << 10).spawn(ask).unwrap()
        })
        .collect();
    asking.into_iter().for_each(|one| one.join().unwrap());
    hook.posts.nth(TASKS - 1);
    let bodies: Vec<_> = hook.posts.all().into_iter().map(|posted| posted.body).collect();
    once_each(&bodies, "t", TASKS);
    assert_eq!(f.requests.all().len(), TASKS);
}
