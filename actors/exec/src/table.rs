//! The `[exec_socket]` table as it is written, and what it resolves to.

use std::borrow::Cow;
use std::time::Duration;

use coproc_core::count::Positive;
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::mode::Mode;
use coproc_core::peers;
use coproc_core::refusal::Refusal;
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::allow_table::{AllowList, for_ever_if_zero};
use crate::config::{ExecSocket, KillScope};
use crate::protocol::Termsig;
use crate::scalars::{Drain, Threads};
use crate::session::{ExecFailure, HalfClose};

coproc_core::program_table! {
/// A socket over which clients have programs run, without a shell.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ExecSocketTable {
    /// Its path, of at most 107 bytes. `${name}` is replaced.
    #[schemars(required, example = &"/run/coproc/exec.sock")]
    pub path: Option<String>,
    /// The mode of its file, in octal digits and in quotes.
    #[schemars(example = &"0600")]
    pub mode: Option<Mode>,
    /// Whom its file is given to: `USER`, `USER:GROUP` or `:GROUP`. Default: the wrapper's own.
    #[schemars(example = &"www-data:www-data")]
    pub owner: Option<Text>,
    /// How many connections are served at once; further ones are closed without an answer.
    #[schemars(example = 64)]
    pub max_connections: Option<Positive>,
    /// How many of them one user, as the kernel names the client's, may have at once. Default: all.
    #[schemars(example = 16)]
    pub max_connections_per_user: Option<Positive>,
    /// How many clients may wait to be accepted.
    #[schemars(example = 256)]
    pub max_queue: Option<Positive>,
    /// How many threads serve. Default: as many as there are processors.
    #[schemars(example = 2)]
    pub workers: Option<Threads>,
    /// How long a connection may last, from its beginning to TERM; `0` is for ever.
    #[schemars(example = &"5m")]
    pub timeout: Option<Span>,
    /// How long the arguments may take to come. Default: `timeout`, or `30s` where that is for ever.
    #[schemars(example = &"2s")]
    pub header_timeout: Option<Span>,
    /// How long a program has after TERM before it is killed.
    #[schemars(example = &"3s")]
    pub kill_timeout: Option<Span>,
    /// How long output is waited for after the program itself has ended: `until_deadline` or a
    /// duration.
    #[schemars(example = &"500ms")]
    pub drain: Option<Drain>,
    /// How a signal that ended a program is told: `number`, or `name` as sockexec did.
    #[schemars(example = &"name")]
    pub termsig: Option<Termsig>,
    /// What follows where a program cannot be started: `report` (a line on stderr and the exit code
    /// 127, 126 or 125) or `close`.
    #[schemars(example = &"close")]
    pub exec_failure: Option<ExecFailure>,
    /// What a client means that sends no more and still reads: `stdin_eof` or `disconnect`.
    #[schemars(example = &"disconnect")]
    pub half_close: Option<HalfClose>,
    /// Who is signalled: the program's whole `group`, or its `leader` alone.
    #[schemars(example = &"leader")]
    pub kill_scope: Option<KillScope>,
    /// What may be run: absolute paths of programs, or tables with `program` or `argv` and limits of
    /// their own (`timeout`, `kill_timeout`); the first that matches decides. `argv` is a regular
    /// expression that the whole argument vector has to match, its words quoted as a shell would,
    /// the program by its absolute path. Default: everything.
    #[schemars(example = ["/usr/bin/uname", "/usr/bin/id"])]
    pub allow: Option<AllowList>,
    /// Who may connect: users by name or number. A list that is set is not empty. Default: everybody
    /// whom the file's mode lets.
    #[schemars(example = ["www-data"])]
    pub peer_users: Option<Words>,
    /// Who may connect besides: groups by name or number, one of which the client has as its primary or
    /// as a supplementary group. Before Linux 4.13 those are its supplementary groups that the group
    /// database lists when the socket is opened. Default: none.
    #[schemars(example = ["deploy"])]
    pub peer_groups: Option<Words>,
    /// Whether the log shows the arguments of programs, which may be secrets.
    #[schemars(example = true)]
    pub log_arguments: Option<Flag>,
}
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 11] = [
    ("mode", "0660"),
    ("max_connections", "100"),
    ("max_queue", "100"),
    ("timeout", "60s"),
    ("kill_timeout", "10s"),
    ("drain", "until_deadline"),
    ("termsig", "number"),
    ("exec_failure", "report"),
    ("half_close", "stdin_eof"),
    ("kill_scope", "group"),
    ("log_arguments", "false"),
];

/// All of `[exec_socket]`: one socket, or several by name. Each socket is read by itself.
#[derive(Clone, Debug, Default)]
pub struct ExecSocketsTable;

impl<'de> Deserialize<'de> for ExecSocketsTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).and(Err(D::Error::custom(
            "`exec_socket` is not a table\na table with `path`, or tables with `path` by name",
        )))
    }
}

impl JsonSchema for ExecSocketsTable {
    fn schema_name() -> Cow<'static, str> {
        "ExecSocketsTable".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<ExecSocketTable>();
        json_schema!({
            "description": "One exec socket, or several by name.",
            "anyOf": [one, { "type": "object", "additionalProperties": one }]
        })
    }
}

const TIMEOUT: Span = Span::from_secs(60);
const KILL_TIMEOUT: Span = Span::from_secs(10);
/// How long arguments may take where connections last for ever.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest path that a socket's address has room for.
const MAX_PATH: usize = 107;

impl ExecSocketTable {
    /// Checks what single values cannot show, and fills the defaults in. `refused` names the keys
    /// whose values are known to be wrong, so that they do not count as missing.
    pub fn resolve(mut self, name: &str, refused: &[String]) -> Result<ExecSocket, Vec<Refusal>> {
        let context = self.context_keys();
        let mut refusals = Vec::new();
        let path = self.path.filter(|path| !path.is_empty());
        match &path {
            None if refused.iter().any(|key| key == "path") => {}
            None => refusals.push(Refusal::missing("path", "path = \"/run/exec.sock\"")),
            // One with names in it has its length later.
            Some(path) if path.len() > MAX_PATH && !path.contains("${") => refusals.push(
                Refusal::wrong("path", format!("the path has {} bytes", path.len()))
                    .expected(format!("at most {MAX_PATH} bytes")),
            ),
            Some(path) if path.contains('\0') => {
                refusals.push(Refusal::wrong("path", "the path holds a NUL byte"));
            }
            Some(_) => {}
        }
        if self.owner.as_ref().is_some_and(|owner| owner.0 == ":") {
            refusals.push(
                Refusal::wrong("owner", "`:` names neither a user nor a group")
                    .expected("`USER`, `USER:GROUP` or `:GROUP`"),
            );
        }
        refusals.extend(peers::nobody(self.peer_users.as_ref(), self.peer_groups.as_ref()));
        refusals.extend(context.refusals());
        let timeout = for_ever_if_zero(self.timeout.unwrap_or(TIMEOUT));
        let rules = self.allow.map(|list| list.rules(&mut refusals));
        let (Some(path), true) = (path, refusals.is_empty()) else { return Err(refusals) };
        let text = |text: Option<Text>| text.map(|text| text.0).filter(|text| !text.is_empty());
        let words = |words: Option<Words>| words.map(|words| words.0).unwrap_or_default();
        Ok(ExecSocket {
            name: name.into(),
            path,
            mode: self.mode.map_or(0o660, |mode| mode.0),
            owner: text(self.owner),
            max_connections: self.max_connections.map_or(100, |number| number.0),
            max_connections_per_user: self.max_connections_per_user.map(|number| number.0),
            max_queue: self.max_queue.map_or(100, |number| number.0),
            workers: self.workers.map(|number| number.0),
            timeout,
            header_timeout: match self.header_timeout {
                Some(timeout) => timeout.get(),
                None => timeout.unwrap_or(HEADER_TIMEOUT),
            },
            kill_timeout: self.kill_timeout.unwrap_or(KILL_TIMEOUT).get(),
            drain: match self.drain {
                Some(Drain::For(time)) => Some(time.get()),
                Some(Drain::UntilDeadline) | None => None,
            },
            termsig: self.termsig.unwrap_or(Termsig::Number),
            exec_failure: self.exec_failure.unwrap_or(ExecFailure::Report),
            half_close: self.half_close.unwrap_or(HalfClose::StdinEof),
            kill_scope: self.kill_scope.unwrap_or(KillScope::Group),
            context: context.into(),
            allow: rules,
            peer_users: words(self.peer_users),
            peer_groups: words(self.peer_groups),
            log_arguments: self.log_arguments.is_some_and(|flag| flag.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Matches;

    fn resolve(json: &str) -> Result<ExecSocket, Vec<Refusal>> {
        let table = serde_json::from_str::<ExecSocketTable>(json).unwrap();
        table.resolve("exec", &[])
    }

    #[test]
    fn the_defaults_are_sockexecs() {
        let socket = resolve(r#"{"path": "e.sock"}"#).unwrap();
        assert_eq!(socket.path, "e.sock");
        assert_eq!((socket.mode, socket.max_connections, socket.max_queue), (0o660, 100, 100));
        assert_eq!(socket.timeout, Some(Duration::from_secs(60)));
        assert_eq!(socket.header_timeout, Duration::from_secs(60));
        assert_eq!(socket.kill_timeout, Duration::from_secs(10));
    }

    #[test]
    fn connections_that_last_for_ever_still_send_their_arguments_in_time() {
        let socket = resolve(r#"{"path": "/e", "timeout": "0"}"#).unwrap();
        assert_eq!((socket.timeout, socket.header_timeout), (None, HEADER_TIMEOUT));
    }

    #[test]
    fn what_is_allowed() {
        let json =
            r#"{"path": "/e", "allow": ["/bin/ls", {"argv": "/bin/(a|b) .*", "timeout": "5s"}]}"#;
        let rules = resolve(json).unwrap().allow.unwrap();
        assert!(
            matches!(&rules[0].matches, Matches::Program(path) if path == Path::new("/bin/ls"))
        );
        let Matches::Argv(pattern) = &rules[1].matches else { panic!("{rules:?}") };
        assert!(pattern.is_match(b"/bin/a x") && !pattern.is_match(b"/bin/a x\n/bin/c"));
        assert!(!pattern.is_match(b" /bin/a x"));
        let text = resolve(r#"{"path": "/e", "allow": "/bin/ls '/bin/a b'"}"#).unwrap();
        assert_eq!(text.allow.unwrap().len(), 2);
        for entry in [r#""ls""#, "{}", r#"{"program": "/x", "argv": "x"}"#] {
            assert!(resolve(&format!(r#"{{"path": "/e", "allow": [{entry}]}}"#)).is_err());
        }
    }

    #[test]
    fn a_list_of_peers_that_is_set_names_somebody() {
        for (peers, right) in [
            (r#""peer_users": []"#, false),
            (r#""peer_groups": """#, false),
            (r#""peer_users": [], "peer_groups": []"#, false),
            (r#""peer_users": [], "peer_groups": ["adm"]"#, true),
            (r#""peer_users": "root""#, true),
        ] {
            assert_eq!(resolve(&format!(r#"{{"path": "/e", {peers}}}"#)).is_ok(), right, "{peers}");
        }
    }

    #[test]
    fn a_path_is_needed_and_has_to_fit() {
        assert!(resolve("{}").is_err());
        assert!(resolve(r#"{"path": ""}"#).is_err());
        assert!(resolve(&format!(r#"{{"path": "/{}"}}"#, "x".repeat(107))).is_err());
    }
}
