//! Whatever is configured and whatever befalls it: what the tree promises holds.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use coproc_core::signal::Signal;
use proptest::prelude::*;

use super::scenario::Delay;
use super::*;
use crate::config::{self, Sources};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn loaded(text: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("coproc.toml");
    std::fs::write(&file, text).unwrap();
    let sources = Sources { files: vec![file], folder: PathBuf::from("/"), ..Sources::default() };
    config::load(&sources).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn play(text: &str, scenario: &Scenario) -> Outcome {
    simulate(loaded(text), scenario).unwrap()
}

/// A config with so many coprocesses, each made of a few numbers.
fn text(shutdown: u8, waits: bool, each: &[[u8; 8]]) -> String {
    let mut out = format!("shutdown_timeout = \"{}s\"\n[main]\nexec = \"server\"\n", shutdown % 40);
    if waits && !each.is_empty() {
        out.push_str("exec_event = \"coprocess.p0.ready\"\n");
    }
    for (place, [restarts, background, starts, stops, pause, ready, command, limits]) in
        each.iter().enumerate()
    {
        let restarts = ["never", "1", "3", "unlimited"][usize::from(restarts % 4)];
        let event = |number: &u8| {
            let other = usize::from(number / 8) % each.len();
            match number % 8 {
                0 | 1 => "pre-start".to_owned(),
                2 => "start".to_owned(),
                3 => "pre-reload".to_owned(),
                4 => "exit".to_owned(),
                5 => "custom.x".to_owned(),
                6 => format!("coprocess.p{other}.ready"),
                _ => format!("coprocess.p{other}.exited"),
            }
        };
        let _ = write!(
            out,
            "[coprocess.p{place}]\nname = \"p{place}\"\nexec = \"p\"\nrestarts = \"{restarts}\"\n\
             background = {}\nexec_event = \"{}\"\nstop_event = \"{}\"\n\
             time_between_restarts = \"{}ms\"\nstop_timeout = \"{}ms\"\n",
            background % 3 != 0,
            event(starts),
            event(stops),
            u32::from(*pause) * 40,
            u32::from(*limits) * 30 + 1,
        );
        if ready % 3 == 0 {
            let _ = writeln!(out, "ready = {{ tcp = \"a:1\", within = \"{}s\" }}", ready % 20 + 1);
        }
        if command % 3 == 0 {
            out.push_str("stop_exec = \"leave\"\n");
        }
        if pause % 5 == 0 {
            out.push_str("backoff = { initial = \"200ms\", max = \"10s\", factor = 2.0 }\n");
        }
        if limits % 4 == 0 {
            out.push_str("restart_limit = { count = 3, window = \"10s\" }\n");
        }
        if limits % 7 == 0 {
            out.push_str("on_give_up = \"shutdown\"\n");
        }
    }
    out
}

/// Who misbehaves how, and what happens when.
fn scenario(
    number: usize,
    habits: &[[u8; 4]],
    happenings: &[(u16, u8, u8)],
    seed: u64,
) -> Scenario {
    let mut scenario = Scenario { limit: Duration::from_secs(600), seed, ..Scenario::default() };
    let name = |which: u8| match usize::from(which) % (number + 1) {
        0 => "main".to_owned(),
        place => format!("p{}", place - 1),
    };
    for [who, runs, stops, ready] in habits {
        let habit = scenario.of(name(*who));
        let end = match runs % 3 {
            0 => ExitStatus::Code(0),
            1 => ExitStatus::Code(7),
            _ => ExitStatus::Signal(Signal::KILL),
        };
        habit.runs = (runs % 4 > 1).then(|| Length::Time(MS(u64::from(*runs) * 50), end));
        habit.stops = Some((MS(u64::from(*stops) * 60), None));
        habit.hangs = stops % 5 == 0;
        habit.missing = ready % 9 == 0;
        habit.ready = Some(match ready % 4 {
            0 => Delay::Never,
            _ => Delay::After(MS(u64::from(*ready) * 70)),
        });
    }
    for (at, kind, who) in happenings {
        let happening = match kind % 9 {
            0..=3 => Happening::Ends(name(*who), ExitStatus::Code(i32::from(who % 4))),
            4 => Happening::Reload,
            5 => Happening::Emit("x".to_owned()),
            6 => Happening::Signal(Signal::QUIT),
            _ => Happening::Signal(Signal::TERM),
        };
        scenario.happenings.push((MS(u64::from(*at)), happening));
    }
    scenario.happenings.sort_by_key(|(at, _)| *at);
    scenario
}

/// What the tree promises, whatever befalls it.
fn judge(config: &Config, scenario: &Scenario, outcome: &Outcome) -> Result<(), TestCaseError> {
    let mut last: HashMap<&str, &Run> = HashMap::new();
    for run in outcome.runs.iter().filter(|run| !run.name.starts_with("stop-")) {
        if let Some(before) = last.insert(&run.name, run) {
            let gone = before.to.is_some_and(|to| to <= run.from);
            prop_assert!(gone, "two instances of {}: {before:?}, {run:?}", run.name);
        }
    }
    let Some(end) = &outcome.end else {
        prop_assert!(outcome.took >= scenario.limit || outcome.broken_off);
        return Ok(());
    };
    // Commands that nobody supervises are killed with the loop, which outlives the timeline.
    let supervised = |run: &&Run| ["stop-", "check-"].iter().all(|one| !run.name.starts_with(one));
    for run in outcome.runs.iter().filter(supervised) {
        prop_assert!(run.to.is_some(), "{run:?} is left behind");
    }
    // What was killed has a second to die.
    let budget = config.shutdown_timeout + crate::wrapper::root::DEATH;
    let took = end.took.unwrap_or_default();
    prop_assert!(took <= budget, "the stop took {took:?} of {budget:?}");
    let cause = end.cause.as_ref().map(|(word, _)| *word);
    let mut own = outcome.entries.iter().filter(|entry| entry.who == "main");
    let fits = match cause {
        // A second TERM makes it 1, KILL has no status but its own.
        Some("signal") => {
            let mains = own.clone().filter(|entry| entry.what.starts_with("ends with"));
            mains.count() == 1 || [143, 131, 1, 137].contains(&end.status)
        }
        Some("main-ended") => own.next_back().is_some_and(|entry| {
            let code = |status: ExitStatus| entry.what == format!("ends with {status}");
            let codes = (0..=255).map(ExitStatus::Code);
            let signals = (1..=64).filter_map(Signal::from_number).map(ExitStatus::Signal);
            let killed = end.status == 1;
            killed
                || codes
                    .chain(signals)
                    .any(|status| status.shell_code() == end.status && code(status))
        }),
        Some("main-not-started") => [127, 1].contains(&end.status),
        Some("main-unfit") => [1, 137].contains(&end.status),
        Some("boot") => end.status == 1,
        Some("gave-up") => end.status != 0,
        _ => false,
    };
    prop_assert!(fits, "{end:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold(
        shutdown in any::<u8>(),
        waits in any::<bool>(),
        each in proptest::collection::vec(any::<[u8; 8]>(), 0..5),
        habits in proptest::collection::vec(any::<[u8; 4]>(), 0..4),
        happenings in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<u8>()), 0..8),
        seed in any::<u64>(),
    ) {
        let text = text(shutdown, waits, &each);
        let scenario = scenario(each.len(), &habits, &happenings, seed);
        let outcome = play(&text, &scenario);
        judge(&loaded(&text).config, &scenario, &outcome)?;
        let again = play(&text, &scenario);
        prop_assert_eq!(&outcome.entries, &again.entries, "one seed, one timeline");
    }
}

const AGENT: &str = r#"
[main]
exec = "server"
[coprocess.agent]
name = "agent"
exec = "agent"
restarts = "unlimited"
background = true
exec_event = "pre-start"
backoff = { initial = "1s", max = "1m", factor = 2.0, reset_after = "1h" }
"#;

#[test]
fn a_month_is_simulated_by_what_happens_in_it() {
    let mut scenario = Scenario { limit: Duration::from_secs(720 * 3600), ..Scenario::default() };
    let end = (Duration::from_secs(86_400), Happening::Ends("agent".into(), ExitStatus::Code(1)));
    scenario.happenings.push(end);
    let outcome = play(AGENT, &scenario);
    assert_eq!((outcome.end, outcome.took), (None, scenario.limit));
    assert_eq!(outcome.entries.len(), 11, "{:#?}", outcome.entries);
}

#[test]
fn too_much_is_broken_off() {
    let mut scenario = Scenario { limit: Duration::from_secs(720 * 3600), ..Scenario::default() };
    scenario.of("agent".into()).runs = Some(Length::Time(MS(1), ExitStatus::Code(1)));
    let text = AGENT.replace("backoff", "# backoff");
    let outcome = play(&text, &scenario);
    assert!(outcome.broken_off && outcome.end.is_none());
}

#[test]
fn jitter_follows_the_seed() {
    let mut scenario = Scenario { limit: Duration::from_secs(60), ..Scenario::default() };
    scenario.of("agent".into()).runs = Some(Length::Time(MS(10), ExitStatus::Code(1)));
    let first = play(AGENT, &scenario).entries;
    assert_eq!(first, play(AGENT, &scenario).entries);
    scenario.seed = 1;
    assert_ne!(first, play(AGENT, &scenario).entries);
}

#[test]
fn an_nginx_has_workers_and_takes_a_reload_by_them() {
    let mut scenario = Scenario { limit: Duration::from_secs(60), ..Scenario::default() };
    scenario.happenings =
        vec![(MS(1000), Happening::Reload), (MS(2000), Happening::Signal(Signal::QUIT))];
    let outcome = play("nginx_binary = \"nginx\"\n", &scenario);
    let events: Vec<_> = outcome.entries.iter().filter_map(Entry::event).collect();
    assert_eq!(
        events,
        [
            "pre-start",
            "start",
            "start-worker",
            "pre-reload",
            "reload",
            "start-worker",
            "exit-worker",
            "exit-worker",
            "exit",
        ]
    );
    assert_eq!(outcome.end.map(|end| end.status), Some(0));
}
