//! What the table resolves to: checked as a whole, with the defaults filled in.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use coproc_acomm::MAX_MESSAGE;
use coproc_core::count::{Bytes, Positive};
use coproc_core::duration::Span;
use coproc_core::flag::Flag;
use coproc_core::peers;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::printable;
use coproc_core::text::Text;
use coproc_core::words::Words;

use super::scalars::{Hosts, Listen, PublicUrl, Seconds};
use super::{CoordinatorTable, SOCKET_DIR};
use crate::allow::{Allow, Host};
use crate::config::{Coordinator, Tokens};
use crate::nats::table::NatsTable;
use crate::router::{MAX_NAME, is_name};

/// How long a response may take where nobody says it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest path that a socket's address has room for.
const MAX_PATH: usize = 107;

impl CoordinatorTable {
    /// Checks what single values cannot show, and fills the defaults in. `refused` names the keys
    /// whose values are known to be wrong, so that they do not count as missing.
    ///
    /// # Errors
    /// Everything that is wrong, in the original's order and words where it had some.
    pub fn resolve(self, refused: &[String]) -> Result<Coordinator, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let is_refused = |key: &str| refused.iter().any(|refused| refused == key);
        let socket_dir = self.socket_dir.unwrap_or_else(|| SOCKET_DIR.to_owned());
        if socket_dir.is_empty() && !is_refused("socket_dir") {
            refusals.push(
                Refusal::wrong("socket_dir", "missing socket_dir").expected("the path of a folder"),
            );
        }
        let service_name = self.service_name.map(|Text(name)| name).unwrap_or_default();
        if service_name.is_empty() {
            if !is_refused("service_name") {
                let mut refusal =
                    Refusal::missing("service_name", "service_name = \"coordinator\"");
                refusal.what = "missing service_name".to_owned();
                refusals.push(refusal);
            }
        } else if !is_name(&service_name) {
            let what = format!("`{}` is not the name of a service", printable(&service_name));
            refusals.push(Refusal::wrong("service_name", what).expected(format!(
                "1 to {MAX_NAME} bytes without `/`, which do not begin with a dot"
            )));
        } else if !socket_dir.contains("${") {
            let length = socket_dir.len() + "/coordinator/.sock".len() + service_name.len();
            if length > MAX_PATH {
                refusals.push(
                    Refusal::wrong("socket_dir", format!("its socket's path has {length} bytes"))
                        .expected(format!("at most {MAX_PATH} bytes")),
                );
            }
        }
        let missing = !is_refused("exec");
        let exec = self.exec.and_then(|table| table.resolve(missing, &mut refusals));
        let nats = match self.nats.map(NatsTable::resolve).transpose() {
            Ok(nats) => nats,
            Err(more) => {
                refusals.extend(more);
                None
            }
        };
        for (key, time) in [
            ("ack_timeout", self.ack_timeout),
            ("hook_timeout", self.hook_timeout),
            ("stream_ttl", self.stream_ttl),
        ] {
            if time.is_some_and(|time| time.get().is_zero()) {
                let refusal = Refusal::wrong(key, "no time at all is too short for anything");
                refusals.push(refusal.expected("a duration above zero"));
            }
        }
        if self.max_message.is_some_and(|most| most.0 == 0) {
            let refusal = Refusal::wrong("max_message", "no message is so short");
            refusals.push(refusal.expected("a number of bytes above zero"));
        }
        if self.tokens.iter().flat_map(|Words(tokens)| tokens).any(String::is_empty) {
            let refusal = Refusal::wrong("tokens", "an empty token lets nobody in");
            refusals.push(refusal.expected("texts that requesters send"));
        }
        refusals.extend(peers::nobody(self.peer_users.as_ref(), self.peer_groups.as_ref()));
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let time = |set: Option<Span>, seconds| set.map_or(Duration::from_secs(seconds), Span::get);
        let flag = |set: Option<Flag>| set.is_some_and(|flag| flag.0);
        let size = |bytes: Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
        let number = |set: Option<Positive>, default| set.map_or(default, |set| set.0 as usize);
        let words = |set: Option<Words>| set.map(|Words(words)| words).unwrap_or_default();
        let hosts = |set: Option<Hosts>| set.map_or(Allow(vec![Host::Any]), |Hosts(allow)| allow);
        Ok(Coordinator {
            socket_dir: PathBuf::from(socket_dir),
            service_name,
            listen: match self.listen {
                Some(Listen(address)) => address,
                None => Some(Ipv4Addr::LOCALHOST.into()),
            },
            external_port: self.external_port.map_or(8080, |port| port.0),
            request_timeout: self
                .request_timeout
                .and_then(|Seconds(time)| time)
                .unwrap_or(REQUEST_TIMEOUT),
            read_timeout: time(self.read_timeout, 10),
            ack_timeout: time(self.ack_timeout, 5),
            hook_timeout: time(self.hook_timeout, 30),
            stream_timeout: time(self.stream_timeout, 60),
            stream_ttl: time(self.stream_ttl, 600),
            stop_timeout: time(self.stop_timeout, 30),
            public_url: self.public_url.map(|PublicUrl(url)| url),
            max_message: self.max_message.map_or(MAX_MESSAGE, size),
            max_inflight: number(self.max_inflight, 16384),
            max_connections: number(self.max_clients, 256),
            hook_allow: hosts(self.hook_allow),
            stream_allow: hosts(self.stream_allow),
            unix_hooks: self.unix_hooks.unwrap_or_default(),
            allow_unix_hooks_from_http: flag(self.allow_unix_hooks_from_http),
            keep_ids: flag(self.keep_ids),
            priority_order: self.priority_order.unwrap_or_default(),
            rotate: flag(self.rotate),
            strict_http: flag(self.strict_http),
            tokens: Tokens(words(self.tokens)),
            socket_mode: self.socket_mode.map_or(0o660, |mode| mode.0),
            dir_mode: self.dir_mode.map_or(0o750, |mode| mode.0),
            group: self.group.map(|Text(group)| group).filter(|group| !group.is_empty()),
            peer_users: words(self.peer_users),
            peer_groups: words(self.peer_groups),
            exec,
            coprocess: flag(self.coprocess),
            nats,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::DEFAULTS;

    fn resolve(json: &str) -> Result<Coordinator, Vec<String>> {
        let table: CoordinatorTable =
            serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
        let whats = |refusals: Vec<Refusal>| refusals.into_iter().map(|r| r.what).collect();
        table.resolve(&[]).map_err(whats)
    }

    #[test]
    fn texts_of_the_original_in_its_order() {
        assert_eq!(resolve("{}").unwrap_err(), ["missing service_name"]);
        let both = resolve(r#"{"socket_dir": "", "service_name": ""}"#).unwrap_err();
        assert_eq!(both, ["missing socket_dir", "missing service_name"]);
        let port = resolve(r#"{"service_name": "c", "external_port": 0}"#).unwrap_err();
        assert!(port[0].starts_with("missing external_port"), "{port:?}");
        assert!(resolve(r#"{"service_name": "c", "external_port": 65536}"#).is_err());
        assert!(resolve(r#"{"service_name": "c", "unknown": 1}"#).is_err());
    }

    #[test]
    fn k31_a_service_has_a_name_that_is_one_component() {
        for name in ["../../x", "/x", ".x", "a/b"] {
            assert!(resolve(&format!(r#"{{"service_name": "{name}"}}"#)).is_err(), "{name}");
        }
        let long = format!(r#"{{"service_name": "c", "socket_dir": "/{}"}}"#, "x".repeat(100));
        assert!(resolve(&long).is_err());
    }

    #[test]
    fn times_are_seconds_or_durations_and_zero_is_a_minute() {
        let timeout = |value: &str| {
            let json = format!(r#"{{"service_name": "c", "request_timeout": {value}}}"#);
            resolve(&json).map(|config| config.request_timeout.as_millis())
        };
        for (value, expected) in [
            ("0", 60_000),
            ("-5", 60_000),
            ("3", 3000),
            ("\"3\"", 3000),
            ("\"1m30s\"", 90_000),
            ("\"250ms\"", 250),
            ("\"0s\"", 60_000),
        ] {
            assert_eq!(timeout(value), Ok(expected), "{value}");
        }
        assert!(timeout("\"soon\"").is_err());
    }

    #[test]
    fn what_could_never_work_is_refused() {
        for (set, why) in [
            (r#""ack_timeout": "0s""#, "no time at all is too short for anything"),
            (r#""hook_timeout": "0""#, "no time at all is too short for anything"),
            (r#""stream_ttl": "0ms""#, "no time at all is too short for anything"),
            (r#""max_message": 0"#, "no message is so short"),
            (r#""tokens": ["a", ""]"#, "an empty token lets nobody in"),
            (r#""exec": {"allow": []}"#, "nothing is allowed"),
        ] {
            let refused = resolve(&format!(r#"{{"service_name": "c", {set}}}"#)).unwrap_err();
            assert_eq!(refused, [why], "{set}");
        }
    }

    #[test]
    fn a_blank_group_is_none() {
        assert_eq!(resolve(r#"{"service_name": "c", "group": ""}"#).unwrap().group, None);
    }

    #[test]
    fn k07_a_list_of_peers_that_is_set_names_somebody() {
        for (peers, right) in [
            (r#""peer_users": []"#, false),
            (r#""peer_groups": """#, false),
            (r#""peer_users": [], "peer_groups": ["adm"]"#, true),
            (r#""peer_users": "root""#, true),
        ] {
            let json = format!(r#"{{"service_name": "c", {peers}}}"#);
            assert_eq!(resolve(&json).is_ok(), right, "{peers}");
        }
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let json = r#"{"service_name": "c", "tokens": ["a-secret"], "nats": {"url": "nats://h",
            "user": "u", "password": "a-secret"}}"#;
        let config = resolve(json).unwrap();
        assert_eq!(config.tokens.0, ["a-secret"]);
        let shown = format!("{config:?}");
        assert!(!shown.contains("a-secret"), "{shown}");
    }

    #[test]
    fn defaults_are_those_that_are_shown() {
        let plain = resolve(r#"{"service_name": "c"}"#).unwrap();
        let mut said = serde_json::json!({ "service_name": "c" });
        for (key, value) in DEFAULTS {
            said[key] = (*value).into();
        }
        let said = resolve(&said.to_string()).unwrap();
        assert_eq!(format!("{plain:?}"), format!("{said:?}"));
    }
}
