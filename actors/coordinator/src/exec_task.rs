//! The task `exec`, which coproc itself offers: what it may run, as it is written and what it
//! resolves to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coproc_core::count::Positive;
use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::printable;
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

const TIMEOUT: Span = Span::from_secs(60);
const MAX_RUNNING: u32 = 16;

/// The task `exec`: programs that whoever reaches the coordinator may have run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ExecTaskTable {
    /// The programs, by their absolute paths, whatever their arguments.
    #[schemars(required, example = ["/usr/bin/uptime", "/usr/local/bin/backup"])]
    pub allow: Option<Words>,
    /// The user to run them as, by name or number. Default: the wrapper's own.
    #[schemars(example = &"nobody")]
    pub user: Option<Text>,
    /// How long one may run before it is sent TERM, and KILL five seconds later; `0` is for ever.
    #[schemars(example = &"10m", extend("default" = TIMEOUT.to_string()))]
    pub timeout: Option<Span>,
    /// How many may run at once; further ones are refused.
    #[schemars(example = 4, extend("default" = MAX_RUNNING))]
    pub max_running: Option<Positive>,
}

/// What the task `exec` may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecTask {
    /// Absolute paths of programs.
    pub allow: Vec<PathBuf>,
    /// The user to run them as.
    pub user: Option<String>,
    /// How long one may run.
    pub timeout: Option<Duration>,
    /// How many may run at once.
    pub max_running: usize,
}

impl ExecTaskTable {
    /// Checks what single values cannot show, and fills the defaults in. `missing` says whether the
    /// list would be missed if it is not there.
    pub(crate) fn resolve(self, missing: bool, refusals: &mut Vec<Refusal>) -> Option<ExecTask> {
        let Some(Words(allow)) = self.allow else {
            if missing {
                let hint = "exec = { allow = [\"/usr/bin/uptime\"] }";
                let refusal = Refusal::missing("allow", hint);
                refusals.push(Refusal { key: vec!["exec".into()], ..refusal });
            }
            return None;
        };
        if allow.is_empty() {
            let refusal = Refusal::wrong("exec", "nothing is allowed").below("allow");
            refusals.push(refusal.expected("absolute paths of programs"));
        }
        for program in allow.iter().filter(|program| !Path::new(program).is_absolute()) {
            let what = format!("`{}` is not an absolute path", printable(program));
            let expected = "absolute paths of programs";
            refusals.push(Refusal::wrong("exec", what).below("allow").expected(expected));
        }
        Some(ExecTask {
            allow: allow.into_iter().map(PathBuf::from).collect(),
            user: self.user.map(|Text(user)| user),
            timeout: Some(self.timeout.unwrap_or(TIMEOUT).get()).filter(|time| !time.is_zero()),
            max_running: self.max_running.map_or(MAX_RUNNING, |limit| limit.0) as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<ExecTask, Vec<String>> {
        let table: ExecTaskTable = serde_json::from_str(json).unwrap();
        let mut refusals = Vec::new();
        let task = table.resolve(true, &mut refusals);
        match refusals.is_empty() {
            true => Ok(task.unwrap()),
            false => Err(refusals.into_iter().map(|refusal| refusal.what).collect()),
        }
    }

    #[test]
    fn programs_are_absolute_paths() {
        let task = resolve(r#"{"allow": ["/bin/ls", "/bin/cat"], "timeout": "0"}"#).unwrap();
        assert_eq!(task.allow, [Path::new("/bin/ls"), Path::new("/bin/cat")]);
        assert_eq!((task.timeout, task.max_running), (None, 16));
        assert_eq!(resolve(r#"{"allow": "ls"}"#).unwrap_err(), ["`ls` is not an absolute path"]);
        assert_eq!(resolve("{}").unwrap_err(), ["`allow` is required"]);
        assert_eq!(resolve(r#"{"allow": []}"#).unwrap_err(), ["nothing is allowed"]);
        let plain = resolve(r#"{"allow": ["/bin/ls"]}"#).unwrap();
        assert_eq!(plain.timeout, Some(Duration::from_secs(60)));
    }
}
