//! The `log` table of one process as it is written, and the rules that it resolves to.

use schemars::JsonSchema;
use serde::Deserialize;

use super::rules::BUFFER;
use super::{Form, OnFull, Rate, Rules};
use crate::count::{Bytes, Positive};
use crate::refusal::Refusal;

/// The key of a process's table under which this one stands.
const KEY: &str = "log";

/// How the lines of one process are treated.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RulesTable {
    /// How many lines are taken in which time. Default: all that come.
    #[schemars(example = &"1000/s")]
    pub rate: Option<Rate>,
    /// How many lines are taken at once after a silence, whatever the `rate`. Default: as many as
    /// `rate` names.
    #[schemars(example = 5000)]
    pub burst: Option<Positive>,
    /// What becomes of lines beyond the rate, or beyond what a slow destination takes: with `block`
    /// the process waits with its output, with `drop` they are lost, counted, and it is said how many.
    #[schemars(example = &"drop", extend("default" = "block"))]
    pub on_full: Option<OnFull>,
    /// With `on_full = "drop"`: how much may wait for a slow destination, in bytes. Default: 1MiB.
    #[schemars(example = &"256KiB")]
    pub buffer: Option<Bytes>,
    /// The shape of its lines, by the words of `log.formatter_name`, and with the log's options. Default:
    /// that of the log.
    #[schemars(example = &"raw")]
    pub formatter_name: Option<Form>,
}

impl RulesTable {
    /// Checks what single values cannot show, and fills the defaults in.
    pub fn resolve(self, refusals: &mut Vec<Refusal>) -> Rules {
        let Self { rate, burst, on_full, buffer, formatter_name: form } = self;
        let on_full = on_full.unwrap_or(OnFull::Block);
        let mut idle = |key: &'static str, why: &str, expected: &str| {
            refusals.push(Refusal::wrong(KEY, why).below(key).expected(expected));
        };
        if burst.is_some() && rate.is_none() {
            idle("burst", "there is no `rate` that it could exceed", "`rate` beside it");
        }
        if buffer.is_some() && on_full == OnFull::Block {
            let why = "nothing is kept back for a process that waits";
            idle("buffer", why, "`on_full = \"drop\"` beside it");
        }
        let burst = burst.map(|count| count.0).or_else(|| rate.map(Rate::lines));
        let buffer = buffer.map_or(BUFFER, |bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX));
        Rules { rate, burst: burst.unwrap_or(1), buffer, on_full, form }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<Rules, Vec<String>> {
        let mut refusals = Vec::new();
        let rules = serde_json::from_str::<RulesTable>(json).unwrap().resolve(&mut refusals);
        if refusals.is_empty() {
            return Ok(rules);
        }
        Err(refusals
            .into_iter()
            .map(|one| format!("{}: {}", one.key.join("."), one.what))
            .collect())
    }

    #[test]
    fn nothing_is_lost_unless_it_is_asked_for() {
        assert_eq!(resolve("{}"), Ok(Rules::default()));
        assert!(resolve("{}").unwrap().is_plain());
        let rules = resolve(r#"{"rate": "100/10s"}"#).unwrap();
        assert_eq!((rules.burst, rules.on_full), (100, OnFull::Block));
        let rules = resolve(r#"{"on_full": "drop", "buffer": "1kB"}"#).unwrap();
        assert_eq!((rules.rate, rules.buffer), (None, 1000));
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        assert_eq!(
            resolve(r#"{"burst": 5, "buffer": 5}"#).unwrap_err(),
            [
                "log.burst: there is no `rate` that it could exceed",
                "log.buffer: nothing is kept back for a process that waits",
            ]
        );
    }
}
