//! The `[coprocess.NAME]` table as it is written, and what it resolves to.

use std::time::Duration;

use coproc_core::count::Count;
use coproc_core::duration::{GoDuration, Span};
use coproc_core::event::{EventName, Phase};
use coproc_core::flag::Flag;
use coproc_core::name::Name;
use coproc_core::output::table::RulesTable;
use coproc_core::probe::{ProbeTable, Role};
use coproc_core::refusal::Refusal;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Backoff, Coprocess, OnGiveUp, Patience, Policy, RestartLimit, Restarts};
use crate::replicas::Replicas;
use crate::scalars::{ExitCodes, Factor};
use crate::schedule_table::ScheduleTable;

coproc_core::program_table! {
/// One coprocess: a program that runs beside the main process.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct CoprocessTable {
    /// By which commands, events and logs name it. Unique; without dots, slashes and control
    /// characters; `main` is taken. By convention it is the name of the table.
    #[schemars(required, example = &"agent")]
    pub name: Option<Name>,
    /// The program and its arguments: an array, or one text that is split as a shell splits words.
    /// No shell is run; `${name}` is replaced, and an unknown name stays as it is written.
    #[schemars(required, example = ["/usr/local/bin/agent", "--id", "${host_id}"])]
    pub exec: Option<Words>,
    /// A command that is run at the stop event, whether the program runs or not, before the program
    /// is signalled. It is written as `exec` is. Default: none.
    #[schemars(example = ["/usr/local/bin/agent", "leave"])]
    pub stop_exec: Option<Words>,
    /// How often the program is started again after it has ended, whatever its status: `never`,
    /// `unlimited`, or a number of restarts. The number is a total, not one in a row. With `schedule` it is
    /// about each run of it. Default: `never` with `schedule`; else it is required.
    #[schemars(example = &"unlimited")]
    pub restarts: Option<Restarts>,
    /// The pause before each restart, counted from the exit. After a run of less than a second it
    /// is 100ms at least.
    #[schemars(example = &"5s")]
    pub time_between_restarts: Option<GoDuration>,
    /// Whether the event that starts it goes on at once. If not, the event waits until the program
    /// has ended for good, its restarts included.
    #[schemars(example = true)]
    pub background: Option<Flag>,
    /// The event that starts the program. While it runs, the same event does nothing; after it has
    /// ended, it starts anew. Default: the events of `after`; `start` with `schedule`, which begins then
    /// and starts nothing at once; else it is required.
    #[schemars(example = &"pre-start")]
    pub exec_event: Option<EventName>,
    /// What has to be there before it starts, besides `exec_event` or in its place: names of coprocesses,
    /// which have to be ready, or ended well where they run once (`restarts = "never"`, and no `ready`);
    /// `NAME.CHANGE`; names of events. What went down since does not count. Default: nothing.
    #[schemars(example = ["migrate", "db.ready"])]
    pub after: Option<Words>,
    /// The times at which it is started. Such a start holds no event. Default: none.
    #[schemars(example = serde_json::json!({ "cron": "30 3 * * *", "jitter": "10m" }))]
    pub schedule: Option<ScheduleTable>,
    /// The event that runs `stop_exec` and stops the program, and ends its schedule.
    #[schemars(example = &"pre-reload")]
    pub stop_event: Option<EventName>,
    /// How many of it there are, each a coprocess by itself that is named `NAME-1` and so on, with its
    /// number as `${replica}` wherever `${name}` is replaced, and as COPROC_REPLICA. Commands and events that
    /// name `NAME` are about all of them. Default: one, whose name has no number.
    #[schemars(example = 3)]
    pub replicas: Option<Replicas>,
    /// Whether it has a control group of its own, below the wrapper's in the unified hierarchy, and when it
    /// ends all that is in it is killed, also what left its process group. Where no such group can be made
    /// a warning says so, and it runs without. Default: `false`.
    #[schemars(example = true)]
    pub cgroup: Option<Flag>,
    /// How its lines are treated: how many are taken, and whether it waits for the log or loses lines.
    /// Default: all are taken, and it waits.
    #[schemars(example = serde_json::json!({ "rate": "1000/s", "on_full": "drop" }))]
    pub log: Option<RulesTable>,
    /// How it is asked whether it is ready. Until it is, it is in state `starting`. Default: it is
    /// as soon as it runs.
    #[schemars(example = serde_json::json!({ "tcp": "127.0.0.1:8500", "within": "30s" }))]
    pub ready: Option<ProbeTable>,
    /// How it is asked whether it is still alive, from when it was ready on; if it is not, it is
    /// stopped and `restarts` decides. Default: it is not asked.
    #[schemars(example = serde_json::json!({ "tcp": "127.0.0.1:8500", "interval": "10s" }))]
    pub live: Option<ProbeTable>,
    /// A pause that grows from restart to restart; the longer of it and `time_between_restarts` is
    /// kept. Default: the pause is always the same.
    #[schemars(example = serde_json::json!({ "initial": "500ms", "max": "1m" }))]
    pub backoff: Option<BackoffTable>,
    /// How many restarts within a window of time are too many: then it is given up, whatever
    /// `restarts` says. Default: no limit.
    #[schemars(example = serde_json::json!({ "count": 5, "window": "1m" }))]
    pub restart_limit: Option<RestartLimitTable>,
    /// The exit codes that count as success.
    #[schemars(example = [0, 143])]
    pub success_exit_codes: Option<ExitCodes>,
    /// What follows when no restart is left and its last run failed: `ignore`, or `shutdown`, which
    /// stops the wrapper with the coprocess's own status.
    #[schemars(example = &"shutdown")]
    pub on_give_up: Option<OnGiveUp>,
    /// How long TERM and INT each have to end it, and its whole process group, before the next
    /// signal; the last one is KILL. The default is less where `shutdown_timeout` leaves less.
    #[schemars(example = &"2s")]
    pub stop_timeout: Option<Span>,
    /// How long `stop_exec` may take before it is killed. The default is less where `shutdown_timeout`
    /// leaves less.
    #[schemars(example = &"3s")]
    pub stop_exec_timeout: Option<Span>,
    /// The tasks that it offers to the coordinator. While it is started again, a request for one of
    /// them waits for it within the request's time and is not refused. Default: none.
    #[schemars(example = ["Greet"])]
    pub tasks: Option<Words>,
}
}

/// A pause that grows from restart to restart. Up to a quarter of it is added by chance, so that
/// many that failed together do not come back together.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct BackoffTable {
    /// The first pause.
    #[schemars(example = &"500ms", extend("default" = INITIAL.to_string()))]
    pub initial: Option<Span>,
    /// The longest pause.
    #[schemars(example = &"1m", extend("default" = LONGEST.to_string()))]
    pub max: Option<Span>,
    /// By what each pause is longer than the one before.
    #[schemars(example = 1.5, extend("default" = FACTOR))]
    pub factor: Option<Factor>,
    /// A run of this length makes the next pause the first again.
    #[schemars(example = &"5m", extend("default" = RESET_AFTER.to_string()))]
    pub reset_after: Option<Span>,
}

/// A limit on restarts in a window of time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RestartLimitTable {
    /// How many restarts are allowed within `window`; the next one is one too many.
    #[schemars(required, example = 5)]
    pub count: Option<Count>,
    /// In which time.
    #[schemars(example = &"10m", extend("default" = WINDOW.to_string()))]
    pub window: Option<Span>,
}

const INITIAL: Span = Span::from_millis(200);
const LONGEST: Span = Span::from_secs(30);
const FACTOR: f64 = 2.0;
const RESET_AFTER: Span = Span::from_secs(30);
const WINDOW: Span = Span::from_secs(60);

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 7] = [
    ("time_between_restarts", "0s"),
    ("background", "false"),
    ("stop_event", "exit"),
    ("success_exit_codes", "0"),
    ("on_give_up", "ignore"),
    ("stop_timeout", "5s"),
    ("stop_exec_timeout", "10s"),
];

const STOP_TIMEOUT: Span = Span::from_secs(5);
const STOP_EXEC_TIMEOUT: Span = Span::from_secs(10);

impl CoprocessTable {
    /// Checks what single values cannot show, and fills the defaults in. `refused` names the keys
    /// whose values are known to be wrong, so that they do not count as missing.
    pub fn resolve(mut self, key: &str, refused: &[String]) -> Result<Coprocess, Vec<Refusal>> {
        let context = self.context_keys();
        let mut refusals = Vec::new();
        let missing = |key: &str| !refused.iter().any(|k| k == key);
        if self.name.is_none() && missing("name") {
            refusals.push(Refusal::missing("name", format!("name = \"{key}\"")));
        }
        match &self.exec {
            None if missing("exec") => {
                let hint = format!("exec = [\"/usr/bin/{key}\", \"--port\", \"8080\"]");
                refusals.push(Refusal::missing("exec", hint));
            }
            Some(words) => check_words("exec", words, &mut refusals),
            None => {}
        }
        let scheduled = self.schedule.is_some() || !missing("schedule");
        let follows = match &self.after {
            Some(Words(words)) => !words.is_empty(),
            None => !missing("after"),
        };
        if self.restarts.is_none() && !scheduled && missing("restarts") {
            refusals.push(Refusal::missing("restarts", "restarts = \"unlimited\""));
        }
        if self.exec_event.is_none() && !scheduled && !follows && missing("exec_event") {
            refusals.push(Refusal::missing("exec_event", "exec_event = \"pre-start\""));
        }
        let stop_exec = self.stop_exec.filter(|words| !words.0.is_empty());
        if let Some(words) = &stop_exec {
            check_words("stop_exec", words, &mut refusals);
        }
        let backoff = self.backoff.map(|table| backoff(table, &mut refusals));
        let restart_limit = match self.restart_limit {
            Some(table) => restart_limit(table, missing("restart_limit"), &mut refusals),
            None => None,
        };
        refusals.extend(context.refusals());
        let at_once = self.exec_event.is_some() || follows;
        let schedule = self
            .schedule
            .and_then(|table| table.resolve(missing("schedule"), at_once, &mut refusals));
        let restarts = self.restarts.or(scheduled.then_some(Restarts::Never));
        // Which events the words of `after` are, the whole config has to tell.
        let exec_event = self.exec_event.or((scheduled || follows).then_some(Phase::Start.into()));
        let mut probe = |table: Option<ProbeTable>, role: Role| {
            table.and_then(|table| table.resolve(role, missing(role.key()), &mut refusals))
        };
        let ready = probe(self.ready, Role::Ready);
        let live = probe(self.live, Role::Live);
        let log = self.log.unwrap_or_default().resolve(&mut refusals);
        let (Some(name), Some(exec), Some(restarts), Some(exec_event), true) =
            (self.name, self.exec, restarts, exec_event, refusals.is_empty())
        else {
            return Err(refusals);
        };
        Ok(Coprocess {
            key: key.to_owned(),
            name,
            replica: None,
            exec: exec.0,
            stop_exec: stop_exec.map(|words| words.0),
            context: context.of_helper(),
            cgroup: self.cgroup.is_some_and(|flag| flag.0),
            log,
            ready,
            live,
            policy: Policy {
                restarts,
                time_between_restarts: self
                    .time_between_restarts
                    .map_or(Duration::ZERO, GoDuration::pause),
                background: self.background.is_some_and(|flag| flag.0),
                backoff,
                restart_limit,
                success_exit_codes: self
                    .success_exit_codes
                    .map_or_else(|| vec![0], |codes| codes.0),
                on_give_up: self.on_give_up.unwrap_or(OnGiveUp::Ignore),
            },
            exec_event,
            after: Vec::new(),
            schedule,
            stop_event: self.stop_event.unwrap_or(Phase::Exit.into()),
            stop_timeout: patience(self.stop_timeout, STOP_TIMEOUT),
            stop_exec_timeout: patience(self.stop_exec_timeout, STOP_EXEC_TIMEOUT),
            tasks: self.tasks.map(|Words(tasks)| tasks).unwrap_or_default(),
        })
    }
}

/// A time that is the default counts as one that nobody said, as defaults may be written out.
fn patience(set: Option<Span>, default: Span) -> Patience {
    let time = set.unwrap_or(default);
    Patience { time: time.get(), said: time != default }
}

fn check_words(key: &'static str, words: &Words, refusals: &mut Vec<Refusal>) {
    let expected = "a program and its arguments";
    match words.0.first() {
        None => refusals.push(Refusal::wrong(key, "has no words").expected(expected)),
        Some(program) if program.trim().is_empty() => {
            refusals.push(Refusal::wrong(key, "names a blank program").expected(expected));
        }
        Some(_) => {}
    }
}

fn backoff(table: BackoffTable, refusals: &mut Vec<Refusal>) -> Backoff {
    let initial = table.initial.unwrap_or(INITIAL).get();
    let max = table.max.unwrap_or(LONGEST).get();
    if max < initial {
        refusals.push(
            Refusal::wrong("backoff", "is shorter than `initial`")
                .below("max")
                .expected("a pause that the first one can grow to"),
        );
    }
    Backoff {
        initial,
        max,
        factor: table.factor.map_or(FACTOR, |factor| factor.0),
        reset_after: table.reset_after.unwrap_or(RESET_AFTER).get(),
    }
}

fn restart_limit(
    table: RestartLimitTable,
    report: bool,
    refusals: &mut Vec<Refusal>,
) -> Option<RestartLimit> {
    let Some(Count(count)) = table.count else {
        if report {
            refusals.push(
                Refusal::wrong("restart_limit", "`count` is required")
                    .expected("`{ count = 5, window = \"1m\" }`"),
            );
        }
        return None;
    };
    let window = table.window.unwrap_or(WINDOW).get();
    Some(RestartLimit { count, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(json: &str) -> CoprocessTable {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_guides_defaults() {
        let coprocess = table(
            r#"{"name": "a", "exec": "a b", "restarts": "4", "exec_event": "start", "user": ""}"#,
        )
        .resolve("key", &[])
        .unwrap();
        assert_eq!(coprocess.policy.restarts, Restarts::Times(4));
        assert_eq!(coprocess.exec, ["a", "b"]);
        assert_eq!(coprocess.context.user, None);
        assert_eq!(coprocess.stop_event, EventName::Phase(Phase::Exit));
        assert!(!coprocess.policy.background);
        assert_eq!(coprocess.stop_timeout, Patience::default_of(Duration::from_secs(5)));
        assert_eq!(coprocess.policy.success_exit_codes, [0]);
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let refusals = CoprocessTable::default().resolve("web", &[]).unwrap_err();
        let whats = refusals.iter().map(|r| r.what.as_str()).collect::<Vec<_>>();
        assert_eq!(
            whats,
            [
                "`name` is required",
                "`exec` is required",
                "`restarts` is required",
                "`exec_event` is required"
            ]
        );
        let refused = ["name", "exec", "restarts", "exec_event"].map(str::to_owned);
        assert_eq!(CoprocessTable::default().resolve("web", &refused).unwrap_err(), []);
    }

    #[test]
    fn a_negative_pause_is_none() {
        let mut table =
            table(r#"{"name": "a", "exec": "a", "restarts": 0, "exec_event": "start"}"#);
        table.time_between_restarts = "-1h".parse().ok();
        let coprocess = table.resolve("a", &[]).unwrap();
        assert_eq!(coprocess.policy.time_between_restarts, Duration::ZERO);
    }
}
