//! Whatever happens in whatever order: each request that is taken comes back exactly once.
#![no_main]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use coproc_acomm::Url;
use coproc_coordinator::tracker::{Origin, Tracker};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Track { id: u8, seconds: u8 },
    Answer { id: u8 },
    Remove { id: u8 },
    Wait { seconds: u8 },
}

fuzz_target!(|steps: Vec<Step>| {
    let mut now = Instant::now();
    let mut tracker = Tracker::new(50);
    let mut open: HashMap<u8, (Arc<str>, Instant)> = HashMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Track { id, seconds } => {
                let hop: Arc<str> = format!("hop{number}").into();
                let deadline = now + Duration::from_secs(seconds.into());
                let name = id.to_string().into();
                let origin = Origin { id: name, hook: Url::default(), arrived: None, deadline };
                let free = !open.contains_key(&id) && open.len() < 50;
                assert_eq!(tracker.track(hop.clone(), origin).is_ok(), free);
                if free {
                    open.insert(id, (hop, deadline));
                }
            }
            Step::Answer { id } => {
                if let Some((hop, _)) = open.remove(&id) {
                    assert_eq!(tracker.answer(&hop).unwrap().id.as_ref(), id.to_string());
                    tracker.left();
                }
            }
            Step::Remove { id } => {
                if let Some((hop, _)) = open.remove(&id) {
                    assert_eq!(tracker.remove(&hop).unwrap().id.as_ref(), id.to_string());
                }
            }
            Step::Wait { seconds } => {
                now += Duration::from_secs(seconds.into());
                while let Some(late) = tracker.expire(now) {
                    tracker.left();
                    let (_, deadline) = open.remove(&late.id.parse().unwrap()).unwrap();
                    assert!(deadline <= now);
                }
            }
        }
        assert_eq!(tracker.waiting(), open.len());
        assert_eq!(tracker.next_deadline(), open.values().map(|(_, at)| *at).min());
    }
});
