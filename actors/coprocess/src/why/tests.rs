//! Every reason, as people and programs read it.

use super::*;
use crate::config::OnGiveUp;
use crate::lifecycle::{At, Event, step};
use coproc_core::event::Phase;
use coproc_core::signal::Signal;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    machine: Machine,
    policy: Policy,
    orders: Orders,
    ready: Option<Note>,
    unready: bool,
    next: Option<Duration>,
    now: Instant,
}

impl World {
    fn new(readiness: Readiness) -> Self {
        Self {
            machine: Machine::new(5 * SECOND).with_readiness(readiness),
            policy: Policy {
                restarts: Restarts::Times(2),
                time_between_restarts: 3 * SECOND,
                background: true,
                backoff: None,
                restart_limit: None,
                success_exit_codes: vec![0],
                on_give_up: OnGiveUp::Ignore,
            },
            orders: Orders::default(),
            ready: None,
            unready: false,
            next: None,
            now: Instant::now(),
        }
    }

    /// What happens a second later, asked for by somebody or not.
    fn after(&mut self, event: Event, by: Option<By>) -> &mut Self {
        self.now += SECOND;
        if let Some(by) = by {
            self.orders.take(&self.machine, event, Asked { by, at: self.now });
        }
        let at = At { now: self.now, chance: 0.0 };
        let (machine, effects) = step(self.machine.clone(), event, at, &self.policy);
        if effects.contains(&crate::lifecycle::Effect::Spawn) {
            self.orders.launched();
        }
        self.machine = machine;
        self
    }

    fn reason(&self) -> Reason {
        let event = Phase::PreStart.into();
        Reason::of(View {
            machine: &self.machine,
            policy: &self.policy,
            orders: &self.orders,
            exec_event: &event,
            ready: self.ready.clone(),
            unready: self.unready,
            next: self.next,
            now: self.now,
        })
    }

    #[track_caller]
    fn says(&self, word: &str, as_wanted: bool, sentence: &str) {
        let reason = self.reason();
        assert_eq!(reason.to_string(), sentence);
        assert_eq!((reason.as_str(), reason.is_as_wanted()), (word, as_wanted), "{sentence}");
    }
}

fn running() -> World {
    let mut world = World::new(Readiness::Spawned);
    world.after(Event::Start, Some(By::Event(Phase::PreStart.into()))).after(Event::Spawned, None);
    world
}

fn exited(code: i32) -> Event {
    Event::Ended(RunEnd::Exited(ExitStatus::Code(code)))
}

fn refused(now: Instant) -> Note {
    Note {
        what: "tcp 127.0.0.1:1".into(),
        wrong: Some("connection refused".into()),
        tries: 7,
        next: Some(now + SECOND * 4 / 5),
    }
}

#[test]
fn one_waits_for_its_event() {
    let world = World::new(Readiness::Spawned);
    world.says("waits-for-event", true, "waits for pre-start");
    assert_eq!(world.reason().facts()["event"], "pre-start");
}

#[test]
fn one_is_launched_and_then_runs() {
    let mut world = World::new(Readiness::Spawned);
    world.after(Event::Start, Some(By::Command("start")));
    world.says("launched", false, "was launched 0.0 s ago and is not known to run yet");
    world.after(Event::Spawned, None);
    world.says("runs", true, "runs for 1.0 s, started by `coproc start`");
    assert_eq!(world.reason().facts()["by"], json!({ "command": "start" }));
}

#[test]
fn one_is_not_ready_and_its_probe_says_why() {
    let mut world = World::new(Readiness::Probed { within: Some(30 * SECOND) });
    world.after(Event::Start, None).after(Event::Spawned, None);
    world.ready = Some(refused(world.now));
    world.says(
        "not-ready",
        false,
        "not ready after 1.0 s (tcp 127.0.0.1:1: connection refused, try 7, next in 0.8 s); \
         stopped unless it is within 29.0 s",
    );
    let facts = world.reason().facts();
    let heard = json!({
        "probe": "tcp 127.0.0.1:1", "answer": "connection refused", "tries": 7, "next_s": 0.8
    });
    assert_eq!((&facts["heard"], facts["left_s"].as_f64()), (&heard, Some(29.0)));
}

#[test]
fn one_is_no_longer_ready() {
    let mut world = running();
    world.unready = true;
    world.ready = Some(Note { next: None, ..refused(world.now) });
    let says = "runs and is no longer ready (tcp 127.0.0.1:1: connection refused, try 7)";
    world.says("no-longer-ready", false, says);
}

#[test]
fn one_is_stopped_by_somebody_step_by_step() {
    let mut world = running();
    let by = Some(By::Command("stop"));
    world.after(Event::Retire, by.clone());
    let says = "its stop command runs, then it is stopped; asked for by `coproc stop`";
    world.says("stop-command", false, says);
    world.after(Event::Stop, by);
    world.says("stopping", false, "was sent TERM, stopped by `coproc stop`; INT follows in 5.0 s");
    world.now += 4 * SECOND;
    world.after(Event::Timer, None);
    world.says("stopping", false, "was sent INT, stopped by `coproc stop`; KILL follows in 5.0 s");
    world.now += 4 * SECOND;
    world.after(Event::Timer, None);
    world.says("stopping", false, "was sent KILL, stopped by `coproc stop`");
    world.after(Event::Ended(RunEnd::Exited(ExitStatus::Signal(Signal::KILL))), None);
    world.says("stopped", true, "stopped by `coproc stop`, 12.0 s ago");
}

#[test]
fn the_event_and_the_wrapper_are_named() {
    let mut world = running();
    world.after(Event::Stop, Some(By::Event(Phase::Exit.into()))).after(exited(0), None);
    world.says("stopped", true, "stopped by the event exit, 1.0 s ago");
    let mut world = running();
    world.after(Event::Kill, Some(By::Wrapper));
    let says = "was sent KILL, stopped by the wrapper, which kills what is left";
    world.says("stopping", false, says);
}

#[test]
fn one_is_stopped_to_be_started_anew() {
    let mut world = running();
    world.after(Event::Restart, Some(By::Command("restart")));
    let says = "was sent TERM, stopped by `coproc restart`; INT follows in 5.0 s; then it is \
                started anew";
    world.says("stopping", false, says);
    world.after(exited(0), None).after(Event::Spawned, None);
    world.says("runs", true, "runs for 1.0 s, started by `coproc restart`");
}

#[test]
fn one_is_stopped_for_being_unfit() {
    let mut world = running();
    world.after(Event::Unhealthy, None);
    let says = "was sent TERM, since it showed no life; INT follows in 5.0 s; then its restart \
                policy decides";
    world.says("stopping", false, says);
    world.after(exited(0), None);
    let says = "starts again in 3.0 s, after its last run showed no life; 0 of 2 restarts are used";
    world.says("pauses", false, says);
    assert_eq!(world.reason().facts()["end"], json!({ "code": 0, "why": "unhealthy" }));
}

#[test]
fn a_pause_names_the_exit_and_the_restarts() {
    let mut world = running();
    world.after(exited(3), None);
    let says = "starts again in 3.0 s, after its last run ended with exit status 3; 0 of 2 restarts are used";
    world.says("pauses", false, says);
    let facts = world.reason().facts();
    assert_eq!((&facts["left_s"], &facts["end"]["code"]), (&json!(3.0), &json!(3)));
    // One that ended well and is to run again is as it should be.
    let mut world = running();
    world.policy.restarts = Restarts::Unlimited;
    world.after(exited(0), None);
    let says =
        "starts again in 3.0 s, after its last run ended with exit status 0; 0 restarts so far";
    world.says("pauses", true, says);
}

#[test]
fn one_that_ended_well_was_stopped_by_nobody() {
    let mut world = running();
    world.policy.restarts = Restarts::Never;
    world.after(exited(0), None);
    world.says("ended", true, "its last run ended with exit status 0; none is to follow");
    // The end of the wrapper does not change that.
    world.after(Event::Stop, Some(By::Event(Phase::Exit.into())));
    world.says("ended", true, "its last run ended with exit status 0; none is to follow");
}

#[test]
fn one_that_was_given_up_says_after_what() {
    let mut world = running();
    world.policy.restarts = Restarts::Never;
    world.after(Event::Ended(RunEnd::SpawnFailed(127)), None);
    let says = "given up: its last run failed: the program was not found, and its policy is to \
                start it once";
    world.says("given-up", false, says);

    let mut world = running();
    world.policy.restarts = Restarts::Times(0);
    world.after(Event::Ended(RunEnd::Exited(ExitStatus::Signal(Signal::KILL))), None);
    let says = "given up: its last run was ended by signal KILL, and all its restarts (0) are used";
    world.says("given-up", false, says);
    assert_eq!(world.reason().facts()["failure"], "no-restart-left");

    let mut world = running();
    world.policy.restart_limit = Some(RestartLimit { count: 0, window: 60 * SECOND });
    world.after(exited(1), None);
    let says = "given up: its last run ended with exit status 1, and it was started again 0 times \
                within 1m";
    world.says("given-up", false, says);
    assert_eq!(world.reason().facts()["failure"], "too-often");
}
