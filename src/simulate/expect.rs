//! The file of expectations: what a simulation is to come to, and where it does not, which line said
//! so.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use coproc_coprocess::lifecycle::State;
use coproc_core::duration::rough;
use coproc_core::event::EventName;
use coproc_core::name::MAIN;
use coproc_main::config::Kind;
use serde::Deserialize;
use toml::Spanned;

use super::args::{Faults, time};
use super::miss::Miss;
use super::show::states;
use crate::config::{Config, nearest};
use crate::wrapper::{CAUSES, Outcome, Scenario};

/// All that a file says.
#[derive(Debug)]
pub struct Expectations {
    /// What happens, besides what the command line says.
    pub faults: Faults,
    all: Vec<Expectation>,
    /// The name of the file, and what it says.
    source: (String, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    scenario: Faults,
    #[serde(default)]
    expect: Vec<Spanned<Table>>,
}

/// One `[[expect]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    exit: Option<Spanned<i64>>,
    cause: Option<Spanned<String>>,
    running: Option<Spanned<Vec<String>>>,
    states: Option<Spanned<BTreeMap<String, String>>>,
    event: Option<Spanned<String>>,
    times: Option<Spanned<usize>>,
    never: Option<Spanned<String>>,
    order: Option<Spanned<Vec<String>>>,
    at: Option<Spanned<String>>,
    within: Option<Spanned<String>>,
}

#[derive(Debug)]
struct Expectation {
    /// Where it stands, in bytes.
    at: std::ops::Range<usize>,
    what: What,
}

#[derive(Debug)]
enum What {
    Exit(Option<u8>, Option<String>, Option<Duration>),
    States(Vec<(String, String)>, Duration),
    Event(String, Option<usize>, Option<Duration>),
    Never(String),
    Order(Vec<String>),
}

impl Expectations {
    /// Reads the file. The error is a whole message.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("error: {file} cannot be read: {error}\n"))?;
        Self::parse(&file, text)
    }

    /// The same with its text.
    pub fn parse(file: &str, text: String) -> Result<Self, String> {
        let page: Page =
            toml::from_str(&text).map_err(|error| format!("error: {file}: {error}"))?;
        let (mut all, mut wrong) = (Vec::with_capacity(page.expect.len()), String::new());
        for table in page.expect {
            let span = table.span();
            match read(table.into_inner(), span) {
                Ok(one) => all.push(one),
                Err((span, why)) => wrong += &Miss::at(file, &text, &span, why).shown("error"),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if all.is_empty() {
            return Err(format!(
                "error: {file}: nothing is expected\n  expected: an `[[expect]]`\n"
            ));
        }
        Ok(Self { faults: page.scenario, all, source: (file.to_owned(), text) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When the states of all have to be known.
    pub(super) fn looks(&self) -> Vec<Duration> {
        let looks = self.all.iter().filter_map(|one| match &one.what {
            What::States(_, at) => Some(*at),
            _ => None,
        });
        looks.collect()
    }

    /// Whether all that they name is there, in time. The error is a whole message.
    pub(super) fn fit(&self, config: &Config, scenario: &Scenario) -> Result<(), String> {
        let has_main = config.main.kind != Kind::None;
        let known = |name: &String| {
            (name == MAIN && has_main)
                || config.coprocesses.iter().any(|one| one.name.as_str() == name)
        };
        let makes_events = |name: &str| config.coprocesses.iter().any(|one| one.is_called(name));
        let mut all = String::new();
        for one in &self.all {
            let wrong = match &one.what {
                What::States(states, at) => states
                    .iter()
                    .find(|(name, _)| !known(name))
                    .map(|(name, _)| format!("there is no program `{name}`"))
                    .or_else(|| {
                        let limit = humantime::format_duration(scenario.limit);
                        (*at > scenario.limit).then(|| format!("the simulation ends after {limit}"))
                    }),
                What::Event(event, ..) | What::Never(event) => unknown(event, &makes_events),
                What::Order(events) => {
                    events.iter().find_map(|event| unknown(event, &makes_events))
                }
                What::Exit(..) => None,
            };
            if let Some(why) = wrong {
                all += &self.miss(one, why).shown("error");
            }
        }
        if all.is_empty() { Ok(()) } else { Err(all) }
    }

    /// Those that this outcome does not meet.
    pub fn missed(&self, outcome: &Outcome) -> Vec<Miss> {
        let missed = |one: &Expectation| Some(self.miss(one, one.what.missed(outcome)?));
        self.all.iter().filter_map(missed).collect()
    }

    fn miss(&self, one: &Expectation, why: String) -> Miss {
        Miss::at(&self.source.0, &self.source.1, &one.at, why)
    }
}

/// Why this is no event that there can be.
fn unknown(event: &str, known: &dyn Fn(&str) -> bool) -> Option<String> {
    match event.parse::<EventName>() {
        Ok(EventName::Coprocess(name, _)) if !known(name.as_str()) => {
            Some(format!("there is no coprocess `{name}`"))
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

type Wrong = (std::ops::Range<usize>, String);

/// Makes one expectation of a table, which is one thing and no other.
fn read(table: Table, whole: std::ops::Range<usize>) -> Result<Expectation, Wrong> {
    let Table { exit, cause, running, states, event, times, never, order, at, within } = table;
    let duration = |text: Spanned<String>| {
        let wrong = || (text.span(), format!("`{}` is not a time such as `1m30s`", text.get_ref()));
        time(text.get_ref()).ok_or_else(wrong)
    };
    let subjects = [
        exit.is_some() || cause.is_some(),
        running.is_some() || states.is_some(),
        event.is_some(),
        never.is_some(),
        order.is_some(),
    ];
    let there = subjects.iter().filter(|there| **there).count();
    if there != 1 {
        let said = if there == 0 { "nothing is expected here" } else { "one thing at a time" };
        let why = format!(
            "{said}: expected one of `exit` (with `cause`), `running` or `states`, `event`, `never`, \
             `order`"
        );
        return Err((whole, why));
    }
    let [is_exit, is_states, is_event, ..] = subjects;
    let misplaced = |span: std::ops::Range<usize>, key: &str, with: &str| {
        Err((span, format!("`{key}` belongs to {with}")))
    };
    if let Some(at) = at.as_ref().filter(|_| !is_states) {
        return misplaced(at.span(), "at", "`running` and `states`");
    }
    if let Some(within) = within.as_ref().filter(|_| !is_exit && !is_event) {
        return misplaced(within.span(), "within", "`exit`, `cause` and `event`");
    }
    if let Some(times) = times.as_ref().filter(|_| !is_event) {
        return misplaced(times.span(), "times", "`event`");
    }
    let within = within.map(duration).transpose()?;
    let place = |span: std::ops::Range<usize>, what| Ok(Expectation { at: span, what });
    if let Some(event) = event {
        let times = times.map(Spanned::into_inner);
        return place(event.span(), What::Event(event.into_inner(), times, within));
    }
    if let Some(never) = never {
        return place(never.span(), What::Never(never.into_inner()));
    }
    if let Some(order) = order {
        if order.get_ref().is_empty() {
            return Err((order.span(), "no event is in it".to_owned()));
        }
        return place(order.span(), What::Order(order.into_inner()));
    }
    if is_exit {
        let span = exit.as_ref().map(Spanned::span).or(cause.as_ref().map(Spanned::span));
        let code = exit.map(|exit| {
            let wrong = || format!("`{}` is no exit status: expected 0 to 255", exit.get_ref());
            u8::try_from(*exit.get_ref()).map_err(|_| (exit.span(), wrong()))
        });
        let code = code.transpose()?;
        let cause = cause.map(|cause| one_of(cause.get_ref(), &CAUSES, "cause", cause.span()));
        let cause = cause.transpose()?;
        return place(span.unwrap_or(whole), What::Exit(code, cause, within));
    }
    let Some(at) = at else { return Err((whole, "`at` says when".to_owned())) };
    let at = duration(at)?;
    let span = running.as_ref().map(Spanned::span).or(states.as_ref().map(Spanned::span));
    let running = running.map(Spanned::into_inner).unwrap_or_default();
    let span = span.unwrap_or(whole);
    let mut all: Vec<_> = running.into_iter().map(|name| (name, "running".to_owned())).collect();
    for (name, state) in states.map(Spanned::into_inner).unwrap_or_default() {
        all.push((name, one_of(&state, &State::NAMES, "state", span.clone())?));
    }
    if all.is_empty() {
        return Err((span, "no program is in it".to_owned()));
    }
    place(span, What::States(all, at))
}

/// A word that is one of these; else what is wrong, with the nearest.
fn one_of(
    word: &str,
    words: &[&str],
    what: &str,
    span: std::ops::Range<usize>,
) -> Result<String, Wrong> {
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    let hint = match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected one of `{}`", words.join("`, `")),
    };
    Err((span, format!("`{word}` is no {what}; {hint}")))
}

impl What {
    /// Why this is not what came of it.
    fn missed(&self, outcome: &Outcome) -> Option<String> {
        match self {
            Self::Exit(code, cause, within) => {
                let Some(end) = &outcome.end else {
                    return Some(format!("the wrapper still runs after {}", rough(outcome.took)));
                };
                let told = end.cause.as_ref().map_or("", |(_, sentence)| sentence);
                let left = format!("it left with {} after {}", end.status, rough(outcome.took));
                let word = end.cause.as_ref().map(|(word, _)| *word);
                let wrong = code.is_some_and(|code| code != end.status)
                    || within.is_some_and(|within| outcome.took > within);
                if wrong {
                    return Some(format!("{left}: {told}"));
                }
                let other = cause.as_ref().is_some_and(|cause| word != Some(cause));
                other.then(|| format!("the cause is `{}`: {told}", word.unwrap_or("none")))
            }
            Self::States(states_wanted, at) => {
                let look = outcome.looks.iter().find(|(time, _)| time == at);
                let Some((_, status)) = look else {
                    return Some(format!("it was over after {}", rough(outcome.took)));
                };
                let all = states(Some(status));
                let differs = |(name, wanted): &(String, String)| {
                    let (_, state) = all.iter().find(|(one, _)| one == name)?;
                    (state != wanted).then(|| format!("`{name}` is {state}"))
                };
                let wrong: Vec<_> = states_wanted.iter().filter_map(differs).collect();
                (!wrong.is_empty()).then(|| format!("at {}, {}", rough(*at), wrong.join(", ")))
            }
            Self::Event(event, times, within) => {
                let came = at(outcome, event);
                let Some(first) = came.first() else { return Some("it does not come".to_owned()) };
                if within.is_some_and(|within| *first > within) {
                    return Some(format!("it comes after {}", rough(*first)));
                }
                let other = times.is_some_and(|times| times != came.len());
                other.then(|| match came.len() {
                    1 => "it comes once".to_owned(),
                    n => format!("it comes {n} times"),
                })
            }
            Self::Never(event) => {
                let first = *at(outcome, event).first()?;
                Some(format!("it comes after {}", rough(first)))
            }
            Self::Order(events) => {
                // Each after the one before, though others may be between them.
                let mut rest = outcome.entries.iter().filter_map(|entry| entry.event());
                let missing = events.iter().find(|event| !rest.any(|one| one == **event))?;
                Some(match at(outcome, missing).is_empty() {
                    true => format!("`{missing}` does not come"),
                    false => format!("`{missing}` does not come after those before it"),
                })
            }
        }
    }
}

/// When an event came.
fn at(outcome: &Outcome, event: &str) -> Vec<Duration> {
    let all = outcome.entries.iter().filter(|entry| entry.event() == Some(event));
    all.map(|entry| entry.at).collect()
}
