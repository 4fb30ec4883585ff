//! Waiting until a process is as somebody wants it: answered by the change that makes it so.

use coproc_control::request::{Refused, Until};
use coproc_coprocess::lifecycle::State;
use coproc_coprocess::standing::Standing;
use coproc_core::name::MAIN;
use coproc_main::config::Kind;
use coproc_main::messages::{self as main_process, MainStatus};
use futures_util::future::select_all;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::control::Reply;
use super::root::Root;

/// What is waited for so long, of one process or of several that share a name: that all are so, or of failures
/// that one is. None where that is to be waited for; what cannot come any more by itself is an error.
fn of_all<'a>(
    name: &str,
    until: Until,
    all: impl Iterator<Item = (&'a str, Seen)>,
) -> Option<Result<Value, Refused>> {
    let mut states = serde_json::Map::new();
    let any = until == Until::Failed;
    let mut is_so = !any;
    for (one, seen) in all {
        match seen.is(one, until) {
            Some(Err(refused)) => return Some(Err(refused)),
            Some(Ok(_)) if any => is_so = true,
            None if !any => is_so = false,
            _ => {}
        }
        states.insert(one.to_owned(), seen.state.into());
    }
    is_so.then(|| Ok(json!({ "name": name, "replicas": states })))
}

/// What is to be known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    state: &'static str,
    runs: bool,
    ready: bool,
    /// Whether a run of it has ended.
    has_ended: bool,
    /// Whether it had a life and nothing but an order or an event begins another.
    is_over: bool,
    /// Whether it was given up.
    is_lost: bool,
}

impl Seen {
    fn of(standing: &Standing) -> Self {
        let state = &standing.machine.state;
        Self {
            state: state.as_str(),
            runs: standing.pid.is_some(),
            ready: standing.is_ready(),
            has_ended: standing.last_exit.is_some(),
            is_over: matches!(state, State::Stopped | State::Failed(_)),
            is_lost: matches!(state, State::Failed(_)),
        }
    }

    fn of_main(main: &MainStatus) -> Self {
        let is_over = main.state == "stopped";
        Self {
            state: main.state,
            runs: main.pid.is_some(),
            ready: main.state == "running" && main.ready,
            has_ended: is_over,
            is_over,
            is_lost: is_over,
        }
    }

    /// Whether it is so; none where that is to be waited for. What cannot come any more by itself is an
    /// error.
    fn is(self, name: &str, until: Until) -> Option<Result<Value, Refused>> {
        let is_so = match until {
            Until::Started => self.runs,
            Until::Ready => self.ready,
            Until::Exited => self.has_ended && !self.runs,
            Until::Stopped => self.is_over && !self.runs,
            Until::Failed => self.is_lost,
        };
        let comes_no_more = match until {
            Until::Started | Until::Ready => self.is_lost,
            Until::Exited | Until::Stopped | Until::Failed => false,
        };
        if is_so {
            return Some(Ok(json!({ "name": name, "state": self.state })));
        }
        comes_no_more.then(|| {
            let why = format!(
                "`{name}` is not {until}, and does not come back by itself: it is in state {}",
                self.state
            );
            Err(Refused::new(409, why))
        })
    }
}

impl Root {
    /// Answers once a process, or all replicas that share the name, are as it is waited for.
    pub(super) fn wait(&self, name: String, until: Until, reply: Reply) {
        if name == MAIN {
            return self.wait_for_main(until, reply);
        }
        let all: Vec<_> = match self.all_of(&name) {
            Ok(all) => all
                .into_iter()
                .map(|child| (child.config.name.to_string(), child.standing.clone()))
                .collect(),
            // A client that hung up does not want to know, here and below.
            Err(refused) => return drop(reply.send(Err(refused))),
        };
        let mut changes: Vec<_> = all.iter().map(|(_, one)| one.borrow().watch()).collect();
        let mut reply = reply;
        actix_rt::spawn(async move {
            let answer = loop {
                let answer = match &all[..] {
                    [(one, standing)] if *one == name => {
                        Seen::of(&standing.borrow()).is(one, until)
                    }
                    all => of_all(
                        &name,
                        until,
                        all.iter().map(|(one, standing)| (&one[..], Seen::of(&standing.borrow()))),
                    ),
                };
                if let Some(answer) = answer {
                    break answer;
                }
                let any = select_all(changes.iter_mut().map(|one| Box::pin(one.changed())));
                tokio::select! {
                    (changed, ..) = any => if changed.is_err() {
                        break Err(Refused::new(503, format!("`{name}` is gone")));
                    },
                    () = reply.closed() => return,
                }
            };
            let _ = reply.send(answer);
        });
    }

    /// Of the main process each change is an event.
    fn wait_for_main(&self, until: Until, mut reply: Reply) {
        let main = match &self.main {
            Some(main) if self.config.main.kind != Kind::None => main.clone(),
            _ => return drop(reply.send(Err(Refused::new(409, "there is no main process")))),
        };
        let mut events = self.events.borrow().follow();
        actix_rt::spawn(async move {
            let answer = loop {
                let status = main
                    .send(main_process::Status)
                    .await
                    .unwrap_or(MainStatus { state: "stopped", ..MainStatus::default() });
                if let Some(answer) = Seen::of_main(&status).is(MAIN, until) {
                    break answer;
                }
                tokio::select! {
                    next = events.recv() => if matches!(next, Err(RecvError::Closed)) {
                        break Err(Refused::new(503, "the wrapper is leaving"));
                    },
                    () = reply.closed() => return,
                }
            };
            let _ = reply.send(answer);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(seen: Seen, until: Until) -> Option<u16> {
        seen.is("a", until).map(|answer| answer.map_or_else(|refused| refused.status, |_| 200))
    }

    const NEVER_RAN: Seen = Seen {
        state: "waiting",
        runs: false,
        ready: false,
        has_ended: false,
        is_over: false,
        is_lost: false,
    };

    #[test]
    fn replicas_are_waited_for_together() {
        let running = Seen { state: "running", runs: true, ..NEVER_RAN };
        let ready = Seen { ready: true, ..running };
        let stopped = Seen { state: "stopped", has_ended: true, is_over: true, ..NEVER_RAN };
        let failed = Seen { state: "failed", is_lost: true, ..stopped };
        let status = |until, two: [Seen; 2]| {
            of_all("a", until, ["a-1", "a-2"].into_iter().zip(two))
                .map(|answer| answer.map_or_else(|refused| refused.status, |_| 200))
        };
        assert_eq!(status(Until::Ready, [ready, running]), None);
        assert_eq!(status(Until::Ready, [ready, ready]), Some(200));
        assert_eq!(status(Until::Ready, [running, failed]), Some(409));
        assert_eq!(status(Until::Stopped, [stopped, ready]), None);
        assert_eq!(status(Until::Stopped, [stopped, failed]), Some(200));
        assert_eq!(status(Until::Failed, [ready, stopped]), None);
        assert_eq!(status(Until::Failed, [ready, failed]), Some(200));
    }

    #[test]
    fn what_is_so_already_is_not_waited_for() {
        let running = Seen { state: "running", runs: true, ..NEVER_RAN };
        let ready = Seen { ready: true, ..running };
        let pausing = Seen { state: "backoff", has_ended: true, ..NEVER_RAN };
        let stopped = Seen { state: "stopped", is_over: true, ..pausing };
        let failed = Seen { state: "failed", is_lost: true, ..stopped };
        let again = Seen { has_ended: true, ..ready };
        let table = |until| {
            [NEVER_RAN, running, ready, pausing, stopped, failed, again].map(|seen| is(seen, until))
        };
        let (yes, no) = (Some(200), Some(409));
        assert_eq!(table(Until::Started), [None, yes, yes, None, None, no, yes]);
        assert_eq!(table(Until::Ready), [None, None, yes, None, None, no, yes]);
        assert_eq!(table(Until::Exited), [None, None, None, yes, yes, yes, None]);
        assert_eq!(table(Until::Stopped), [None, None, None, None, yes, yes, None]);
        assert_eq!(table(Until::Failed), [None, None, None, None, None, yes, None]);
    }
}
