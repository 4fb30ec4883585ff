//! The `[main]` table as it is written, and what it resolves to.

use coproc_core::duration::Span;
use coproc_core::event::EventName;
use coproc_core::output::table::RulesTable;
use coproc_core::probe::{ProbeTable, Role};
use coproc_core::refusal::Refusal;
use coproc_core::signal::Signal;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Check, Kind, Main};

coproc_core::program_table! {
/// The main process: the one for whose sake all others run. When it ends, the wrapper stops and
/// leaves with its status.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct MainTable {
    /// `nginx` or `program`: whether nginx's log lines are read as events. Default: `nginx` where
    /// the program has the name of `nginx_binary`. With `none` there is no main process, and no
    /// `exec`.
    #[schemars(example = &"program")]
    pub kind: Option<Kind>,
    /// The program and its arguments: an array, or one text that is split as a shell splits words.
    /// No shell is run; `${name}` is replaced. What stands after `--` on the command line wins.
    /// Default: `nginx_binary` with `-p` and `run_path`, `-c` and the `nginx.conf` in `conf_path`.
    #[schemars(example = ["/usr/local/bin/server", "--port", "8080"])]
    pub exec: Option<Words>,
    /// The event that starts it, if it is to wait for more than `pre-start`. Default: it starts as
    /// soon as `pre-start` is worked off.
    #[schemars(example = &"coprocess.agent.ready")]
    pub exec_event: Option<EventName>,
    /// How its lines are treated: how many are taken, and whether it waits for the log or loses lines.
    /// Default: all are taken, and it waits.
    #[schemars(example = serde_json::json!({ "on_full": "drop", "buffer": "8MiB" }))]
    pub log: Option<RulesTable>,
    /// How it is asked whether it is ready; for a program other than nginx this decides when
    /// `start` is published. Default: nginx is when its first worker runs, any other as soon as it
    /// runs.
    #[schemars(example = serde_json::json!({ "tcp": "127.0.0.1:8080", "within": "30s" }))]
    pub ready: Option<ProbeTable>,
    /// How it is asked whether it is still alive, from when it was ready on; if it is not, it is
    /// stopped and the wrapper leaves with status 1. Default: it is not asked.
    #[schemars(example = serde_json::json!({ "http": "http://127.0.0.1:8080/healthz" }))]
    pub live: Option<ProbeTable>,
    /// What it is sent when the wrapper gets TERM or INT. QUIT to the wrapper is always QUIT to it.
    #[schemars(example = &"QUIT")]
    pub stop_signal: Option<Signal>,
    /// How long it has to end before it is killed. Default: what is left of `shutdown_timeout` less
    /// five seconds for the coprocesses, or less what their own times come to if that is more, and half
    /// of it at least.
    #[schemars(example = &"20s")]
    pub stop_timeout: Option<Span>,
    /// What makes it read its configuration again.
    #[schemars(example = &"USR2")]
    pub reload_signal: Option<Signal>,
    /// A command that checks the new configuration before `reload_signal` is sent, run as the main
    /// process is; unless it ends with status 0 nothing is sent. Or `none`. `${name}` is replaced.
    /// Default: for `nginx_binary` the main process's own words and `-t`, else none.
    #[schemars(example = ["/usr/local/bin/server", "--check"])]
    pub check: Option<Words>,
    /// How long the check may take until it is killed and counts as a refusal.
    #[schemars(example = &"5s")]
    pub check_timeout: Option<Span>,
    /// How long nginx may take to have new workers, until the reload counts as refused and what was
    /// rendered is put back.
    #[schemars(example = &"1m")]
    pub reload_timeout: Option<Span>,
    /// Files and folders whose change asks for a reload, as `coproc reload` does: a folder with all that
    /// is in it and below, but for hidden files and what editors leave. What links lead to, and what
    /// takes a file's place, is seen as well. `${name}` is replaced. Default: none.
    #[schemars(example = ["/etc/nginx/conf.d", "/etc/tls/tls.crt"])]
    pub watch: Option<Words>,
    /// How long nothing has to change until what `watch` names counts as changed, so that several
    /// changes are one reload.
    #[schemars(example = &"2s")]
    pub watch_delay: Option<Span>,
}
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 5] = [
    ("check_timeout", "30s"),
    ("reload_signal", "HUP"),
    ("reload_timeout", "30s"),
    ("stop_signal", "TERM"),
    ("watch_delay", "500ms"),
];

const WATCH_DELAY: Span = Span::from_millis(500);

/// The word that turns the check off.
const NO_CHECK: &str = "none";

coproc_core::impl_choice!(Kind, "Kind", "a kind of main process", {
    "nginx" => Nginx, "program" => Program, or "none" => None
});

impl MainTable {
    /// Checks what single values cannot show, and fills the defaults in. `nginx` is the binary of
    /// the core settings and `arguments` what it is given when no `exec` is set. `refused` names
    /// the keys whose values are known to be wrong, so that they do not count as missing.
    pub fn resolve(
        mut self,
        nginx: &str,
        arguments: [String; 4],
        refused: &[String],
    ) -> Result<Main, Vec<Refusal>> {
        let context = self.context_keys();
        let mut refusals = Vec::new();
        let exec = self.exec.map(|Words(words)| {
            let expected = "a program and its arguments, or no `exec` for nginx";
            refusals.extend(no_command("exec", &words, expected));
            words
        });
        let is_nginx =
            |words: &[String]| words.first().map(|w| base_name(w)) == Some(base_name(nginx));
        let kind = self.kind.unwrap_or_else(|| match &exec {
            Some(words) if !is_nginx(words) => Kind::Program,
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
        let own_check = self.check.map(|Words(words)| {
            let expected = "a program and its arguments, or `none`";
            refusals.extend(no_command("check", &words, expected));
            words
        });
        let Words(watch) = self.watch.unwrap_or(Words(Vec::new()));
        if kind == Kind::None && !watch.is_empty() {
            let wrong = Refusal::wrong("watch", "is set although `kind` is `none`");
            refusals.push(wrong.expected("no `watch`: there is nobody to reload"));
        }
        if watch.iter().any(|path| path.trim().is_empty()) {
            refusals.push(Refusal::wrong("watch", "names a blank path").expected("paths"));
        }
        refusals.extend(context.refusals());
        let mut probe = |table: Option<ProbeTable>, role: Role| {
            let report = !refused.iter().any(|key| key == role.key());
            table.and_then(|table| table.resolve(role, report, &mut refusals))
        };
        let ready = probe(self.ready, Role::Ready);
        let live = probe(self.live, Role::Live);
        let log = self.log.unwrap_or_default().resolve(&mut refusals);
        for (key, time) in
            [("check_timeout", self.check_timeout), ("reload_timeout", self.reload_timeout)]
        {
            if time.is_some_and(|time| time.get().is_zero()) {
                let wrong = Refusal::wrong(key, "leaves no time");
                refusals.push(wrong.expected("a duration above zero"));
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let exec = match kind {
            Kind::None => Vec::new(),
            _ => exec.unwrap_or_else(|| [nginx.to_owned()].into_iter().chain(arguments).collect()),
        };
        let check = match own_check {
            Some(words) if words == [NO_CHECK] => Check::Off,
            Some(words) => Check::Command(words),
            None if kind == Kind::Nginx && is_nginx(&exec) => Check::Nginx,
            // What another program makes of `-t`, nobody knows: it may start to serve.
            None => Check::Off,
        };
        Ok(Main {
            kind,
            exec,
            check,
            exec_event: self.exec_event,
            context: context.into(),
            log,
            ready,
            live,
            stop_signal: self.stop_signal.unwrap_or(Signal::TERM),
            stop_timeout: self.stop_timeout.map(Span::get),
            reload_signal: self.reload_signal.unwrap_or(Signal::HUP),
            check_timeout: self.check_timeout.unwrap_or(Span::from_secs(30)).get(),
            reload_timeout: self.reload_timeout.unwrap_or(Span::from_secs(30)).get(),
            watch,
            watch_delay: self.watch_delay.unwrap_or(WATCH_DELAY).get(),
        })
    }
}

/// What is wrong with a command that names no program.
fn no_command(key: &'static str, words: &[String], expected: &'static str) -> Option<Refusal> {
    let wrong = match words {
        [] => "has no words",
        [program, ..] if program.trim().is_empty() => "names a blank program",
        _ => return None,
    };
    Some(Refusal::wrong(key, wrong).expected(expected))
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

    #[test]
    fn nginx_is_checked_with_its_own_words_and_others_with_theirs() {
        let check = |json: &str| resolve(json).unwrap().check().map(|words| words.join(" "));
        assert_eq!(check("{}").unwrap(), "/opt/nginx -p /r -c /r/conf/nginx.conf -t");
        let own = r#"{"exec": ["/usr/sbin/nginx", "-g", "daemon off;"]}"#;
        assert_eq!(check(own).unwrap(), "/usr/sbin/nginx -g daemon off; -t");
        assert_eq!(check(r#"{"exec": "httpd"}"#), None);
        assert_eq!(check(r#"{"exec": "./start-nginx", "kind": "nginx"}"#), None);
        assert_eq!(check(r#"{"exec": "httpd", "check": "httpd -t"}"#).unwrap(), "httpd -t");
        assert_eq!(check(r#"{"check": "none"}"#), None);
        assert!(resolve(r#"{"check": []}"#).is_err());
        assert!(resolve(r#"{"check": [" "]}"#).is_err());
    }
}
