//! How a simulation is told, to people and to programs.

use std::fmt::Write;
use std::time::Duration;

use coproc_core::duration::rough;
use serde_json::{Value, json};

use super::expect::Miss;
use super::states::states;
use crate::plans;
use crate::wrapper::{End, Outcome};

/// For people: a line for each thing that happened, then the end and the plan of a stop.
pub(super) fn text(outcome: &Outcome, left_out: &[&str], expectations: Option<usize>) -> String {
    let mut out = String::new();
    let entries = &outcome.entries;
    let time = entries.iter().map(|entry| ms(entry.at).to_string().len()).max().unwrap_or(0);
    let who = entries.iter().map(|entry| entry.who.chars().count()).max().unwrap_or(0);
    for entry in entries {
        let _ = write!(out, "{:>time$} ms  {:who$}  {}", ms(entry.at), entry.who, entry.what);
        if let Some(why) = &entry.why {
            let _ = write!(out, " ({why})");
        }
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&end(outcome));
    if !left_out.is_empty() {
        let _ = writeln!(out, "without a part in it: {}", left_out.join(", "));
    }
    if let Some(plan) = &outcome.plan {
        let _ = write!(out, "\na stop takes at the longest:\n{}", plans::table(plan));
    }
    if let Some(number) = expectations {
        let what = match number {
            1 => "1 expectation was looked at",
            _ => &format!("{number} expectations were looked at"),
        };
        let _ = writeln!(out, "\n{what}");
    }
    out
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

fn end(outcome: &Outcome) -> String {
    let after = rough(outcome.took);
    match &outcome.end {
        Some(End { status, cause, stop, .. }) => {
            let mut out = format!("exit status {status} after {after}");
            if let Some((_, sentence)) = cause {
                let _ = write!(out, ": {sentence}");
            }
            out.push('\n');
            if let Some(stop) = stop {
                let _ = writeln!(out, "{stop}");
            }
            out
        }
        None if outcome.broken_off => {
            format!("broken off after {after}: more happens than anybody reads\n")
        }
        None => {
            let mut out = format!("still runs after {after}\n");
            for (name, state) in states(outcome.status.as_ref()) {
                let _ = writeln!(out, "{name}: {state}");
            }
            out
        }
    }
}

/// For programs.
pub(super) fn json(outcome: &Outcome, left_out: &[&str], missed: Option<&[Miss]>) -> String {
    let end = outcome.end.as_ref().map(|end| {
        json!({
            "status": end.status,
            "cause": end.cause.as_ref().map(|(word, _)| word),
            "sentence": end.cause.as_ref().map(|(_, sentence)| sentence),
            "stop_ms": end.took.map(|took| u64::try_from(ms(took)).unwrap_or(u64::MAX)),
        })
    });
    let states: serde_json::Map<_, _> = states(outcome.status.as_ref())
        .into_iter()
        .map(|(name, state)| (name, Value::from(state)))
        .collect();
    let value = json!({
        "timeline": outcome.entries.iter().map(|entry| entry.to_json()).collect::<Vec<_>>(),
        "took_ms": u64::try_from(ms(outcome.took)).unwrap_or(u64::MAX),
        "end": end,
        "broken_off": outcome.broken_off,
        "states": outcome.status.is_some().then_some(states),
        "plan": outcome.plan,
        "without": left_out,
        "missed": missed.map(|all| all.iter().map(Miss::to_json).collect::<Vec<_>>()),
    });
    format!("{value:#}\n")
}
