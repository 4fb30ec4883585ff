//! The `schedule` of a coprocess as it is written, and what it resolves to.

use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::{Scalar, printable};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cron::Cron;
use crate::schedule::{Overlap, Schedule, When, Zone};

/// The times at which a coprocess is started, from its `exec_event` (`start`) to its `stop_event`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ScheduleTable {
    /// One run after another at this distance, the first after it has passed once. Nobody can set the
    /// clock that this is measured by. One second at least. Default: none.
    #[schemars(example = &"1h")]
    pub every: Option<Span>,
    /// In place of `every`: the minute, hour, day of the month, month and day of the week of runs, as in
    /// crontab(5), or `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`. Default: none.
    #[schemars(example = &"*/5 * * * *")]
    pub cron: Option<Cron>,
    /// Whose clocks `cron` is about: `local`, the machine's or those of the variable TZ, or `UTC`.
    #[schemars(example = &"UTC", extend("default" = "local"))]
    pub zone: Option<Zone>,
    /// What becomes of a run that is due while the one before has not ended, its restarts included:
    /// `skip` leaves it out, `queue` starts one when that has ended, `restart` stops that.
    #[schemars(example = &"queue", extend("default" = "skip"))]
    pub overlap: Option<Overlap>,
    /// Each run is later than its time by less than this, by chance, so that many machines do not do the
    /// same at once. Shorter than `every`.
    #[schemars(example = &"30s", extend("default" = "0s"))]
    pub jitter: Option<Span>,
}

impl Scalar for Cron {
    const NOUN: &'static str = "a line of crontab";
    const EXPECTED: &'static str = "five fields, such as `*/5 * * * *`, or such as `@daily`";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn complaint(text: &str) -> String {
        let shown = printable(text);
        match Self::parse(text) {
            Ok(_) => format!("`{shown}` is {}", Self::NOUN),
            Err(why) => format!("`{shown}` is not {}: {why}", Self::NOUN),
        }
    }
}

coproc_core::impl_scalar!(Cron, "Cron", { "type": "string" });

coproc_core::impl_choice!(Zone, "Zone", "a zone of a schedule", {
    "local" => Local, or "UTC" => Utc
});

coproc_core::impl_choice!(Overlap, "Overlap", "something that can become of a run", {
    "skip" => Skip, "queue" => Queue, or "restart" => Restart
});

/// The shortest distance of two runs.
const SHORTEST: Span = Span::from_secs(1);

impl ScheduleTable {
    /// Checks what single values cannot show. `report` says whether a table without times is to be
    /// told of, `at_once` whether the event that begins it starts a run.
    pub(crate) fn resolve(
        self,
        report: bool,
        at_once: bool,
        refusals: &mut Vec<Refusal>,
    ) -> Option<Schedule> {
        let wrong = |what: &str| Refusal::wrong("schedule", what);
        let jitter = self.jitter.map(Span::get).unwrap_or_default();
        let when = match (self.every, self.cron) {
            (Some(_), Some(_)) => {
                refusals.push(wrong("`every` and `cron` exclude each other").below("cron"));
                return None;
            }
            (None, None) => {
                if report {
                    let right = "`{ every = \"1h\" }` or `{ cron = \"*/5 * * * *\" }`";
                    refusals.push(wrong("says no times").expected(right));
                }
                return None;
            }
            (Some(every), None) => {
                if every.get() < SHORTEST.get() {
                    refusals.push(wrong("is too short").below("every").expected("`1s` or more"));
                } else if jitter >= every.get() {
                    let right = "a duration that is shorter than `every`";
                    refusals.push(wrong("is too long").below("jitter").expected(right));
                }
                if self.zone.is_some() {
                    let right = "`cron`, or no `zone`";
                    refusals.push(wrong("is set without `cron`").below("zone").expected(right));
                }
                When::Every(every.get())
            }
            (None, Some(cron)) => When::Cron(cron, self.zone.unwrap_or(Zone::Local)),
        };
        let overlap = self.overlap.unwrap_or(Overlap::Skip);
        Some(Schedule { when, overlap, jitter, at_once })
    }
}
