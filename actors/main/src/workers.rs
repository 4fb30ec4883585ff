//! The workers of an nginx, counted from its master's lines, and the events they make. Pure.

use std::collections::BTreeSet;

use coproc_core::event::{Event, Phase};

use crate::nginx::{Fact, News};

/// The workers that are known to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    announced: bool,
    started: bool,
    running: BTreeSet<i32>,
}

impl Workers {
    /// Takes a fact of the master in; `reloading` says that this may be the first worker of a new
    /// configuration. What comes out is in the order of happening.
    pub fn take(&mut self, fact: &Fact, reloading: bool) -> Vec<Event> {
        let master = |phase: Phase| Event::new(phase).with("pid", fact.pid).with("tid", fact.tid);
        match fact.news {
            News::Announced => self.announced = true,
            News::WorkerStarted(pid) if self.announced && self.running.insert(pid) => {
                let mut events = Vec::with_capacity(2);
                if !self.started {
                    self.started = true;
                    events.push(master(Phase::Start));
                } else if reloading {
                    events.push(master(Phase::Reload));
                }
                events.push(self.worker(Phase::StartWorker, pid));
                return events;
            }
            News::WorkerExited(pid) if self.running.remove(&pid) => {
                return vec![self.worker(Phase::ExitWorker, pid)];
            }
            News::Began
            | News::Exits
            | News::WorkerStarted(_)
            | News::WorkerExited(_)
            | News::Emergency(_) => {}
        }
        Vec::new()
    }

    fn worker(&self, phase: Phase, pid: i32) -> Event {
        Event::new(phase)
            .with("worker_pid", pid)
            .with("worker_tid", pid)
            .with("worker_count", self.running.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(news: &[(News, bool)]) -> Vec<String> {
        let mut workers = Workers::default();
        news.iter()
            .flat_map(|(news, reloading)| {
                let fact = Fact { pid: 7, tid: 7, news: news.clone() };
                workers.take(&fact, *reloading)
            })
            .map(|event| {
                let count = event.fields.iter().find(|(key, _)| *key == "worker_count");
                match count {
                    Some((_, count)) => format!("{} {count}", event.name),
                    None => event.name.to_string(),
                }
            })
            .collect()
    }

    use News::{Announced, WorkerExited, WorkerStarted};

    #[test]
    fn start_then_reload_then_a_crash() {
        let seen = play(&[
            (Announced, false),
            (WorkerStarted(10), false),
            (WorkerStarted(11), false),
            (Announced, true),
            (WorkerStarted(12), true),
            (WorkerStarted(13), false),
            (WorkerExited(10), false),
            (WorkerExited(11), false),
            (WorkerExited(12), false),
            (WorkerStarted(14), false),
        ]);
        let expected = [
            "start",
            "start-worker 1",
            "start-worker 2",
            "reload",
            "start-worker 3",
            "start-worker 4",
            "exit-worker 3",
            "exit-worker 2",
            "exit-worker 1",
            "start-worker 2",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn unknown_and_unannounced_workers_do_not_count() {
        assert_eq!(play(&[(WorkerStarted(1), false)]), [""; 0]);
        assert_eq!(play(&[(Announced, false), (WorkerExited(1), false)]), [""; 0]);
        let twice = [(Announced, false), (WorkerStarted(1), false), (WorkerStarted(1), false)];
        assert_eq!(play(&twice), ["start", "start-worker 1"]);
    }
}
