//! The `[main]` table as it is written, and what it resolves to.

use std::collections::BTreeMap;

use coproc_core::duration::GoDuration;
use coproc_core::event::EventName;
use coproc_core::probe::{ProbeTable, Role};
use coproc_core::process::table::{ContextKeys, LimitsTable, Umask};
use coproc_core::refusal::Refusal;
use coproc_core::scalar::Scalar;
use coproc_core::signal::Signal;
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Kind, Main};

/// The main process.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct MainTable {
    /// `nginx` or `program`: whether nginx's log lines are events. Default: `nginx` where the
    /// program is `nginx_binary`. With `none` there is no main process, and no `exec`.
    pub kind: Option<Kind>,
    /// The program and its arguments. Default: nginx with `run_path` and `conf_path`.
    pub exec: Option<Words>,
    /// The event that starts it, if later than after `pre-start`.
    pub exec_event: Option<EventName>,
    /// The user to run it as. Default: the wrapper's own.
    pub user: Option<Text>,
    /// The group to run it as. Default: the user's own.
    pub group: Option<Text>,
    /// Variables that are added to the wrapper's environment.
    pub env: Option<BTreeMap<String, Text>>,
    /// A file of `NAME=VALUE` lines that is read at each start; `env` wins over it.
    pub env_file: Option<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The file mode creation mask, such as `"0027"`.
    pub umask: Option<Umask>,
    /// Resource limits, such as `{ nofile = 1024 }`.
    pub limits: Option<LimitsTable>,
    /// How it is asked whether it is ready; for a program other than nginx this decides when `start`
    /// is published. Default: nginx is when its first worker runs, any other as soon as it runs.
    pub ready: Option<ProbeTable>,
    /// How it is asked whether it is still alive, from when it was ready on; if it is not, it is
    /// stopped and the wrapper leaves with status 1.
    pub live: Option<ProbeTable>,
    /// What TERM and INT to the wrapper become. Default: `TERM`.
    pub stop_signal: Option<Signal>,
    /// How long it has to end before it is killed. Default: what is left of `shutdown_timeout` less
    /// five seconds.
    pub stop_timeout: Option<GoDuration>,
    /// What makes it read its configuration again. Default: `HUP`.
    pub reload_signal: Option<Signal>,
    /// How long a reload may take until it counts as refused. Default: `30s`.
    pub reload_timeout: Option<GoDuration>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 3] =
    [("reload_signal", "HUP"), ("reload_timeout", "30s"), ("stop_signal", "TERM")];

impl Scalar for Kind {
    const NOUN: &'static str = "a kind of main process";
    const EXPECTED: &'static str = "`nginx`, `program` or `none`";

    fn read(text: &str) -> Option<Self> {
        match text {
            "nginx" => Some(Self::Nginx),
            "program" => Some(Self::Program),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

coproc_core::impl_scalar!(Kind, "Kind", { "enum": ["nginx", "program", "none"] });

impl MainTable {
    /// Checks what single values cannot show, and fills the defaults in. `nginx` is the binary of
    /// the core settings and `arguments` what it is given when no `exec` is set. `refused` names the
    /// keys whose values are known to be wrong, so that they do not count as missing.
    pub fn resolve(
        self,
        nginx: &str,
        arguments: [String; 4],
        refused: &[String],
    ) -> Result<Main, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let exec = match self.exec {
            Some(Words(words)) => {
                if words.first().is_none_or(|program| program.trim().is_empty()) {
                    let wrong = match words.is_empty() {
                        true => "has no words",
                        false => "names a blank program",
                    };
                    refusals.push(
                        Refusal::wrong("exec", wrong)
                            .expected("a program and its arguments, or no `exec` for nginx"),
                    );
                }
                Some(words)
            }
            None => None,
        };
        let kind = self.kind.unwrap_or_else(|| match &exec {
            Some(words) if words.first().map(|w| base_name(w)) != Some(base_name(nginx)) => {
                Kind::Program
            }
            _ => Kind::Nginx,
        });
        if exec.is_some() && kind == Kind::None {
            refusals.push(
                Refusal::wrong("exec", "is set although `kind` is `none`")
                    .expected("no `exec`, or another `kind`"),
            );
        }
        if exec.is_none() && kind == Kind::Program {
            refusals.push(Refusal::missing("exec", "exec = [\"/usr/bin/server\"]"));
        }
        let mut probe = |table: Option<ProbeTable>, role: Role| {
            let report = !refused.iter().any(|key| key == role.key());
            table.and_then(|table| table.resolve(role, report, &mut refusals))
        };
        let ready = probe(self.ready, Role::Ready);
        let live = probe(self.live, Role::Live);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        Ok(Main {
            kind,
            exec: match kind {
                Kind::None => Vec::new(),
                _ => exec
                    .unwrap_or_else(|| [nginx.to_owned()].into_iter().chain(arguments).collect()),
            },
            exec_event: self.exec_event,
            context: ContextKeys {
                user: self.user,
                group: self.group,
                env: self.env,
                env_file: self.env_file,
                cwd: self.cwd,
                umask: self.umask,
                limits: self.limits,
            }
            .into(),
            ready,
            live,
            stop_signal: self.stop_signal.unwrap_or(Signal::TERM),
            stop_timeout: self.stop_timeout.map(GoDuration::pause),
            reload_signal: self.reload_signal.unwrap_or(Signal::HUP),
            reload_timeout: self.reload_timeout.unwrap_or(GoDuration::from_secs(30)).pause(),
        })
    }
}

/// What follows the last slash.
fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<Main, Vec<Refusal>> {
        let arguments = ["-p", "/r", "-c", "/r/conf/nginx.conf"].map(str::to_owned);
        serde_json::from_str::<MainTable>(json).unwrap().resolve("/opt/nginx", arguments, &[])
    }

    #[test]
    fn without_exec_it_is_nginx() {
        let main = resolve("{}").unwrap();
        assert_eq!(main.kind, Kind::Nginx);
        assert_eq!(main.exec, ["/opt/nginx", "-p", "/r", "-c", "/r/conf/nginx.conf"]);
    }

    #[test]
    fn the_basename_tells_nginx_from_other_programs() {
        assert_eq!(resolve(r#"{"exec": "/usr/sbin/nginx -t"}"#).unwrap().kind, Kind::Nginx);
        assert_eq!(resolve(r#"{"exec": "httpd"}"#).unwrap().kind, Kind::Program);
        assert_eq!(resolve(r#"{"exec": "httpd", "kind": "nginx"}"#).unwrap().kind, Kind::Nginx);
        assert!(resolve(r#"{"exec": []}"#).is_err());
        assert!(resolve(r#"{"kind": "program"}"#).is_err());
        assert!(resolve(r#"{"kind": "none", "exec": "httpd"}"#).is_err());
        assert!(resolve(r#"{"kind": "none"}"#).unwrap().exec.is_empty());
    }
}
