//! The `[control]` table as it is written, and what it resolves to.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coproc_core::duration::Span;
use coproc_core::mode::Mode;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::{printable, refuse};
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::role::{EVERYBODY, GROUP, Members, Role};

/// The control socket, over which the other commands talk to a running wrapper.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ControlTable {
    /// Its path, or `none` for no control socket. A path that is set and cannot be used is an error
    /// of `run`, the default one a warning. Default: `control.sock` in `run_path`.
    #[schemars(example = &"/run/coproc/control.sock")]
    pub socket: Option<String>,
    /// Its file mode, in octal digits and in quotes: who may connect at all.
    #[schemars(example = &"0660")]
    pub mode: Option<Mode>,
    /// Whom its file is given to: `USER`, `USER:GROUP` or `:GROUP`. Default: the wrapper's own.
    #[schemars(example = &":ops")]
    pub owner: Option<Text>,
    /// Who may do what on the socket. Default: whoever may connect may do everything.
    #[schemars(example = serde_json::json!({ "read": ["@adm"], "operate": ["@ops"] }))]
    pub roles: Option<RolesTable>,
    /// TCP ports that tell `/livez`, `/readyz` and `/metrics` over HTTP, and all else only to who shows a
    /// token: an address or a list of them. Port 0 is one that is free. Default: `none`.
    #[schemars(example = &"127.0.0.1:9090")]
    pub listen: Option<Addresses>,
    /// Files of tokens by which the ports serve the whole API. Default: none, and the ports tell health
    /// and metrics alone.
    #[schemars(example = serde_json::json!({ "read": "/run/secrets/coproc-read" }))]
    pub token_files: Option<TokenFilesTable>,
    /// How long a stream of server-sent events is silent before a comment shows that it is still there;
    /// `0` is for ever, and else it is 10ms at least.
    #[schemars(example = &"30s")]
    pub heartbeat: Option<Span>,
}

/// Files of tokens for the ports of `control.listen`, which clients show as `Authorization: Bearer TOKEN`:
/// one a line, of 32 to 512 letters, digits and `-._~+/=`; lines that begin with `#` are passed over. They
/// are read at the start and at each reload. One that cannot be read is an error of `run`, and at a reload
/// leaves the tokens as they were.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct TokenFilesTable {
    /// Tokens of those who may look on. Default: none.
    #[schemars(example = &"/run/secrets/coproc-read")]
    pub read: Option<String>,
    /// Tokens of those who may start, stop and change coprocesses as well. Default: none.
    #[schemars(example = &"/run/secrets/coproc-operate")]
    pub operate: Option<String>,
    /// Tokens of those who may do everything. Default: none.
    #[schemars(example = &"/run/secrets/coproc-admin")]
    pub admin: Option<String>,
}

/// Who may do what on the control socket: users by name or number, groups after a `@`, or `*` for
/// everybody whom the file's mode lets connect. Each role may do what the one before it may. Root and
/// the wrapper's own user are admins; once this table is there, who is in no list is refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RolesTable {
    /// Who may look on: status, events, logs, health, reasons, metrics. Default: none.
    #[schemars(example = ["prometheus", "@adm"])]
    pub read: Option<Words>,
    /// Who may start, stop, restart, signal and set coprocesses, reload, and publish events. Default:
    /// none.
    #[schemars(example = ["@ops"])]
    pub operate: Option<Words>,
    /// Who may do everything: signals to the main process, and the gateway's keys, besides. Default:
    /// none.
    #[schemars(example = ["deploy"])]
    pub admin: Option<Words>,
}

/// The defaults that depend on nothing.
pub const DEFAULTS: [(&str, &str); 2] = [("heartbeat", "15s"), ("mode", "0600")];

const HEARTBEAT: Duration = Duration::from_secs(15);
/// With less between them comments would be all that a client hears.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(10);

/// The control socket, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// Its path; `None` where it is turned off.
    pub socket: Option<PathBuf>,
    /// Whether the path, or whose it is, was asked for: then it is an error if it cannot be used.
    pub configured: bool,
    /// Its mode.
    pub mode: u32,
    /// Whom it is given to, as chown writes it.
    pub owner: Option<String>,
    /// Who has which role; none where all that connect may do everything.
    pub roles: Option<Members>,
    /// Where health and metrics are told on TCP, and with tokens everything.
    pub listen: Vec<SocketAddr>,
    /// Files of tokens, by role.
    pub token_files: [Option<PathBuf>; 3],
    /// After which silence a stream of events shows that it is still there; zero is never.
    pub heartbeat: Duration,
}

impl ControlConfig {
    /// Whether the ports serve the whole API to who shows a token.
    pub fn has_tokens(&self) -> bool {
        self.token_files.iter().any(Option::is_some)
    }
}

impl ControlTable {
    /// Fills in the defaults; relative paths begin in `folder`.
    ///
    /// # Errors
    /// What is wrong with the table's values.
    pub fn resolve(self, folder: &Path, run_path: &Path) -> Result<ControlConfig, Vec<Refusal>> {
        let set = self.socket.filter(|socket| !socket.is_empty());
        let owner = self.owner.map(|Text(owner)| owner).filter(|owner| !owner.is_empty());
        let mut refusals = Vec::new();
        let roles = self.roles.map(|roles| roles.resolve(&mut refusals));
        let token_files = self.token_files.unwrap_or_default();
        let heartbeat = self.heartbeat.map_or(HEARTBEAT, Span::get);
        if !heartbeat.is_zero() && heartbeat < LEAST_HEARTBEAT {
            let wrong = Refusal::wrong("heartbeat", format!("`{heartbeat:?}` is too short"));
            refusals.push(wrong.expected("`0`, or 10ms at least"));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        Ok(ControlConfig {
            configured: set.is_some() || owner.is_some(),
            socket: match set.as_deref() {
                Some("none") => None,
                Some(path) => Some(folder.join(path)),
                None => Some(run_path.join("control.sock")),
            },
            mode: self.mode.unwrap_or(Mode(0o600)).0,
            owner,
            roles,
            listen: self.listen.map_or_else(Vec::new, |Addresses(addresses)| addresses),
            heartbeat,
            token_files: [token_files.read, token_files.operate, token_files.admin]
                .map(|file| file.filter(|file| !file.is_empty()).map(|file| folder.join(file))),
        })
    }
}

impl RolesTable {
    fn resolve(self, refusals: &mut Vec<Refusal>) -> Members {
        let mut list = |role: Role, words: Option<Words>| {
            let Words(members) = words.unwrap_or_default();
            let named = |member: &String| {
                member.as_str() == EVERYBODY || !member.trim_start_matches(GROUP).is_empty()
            };
            for member in members.iter().filter(|member| !named(member)) {
                let what = format!("`{}` names nobody", printable(member));
                refusals.push(
                    Refusal::wrong("roles", what)
                        .below(role.as_str())
                        .expected("users, groups such as `@ops`, or `*`"),
                );
            }
            members
        };
        Members([
            list(Role::Read, self.read),
            list(Role::Operate, self.operate),
            list(Role::Admin, self.admin),
        ])
    }
}

/// Addresses to listen on: an array of texts, or one text with blanks between them; `none` is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub Vec<SocketAddr>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut addresses = Vec::new();
        let mut wrong = Vec::new();
        let Words(words) = Words::deserialize(deserializer)?;
        if words == ["none"] {
            return Ok(Self(addresses));
        }
        for word in words {
            match word.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => wrong.push(format!("`{}`", printable(&word))),
            }
        }
        let what = match wrong.as_slice() {
            [] => return Ok(Self(addresses)),
            [one] => format!("{one} is not an address to listen on"),
            several => format!("{} are not addresses to listen on", several.join(", ")),
        };
        Err(refuse(what, "`IP:PORT`, such as `127.0.0.1:9090` or `[::1]:9090`, or a list of them"))
    }
}

impl JsonSchema for Addresses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Addresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string", "pattern": "^.+:[0-9]+$" } },
                { "type": "string" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let json = r#"{"heartbeat": "1ms", "roles": {"read": ["@"], "operate": [""]}}"#;
        let table: ControlTable = serde_json::from_str(json).unwrap();
        let refusals = table.resolve(Path::new("/"), Path::new("/run")).unwrap_err();
        assert_eq!(refusals.len(), 3, "{refusals:?}");
    }
}
