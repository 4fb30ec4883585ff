//! The machine of a coprocess: its whole table as a snapshot, and its invariants under random
//! histories.

use std::fmt::Write;
use std::time::Duration;

use coproc_coprocess::config::{Backoff, OnGiveUp, Policy, RestartLimit, Restarts};
use coproc_coprocess::lifecycle::{
    At, Effect, Event, Failure, Machine, Readiness, RunEnd, State, StopStep, Unfit, Wanted, Why,
    step,
};
use coproc_core::event::Change;
use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;
use proptest::prelude::*;
use tokio::time::Instant;

const STOP_TIMEOUT: Duration = Duration::from_secs(5);

fn policy(restarts: Restarts) -> Policy {
    Policy {
        restarts,
        time_between_restarts: Duration::from_secs(2),
        background: true,
        backoff: None,
        restart_limit: None,
        success_exit_codes: vec![0],
        on_give_up: OnGiveUp::Ignore,
    }
}

const PROBED: Readiness = Readiness::Probed { within: Some(Duration::from_secs(9)) };

const CODE_0: RunEnd = RunEnd::Exited(ExitStatus::Code(0));
const CODE_3: RunEnd = RunEnd::Exited(ExitStatus::Code(3));

/// Every state with what may be wanted in it.
fn states(now: Instant) -> Vec<(&'static str, State, Wanted)> {
    let stopping_for = |step, why| {
        let until = (step != StopStep::Kill).then_some(now);
        State::Stopping { step, until, why, since: now }
    };
    let stopping = |step| stopping_for(step, Why::Requested);
    let not_ready = stopping_for(StopStep::Term, Why::Unfit(Unfit::NotReady));
    let unhealthy = stopping_for(StopStep::Int, Why::Unfit(Unfit::Unhealthy));
    let starting = |until| State::Starting { since: now, until };
    vec![
        ("waiting", State::Waiting, Wanted::Down),
        ("starting, up", starting(None), Wanted::Up),
        ("starting, down", starting(None), Wanted::Down),
        ("starting, up, probed", starting(Some(now)), Wanted::Up),
        ("starting, down, probed", starting(Some(now)), Wanted::Down),
        ("running, up", State::Running { since: now }, Wanted::Up),
        ("running, down", State::Running { since: now }, Wanted::Down),
        ("stopping TERM, down", stopping(StopStep::Term), Wanted::Down),
        ("stopping TERM, up", stopping(StopStep::Term), Wanted::Up),
        ("stopping INT, down", stopping(StopStep::Int), Wanted::Down),
        ("stopping KILL, down", stopping(StopStep::Kill), Wanted::Down),
        ("stopping TERM, up, not ready", not_ready.clone(), Wanted::Up),
        ("stopping TERM, down, not ready", not_ready, Wanted::Down),
        ("stopping INT, up, unhealthy", unhealthy, Wanted::Up),
        ("backoff", State::Backoff { until: now }, Wanted::Up),
        ("stopped", State::Stopped, Wanted::Down),
        ("failed", State::Failed(Failure::Exhausted), Wanted::Down),
    ]
}

fn show(machine: &Machine) -> String {
    let state = match &machine.state {
        State::Stopping { step, why, .. } => match why {
            Why::Requested => format!("stopping {}", step.signal()),
            Why::Unfit(unfit) => format!("stopping {} {}", step.signal(), unfit.as_str()),
        },
        other => other.to_string(),
    };
    let wanted = match machine.wanted {
        Wanted::Up => "up",
        Wanted::Down => "down",
    };
    match machine.state {
        State::Starting { .. } | State::Running { .. } | State::Stopping { .. } => {
            format!("{state}, {wanted}")
        }
        _ => state,
    }
}

#[test]
fn the_whole_table() {
    let now = Instant::now();
    let never = policy(Restarts::Never);
    let unlimited = policy(Restarts::Unlimited);
    let events = [
        ("Start", Event::Start, &never),
        ("Triggered", Event::Triggered, &never),
        ("Retire", Event::Retire, &never),
        ("Stop", Event::Stop, &never),
        ("Restart", Event::Restart, &never),
        ("Kill", Event::Kill, &never),
        ("Resume", Event::Resume, &never),
        ("Spawned", Event::Spawned, &never),
        ("Ready", Event::Ready, &never),
        ("Unhealthy", Event::Unhealthy, &never),
        ("Ended 0, never", Event::Ended(CODE_0), &never),
        ("Ended 3, never", Event::Ended(CODE_3), &never),
        ("Ended 3, unlimited", Event::Ended(CODE_3), &unlimited),
        ("SpawnFailed, unlimited", Event::Ended(RunEnd::SpawnFailed(127)), &unlimited),
        ("Timer", Event::Timer, &unlimited),
        ("PolicyChanged, never", Event::PolicyChanged, &never),
    ];
    let mut table = String::new();
    for (name, state, wanted) in states(now) {
        writeln!(table, "{name}").unwrap();
        for (event_name, event, policy) in &events {
            let readiness = if name.ends_with("probed") { PROBED } else { Readiness::Spawned };
            let machine = Machine {
                state: state.clone(),
                wanted,
                last: Some(CODE_3),
                readiness,
                ..Machine::new(STOP_TIMEOUT)
            };
            let (after, effects) = step(machine, *event, At { now, chance: 0.0 }, policy);
            let effects: Vec<_> = effects.iter().map(|effect| format!("{effect:?}")).collect();
            let shown = format!("{event_name:24} → {:30} {}", show(&after), effects.join(", "));
            writeln!(table, "    {}", shown.trim_end()).unwrap();
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("lifecycle__table", table));
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Move {
    Tell(Event),
    /// The program is known to run.
    Spawned,
    /// Its probe says this of the program that runs.
    Ready,
    Unhealthy,
    /// The process ends, if there is one.
    Ends(RunEnd),
    /// Time passes, and a timer fires that may be due.
    Later(u64),
    /// The policy becomes this.
    Policy(Policy),
}

fn moves() -> impl Strategy<Value = Move> {
    let end = prop_oneof![
        Just(CODE_0),
        Just(CODE_3),
        Just(RunEnd::Exited(ExitStatus::Signal(Signal::KILL))),
        Just(RunEnd::SpawnFailed(127)),
    ];
    prop_oneof![
        3 => Just(Move::Tell(Event::Start)),
        2 => Just(Move::Tell(Event::Triggered)),
        2 => Just(Move::Tell(Event::Stop)),
        1 => Just(Move::Tell(Event::Restart)),
        1 => Just(Move::Tell(Event::Retire)),
        1 => Just(Move::Tell(Event::Kill)),
        4 => Just(Move::Spawned),
        3 => Just(Move::Ready),
        3 => Just(Move::Unhealthy),
        6 => end.prop_map(Move::Ends),
        6 => (0u64..20_000).prop_map(Move::Later),
        1 => policies().prop_map(Move::Policy),
    ]
}

fn readinesses() -> impl Strategy<Value = Readiness> {
    // No time at all is refused by the config.
    let within = proptest::option::of((1u64..10_000).prop_map(Duration::from_millis));
    prop_oneof![Just(Readiness::Spawned), within.prop_map(|within| Readiness::Probed { within }),]
}

fn policies() -> impl Strategy<Value = Policy> {
    let restarts = prop_oneof![
        Just(Restarts::Never),
        (0u32..4).prop_map(Restarts::Times),
        Just(Restarts::Unlimited),
    ];
    let backoff = proptest::option::of(Just(Backoff {
        initial: Duration::from_millis(200),
        max: Duration::from_secs(3),
        factor: 2.0,
        reset_after: Duration::from_secs(10),
    }));
    let limit =
        proptest::option::of((0u32..4, 1u64..30).prop_map(|(count, seconds)| RestartLimit {
            count,
            window: Duration::from_secs(seconds),
        }));
    (restarts, 0u64..3000, backoff, limit, any::<bool>()).prop_map(
        |(restarts, pause, backoff, restart_limit, background)| Policy {
            restarts,
            time_between_restarts: Duration::from_millis(pause),
            background,
            backoff,
            restart_limit,
            success_exit_codes: vec![0],
            on_give_up: OnGiveUp::Ignore,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_invariants_hold(
        mut policy in policies(),
        readiness in readinesses(),
        history in proptest::collection::vec(moves(), 1..80),
    ) {
        let mut now = Instant::now();
        let mut machine = Machine::new(STOP_TIMEOUT).with_readiness(readiness);
        // The world: one process or none, and whether anybody wants one.
        let mut process = false;
        let mut spawned = false;
        let mut allowed = false;
        // What was published of the present run.
        let mut ready = false;
        for one in history {
            let event = match one {
                Move::Tell(event) => event,
                Move::Spawned if process && !spawned => { spawned = true; Event::Spawned }
                Move::Ends(end) if process => {
                    process = false;
                    // What failed to start never ran, and what ran did start.
                    match (spawned, end) {
                        (true, RunEnd::SpawnFailed(_)) => Event::Ended(CODE_3),
                        (_, end) => Event::Ended(end),
                    }
                }
                Move::Ready if spawned && process && readiness != Readiness::Spawned => Event::Ready,
                // Nobody asks for life before it was ready.
                Move::Unhealthy if process && ready => Event::Unhealthy,
                Move::Spawned | Move::Ready | Move::Unhealthy | Move::Ends(_) => continue,
                Move::Later(ms) => { now += Duration::from_millis(ms); Event::Timer }
                Move::Policy(new) => { policy = new; Event::PolicyChanged }
            };
            match event {
                Event::Start | Event::Triggered | Event::Restart => allowed = true,
                Event::Stop | Event::Kill | Event::Retire => allowed = false,
                _ => {}
            }
            let before = machine.clone();
            let at = At { now, chance: 0.5 };
            let (after, effects) = step(before.clone(), event, at, &policy);

            for effect in &effects {
                if *effect == Effect::Spawn {
                    prop_assert!(!process, "two processes: {before:?} {event:?}");
                    prop_assert!(allowed, "unwanted: {before:?} {event:?}");
                    process = true;
                    spawned = false;
                    ready = false;
                }
                if *effect == Effect::Publish(Change::Ready) {
                    prop_assert!(process && spawned, "not running: {before:?} {event:?}");
                    prop_assert!(!ready, "ready twice: {before:?} {event:?}");
                    ready = true;
                }
            }
            if let State::Running { .. } = after.state {
                prop_assert!(ready, "{before:?} {event:?}");
            }
            // What is unfit is stopped without a change of what is wanted.
            let unfit = |state: &State| match state {
                State::Stopping { why: Why::Unfit(unfit), .. } => Some(*unfit),
                _ => None,
            };
            if let Some(why) = unfit(&after.state) {
                prop_assert_eq!(after.wanted, Wanted::Up, "{:?} {:?}", before, event);
                if unfit(&before.state).is_none() {
                    prop_assert_eq!(why == Unfit::Unhealthy, event == Event::Unhealthy);
                    prop_assert_eq!(&effects, &[Effect::Signal(Signal::TERM)]);
                    prop_assert!(why == Unfit::Unhealthy || !ready);
                }
            }
            // And then the policy decides: neither a new life nor a success.
            if let (Some(_), Event::Ended(_)) = (unfit(&before.state), event) {
                prop_assert!(after.restarts >= before.restarts);
                prop_assert!(after.state != State::Stopped, "{before:?} {after:?}");
            }
            // A timer is due in the future, or it would fire without end.
            if let (Some(deadline), Event::Timer) = (after.deadline(), event) {
                prop_assert!(deadline > now, "{before:?} {after:?}");
            }
            prop_assert_eq!(after.is_live(), process, "{:?} {:?}", before, event);
            if let State::Stopping { step, .. } = after.state {
                prop_assert_eq!(after.deadline().is_some(), step != StopStep::Kill);
            }
            if let State::Backoff { until } = after.state {
                prop_assert!(until > now || event == Event::Start || before.state == after.state);
            }
            let restarted = after.restarts > before.restarts;
            prop_assert!(!restarted || policy.restarts.allows(before.restarts) || event == Event::Timer);
            if before.is_ended() && !matches!(event, Event::Start | Event::Triggered | Event::Restart) {
                prop_assert!(effects.is_empty(), "{before:?} {event:?} {effects:?}");
            }
            let releases = effects.contains(&Effect::Release);
            let ended = !before.is_ended() && after.is_ended();
            prop_assert_eq!(releases, ended, "{:?} {:?} {:?}", before, event, effects);
            if event == Event::Kill && before.is_live() {
                prop_assert!(effects.contains(&Effect::Signal(Signal::KILL)));
            }
            machine = after;
        }
    }

    /// Whatever came before, a stop ends within its three steps.
    #[test]
    fn a_stop_ends_in_three_steps(
        policy in policies(),
        readiness in readinesses(),
        history in proptest::collection::vec(moves(), 0..40),
    ) {
        let mut now = Instant::now();
        let mut machine = Machine::new(STOP_TIMEOUT).with_readiness(readiness);
        let feed = |machine: &mut Machine, event, now| {
            let (after, effects) = step(machine.clone(), event, At { now, chance: 0.5 }, &policy);
            *machine = after;
            effects
        };
        for one in history {
            match one {
                Move::Tell(event) => drop(feed(&mut machine, event, now)),
                Move::Ends(end) if machine.is_live() => {
                    feed(&mut machine, Event::Ended(end), now);
                }
                Move::Later(ms) => {
                    now += Duration::from_millis(ms);
                    feed(&mut machine, Event::Timer, now);
                }
                _ => {}
            }
        }
        feed(&mut machine, Event::Stop, now);
        let mut last = None;
        for _ in 0..2 {
            now += STOP_TIMEOUT;
            let effects = feed(&mut machine, Event::Timer, now);
            last = effects.into_iter().next().or(last);
        }
        if machine.is_live() {
            let State::Stopping { step, .. } = machine.state else {
                panic!("not stopping: {machine:?}");
            };
            prop_assert_eq!(step, StopStep::Kill);
            feed(&mut machine, Event::Ended(CODE_0), now);
        }
        prop_assert_eq!(machine.state, State::Stopped);
    }
}
