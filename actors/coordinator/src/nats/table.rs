//! The `[coordinator.nats]` table as it is written, and what it resolves to.

use std::path::PathBuf;
use std::time::Duration;

use coproc_acomm::Url;
use coproc_core::count::Positive;
use coproc_core::duration::Span;
use coproc_core::refusal::Refusal;
use coproc_core::scalar::printable;
use coproc_core::text::Text;
use coproc_core::words::Words;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{Login, Nats};

/// Tasks shared with other coordinators through a NATS server. A task for which nobody registered here
/// goes to one of them that has a provider. Without this table nothing is shared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct NatsTable {
    /// The server, or several of one cluster: `nats://HOST`, or `tls://HOST` where the connection has to be
    /// encrypted.
    #[schemars(required, example = &"nats://127.0.0.1:4222")]
    pub url: Option<Words>,
    /// A file with the certificates that servers are verified by over TLS, as PEM. Default: the system's.
    #[schemars(example = &"/etc/ssl/tasks.pem")]
    pub ca: Option<Text>,
    /// What the subjects begin with. Coordinators share with those that have the same.
    #[schemars(example = &"site.tasks")]
    pub subject: Option<Text>,
    /// The user, for servers that ask for one. Default: none.
    #[schemars(example = &"coordinator")]
    pub user: Option<Text>,
    /// The user's password. Default: an empty one.
    #[schemars(example = &"a-long-random-text")]
    pub password: Option<Text>,
    /// The token, for servers that ask for one. Default: none.
    #[schemars(example = &"a-long-random-text")]
    pub token: Option<Text>,
    /// How long a connection to the server may take; it is tried again for ever.
    #[schemars(example = &"2s")]
    pub connect_timeout: Option<Span>,
    /// How long another coordinator may take to say that it takes a request, or not.
    #[schemars(example = &"5s")]
    pub ack_timeout: Option<Span>,
    /// How many requests of others are offered to providers at once; further ones wait.
    #[schemars(example = 64)]
    pub max_requests: Option<Positive>,
}

/// The defaults of keys that are not set, as `debug` shows them.
pub const DEFAULTS: [(&str, &str); 4] = [
    ("subject", "coproc"),
    ("connect_timeout", "5s"),
    ("ack_timeout", "10s"),
    ("max_requests", "256"),
];

impl NatsTable {
    /// Checks what single values cannot show, and fills the defaults in.
    ///
    /// # Errors
    /// Everything that is wrong, by keys below `nats`.
    pub fn resolve(self) -> Result<Nats, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let wrong = |key, what: String| Refusal::wrong("nats", what).below(key);
        let servers = self.url.map(|Words(words)| words).unwrap_or_default();
        if servers.is_empty() {
            let missing = wrong("url", "`url` is required".to_owned());
            refusals.push(missing.expected("the URL of a server"));
        }
        if let Some(server) = servers.iter().find(|server| !is_server(server)) {
            let what = match Url::parse(server).is_ok_and(|url| url.user) {
                // They are not to be shown.
                true => "the URL has credentials, which belong to `user` and `password`".to_owned(),
                false => format!("`{}` is not the URL of a NATS server", printable(server)),
            };
            refusals.push(
                wrong("url", what)
                    .expected("`nats://HOST` or `tls://HOST`, with a port if need be"),
            );
        }
        let subject = self.subject.map_or_else(|| "coproc".to_owned(), |Text(subject)| subject);
        if !is_subject(&subject) {
            let what = format!("`{}` is not a subject", printable(&subject));
            refusals.push(
                wrong("subject", what)
                    .expected("letters, digits, `-` and `_`, in parts with a dot between them"),
            );
        }
        let text = |set: Option<Text>| set.map(|Text(text)| text);
        let login = match (text(self.user), text(self.password), text(self.token)) {
            (None, None, None) => Login::None,
            (None, None, Some(token)) => Login::Token(token),
            (Some(user), password, None) => Login::User(user, password.unwrap_or_default()),
            (None, Some(_), _) => {
                refusals.push(wrong("password", "`password` is set without `user`".to_owned()));
                Login::None
            }
            (Some(_), _, Some(_)) => {
                let what = "`token` and `user` exclude each other".to_owned();
                refusals.push(wrong("token", what));
                Login::None
            }
        };
        if !cfg!(feature = "nats") {
            let what = "this build of coproc has no NATS, and shares no tasks".to_owned();
            refusals.push(
                Refusal::wrong("nats", what)
                    .expected("no such table, or a build with the feature `nats`"),
            );
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let time = |set: Option<Span>, seconds| set.map_or(Duration::from_secs(seconds), Span::get);
        Ok(Nats {
            servers,
            ca: text(self.ca).filter(|ca| !ca.is_empty()).map(PathBuf::from),
            subject,
            login,
            connect_timeout: time(self.connect_timeout, 5),
            ack_timeout: time(self.ack_timeout, 10),
            max_requests: self.max_requests.map_or(256, |most| most.0 as usize),
        })
    }
}

fn is_server(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let plain = !url.user && url.raw_query.is_empty() && url.fragment.is_empty();
        matches!(url.scheme.as_str(), "nats" | "tls")
            && !url.host_name().is_empty()
            && plain
            && url.path.is_empty()
    })
}

fn is_subject(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(letter))
}

#[cfg(all(test, not(feature = "nats")))]
#[test]
fn without_nats_its_table_is_refused() {
    let table: NatsTable = serde_json::from_str(r#"{"url": "nats://a"}"#).unwrap();
    let refusals = table.resolve().unwrap_err();
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].what.contains("this build of coproc has no NATS"), "{}", refusals[0].what);
}

#[cfg(all(test, feature = "nats"))]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<Nats, Vec<String>> {
        let table: NatsTable =
            serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
        let whats = |refusals: Vec<Refusal>| refusals.into_iter().map(|r| r.what).collect();
        table.resolve().map_err(whats)
    }

    #[test]
    fn servers_and_subjects() {
        assert_eq!(resolve("{}").unwrap_err(), ["`url` is required"]);
        let two = resolve(r#"{"url": "nats://a nats://b:4222", "subject": "a.b-c"}"#).unwrap();
        assert_eq!(two.servers, ["nats://a", "nats://b:4222"]);
        for url in ["a", "http://a", "nats://", "nats://u:p@a", "nats://a/x"] {
            assert!(resolve(&format!(r#"{{"url": "{url}"}}"#)).is_err(), "{url}");
        }
        assert!(resolve(r#"{"url": "tls://a:4222", "ca": "/ca.pem"}"#).is_ok());
        let credentials = resolve(r#"{"url": "nats://u:a-secret@a"}"#).unwrap_err();
        assert!(!credentials[0].contains("a-secret"), "{credentials:?}");
        for subject in ["", ".", "a.", "a b", "*", "a.>", "$SYS"] {
            let json = format!(r#"{{"url": "nats://a", "subject": "{subject}"}}"#);
            assert!(resolve(&json).is_err(), "{subject}");
        }
    }

    #[test]
    fn logins() {
        let of = |more: &str| resolve(&format!(r#"{{"url": "nats://a", {more}}}"#));
        assert!(matches!(of(r#""token": "t""#).unwrap().login, Login::Token(_)));
        assert!(matches!(of(r#""user": "u", "password": 5"#).unwrap().login, Login::User(..)));
        assert!(of(r#""password": "p""#).is_err());
        assert!(of(r#""user": "u", "token": "t""#).is_err());
    }

    #[test]
    fn defaults_are_those_that_are_shown() {
        let plain = resolve(r#"{"url": "nats://a"}"#).unwrap();
        let mut said = serde_json::json!({ "url": "nats://a" });
        for (key, value) in DEFAULTS {
            said[key] = (*value).into();
        }
        assert_eq!(format!("{plain:?}"), format!("{:?}", resolve(&said.to_string()).unwrap()));
    }
}
