//! From method, path, query and body to an entry of the table, and to a request. Pure.

use coproc_core::signal::Signal;
use serde_json::{Map, Value};

use crate::request::{Health, KeysOrder, Refused, Request};
use crate::routes::{Entry, ROUTES};
use crate::taken;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// One answer.
    Ask(Request),
    /// One answer in plain text, whose status says it all.
    Health(Health),
    /// One answer in the text of OpenMetrics.
    Metrics,
    /// The description of all that can be asked.
    Description,
    /// Events after a number, and further ones as they come.
    Events { since: Option<u64>, follow: bool },
    /// The last lines, and further ones as they come.
    Logs { name: Option<String>, count: usize, follow: bool },
}

impl Route {
    /// Whether the answer comes, or goes on, for as long as it takes.
    pub(crate) fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Events { follow: true, .. }
                | Self::Logs { follow: true, .. }
                | Self::Ask(Request::Wait(..))
        )
    }
}

/// How many lines `logs` shows where nobody says.
const LINES: usize = 100;

/// What a request gives besides its method.
pub(crate) struct Given<'a> {
    /// The path's parameter, if it has one.
    pub(crate) word: Option<String>,
    pub(crate) method: &'a str,
    pub(crate) query: Query<'a>,
    pub(crate) body: &'a [u8],
}

impl Given<'_> {
    /// The path's parameter.
    pub(crate) fn name(&self) -> String {
        self.word.clone().unwrap_or_default()
    }

    /// The one field of the body, which is an object.
    fn field(&self, key: &str) -> Result<Value, Refused> {
        let missing = || Refused::new(400, format!("the body has no `{key}`"));
        let mut body = object(self.body)?;
        let value = body.remove(key).ok_or_else(missing)?;
        match body.keys().next() {
            None => Ok(value),
            Some(other) => {
                Err(Refused::new(400, format!("the body has `{other}`, and takes `{key}` alone")))
            }
        }
    }

    /// The one field, which is a text.
    pub(crate) fn text(&self, key: &str) -> Result<String, Refused> {
        match self.field(key)? {
            Value::String(text) => Ok(text),
            _ => Err(Refused::new(400, format!("`{key}` is not a text"))),
        }
    }
}

/// The entry for a method and a path, with the path's parameter. Where a port tells `openly` only, there
/// is nothing else.
pub(crate) fn find(
    openly: bool,
    method: &str,
    path: &str,
) -> Result<(&'static Entry, Option<String>), Denied> {
    let words: Vec<String> = path
        .trim_matches('/')
        .split('/')
        .map(decode)
        .collect::<Option<_>>()
        .ok_or_else(|| Refused::new(400, "the path is not valid"))?;
    let mut allowed = Vec::new();
    for entry in ROUTES.iter().filter(|entry| entry.open || !openly) {
        let Some(word) = fits(entry.path, &words) else { continue };
        // What comes to an end can be asked for its head alone.
        if entry.method == method || (method == "HEAD" && entry.open) {
            return Ok((entry, word));
        }
        if !allowed.contains(&entry.method) {
            allowed.push(entry.method);
        }
    }
    if allowed.is_empty() {
        return Err(Refused::new(404, format!("there is nothing at `{path}`")).into());
    }
    let allowed = allowed.join(", ");
    let why = format!("`{path}` takes {allowed} only");
    Err(Denied { header: Some(("allow", allowed)), ..Refused::new(405, why).into() })
}

/// The parameter of a path that fits, which may have none.
fn fits(path: &str, words: &[String]) -> Option<Option<String>> {
    let parts = path.trim_matches('/').split('/');
    if parts.clone().count() != words.len() {
        return None;
    }
    let mut parameter = None;
    for (part, word) in parts.zip(words) {
        if part.starts_with('{') {
            parameter = Some(word.clone()).filter(|word| !word.is_empty());
            parameter.as_ref()?;
        } else if part != word {
            return None;
        }
    }
    Some(parameter)
}

/// A request that is not fulfilled, and what the answer's head says of it.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) refused: Refused,
    pub(crate) header: Option<(&'static str, String)>,
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self { refused, header: None }
    }
}

/// How many lines of a log are wanted.
pub(crate) fn wanted_lines(given: &Given<'_>) -> Result<usize, Refused> {
    Ok(given.query.number("n")?.map_or(LINES, |n| usize::try_from(n).unwrap_or(usize::MAX)))
}

pub(crate) fn keys(given: &Given<'_>) -> Result<Route, Refused> {
    Ok(Route::Ask(Request::Keys(KeysOrder {
        method: given.method.to_owned(),
        id: given.word.clone(),
        hashed: given.query.flag("hashed")?,
        body: given.body.to_vec(),
        go_on: given.query.flag("suppress_reset")?,
    })))
}

pub(crate) fn signal(name: &str, given: &Given<'_>) -> Result<Route, Refused> {
    let text = match given.field("signal")? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let signal: Signal = text.parse().map_err(|error| Refused::new(400, format!("{error}")))?;
    Ok(Route::Ask(Request::Signal(name.to_owned(), signal)))
}

pub(crate) fn set(given: &Given<'_>) -> Result<Route, Refused> {
    let changes = object(given.body)?
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        })
        .collect();
    Ok(Route::Ask(Request::Set(given.name(), changes)))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| Refused::new(400, format!("the body is not a JSON object: {error}")))
}

/// A query as it stands in the target.
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl Query<'_> {
    pub(crate) fn get(&self, key: &str) -> Result<Option<String>, Refused> {
        let found = self.0.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name == key).then_some(value)
        });
        match found.map(decode) {
            Some(None) => Err(Refused::new(400, format!("`{key}` is not valid"))),
            Some(text) => Ok(text),
            None => Ok(None),
        }
    }

    /// A value that is not empty.
    pub(crate) fn word(&self, key: &str) -> Result<Option<String>, Refused> {
        Ok(self.get(key)?.filter(|word| !word.is_empty()))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Refused> {
        let parse = |text: String| {
            text.parse().map_err(|_| Refused::new(400, format!("`{key}` is not a number")))
        };
        self.get(key)?.map(parse).transpose()
    }

    /// A key without a value is a yes.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Refused> {
        match self.get(key)?.as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(_) => Err(Refused::new(400, format!("`{key}` is neither true nor false"))),
        }
    }
}

/// Percent-decoding; `None` for what is not UTF-8 or not hexadecimal.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes a part of a path or a query.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Whether a request is one of the table, for those who try many. `openly` is as a port without tokens sees it.
///
/// # Errors
/// The status that it is refused with, before anybody is asked.
pub fn judge(
    openly: bool,
    method: &str,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<(), u16> {
    let (entry, word) = find(openly, method, path).map_err(|denied| denied.refused.status)?;
    let query = Query(query.unwrap_or_default());
    let given = Given { word, method, query, body };
    taken::route(entry, &given).map(drop).map_err(|refused| refused.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Order, Until};
    use crate::role::Role;

    fn ask_at(openly: bool, method: &str, path: &str, body: &str) -> Result<Route, u16> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (entry, word) = find(openly, method, path).map_err(|denied| denied.refused.status)?;
        let given = Given { word, method, query: Query(query), body: body.as_bytes() };
        (entry.read)(&given).map_err(|refused| refused.status)
    }

    fn ask(method: &str, path: &str, body: &str) -> Result<Route, u16> {
        ask_at(false, method, path, body)
    }

    fn role(method: &str, path: &str) -> Role {
        find(false, method, path).map(|(entry, _)| entry.role).unwrap()
    }

    #[test]
    fn who_may_ask_for_what() {
        for path in ["/livez", "/metrics", "/v1/status", "/v1/why", "/v1/events", "/v1/logs"] {
            assert_eq!(role("GET", path), Role::Read, "{path}");
        }
        for action in ["start", "stop", "restart", "set", "signal", "background", "foreground"] {
            let path = format!("/v1/coprocesses/agent/{action}");
            assert_eq!(role("POST", &path), Role::Operate, "{path}");
        }
        assert_eq!(role("POST", "/v1/reload"), Role::Operate);
        assert_eq!(role("POST", "/v1/emit"), Role::Operate);
        // What ends the main process ends all.
        assert_eq!(role("POST", "/v1/coprocesses/main/signal"), Role::Admin);
        assert_eq!(role("POST", "/v1/coprocesses/%6dain/signal"), Role::Admin);
        assert_eq!(role("GET", "/v1/keys"), Role::Admin);
        assert_eq!(role("DELETE", "/v1/keys/a"), Role::Admin);
    }

    #[test]
    fn what_a_path_takes_is_said() {
        let denied = find(false, "DELETE", "/v1/keys").err().unwrap();
        assert_eq!(denied.header, Some(("allow", "GET, POST".to_owned())));
        let denied = find(true, "POST", "/metrics").err().unwrap();
        assert_eq!(denied.refused.why, "`/metrics` takes GET only");
    }

    #[test]
    fn a_port_tells_health_and_metrics_and_nothing_else() {
        let port = |method, path| ask_at(true, method, path, "");
        for method in ["GET", "HEAD"] {
            assert_eq!(port(method, "/livez"), Ok(Route::Health(Health::Alive)));
            assert_eq!(port(method, "/readyz"), Ok(Route::Health(Health::Ready)));
            assert_eq!(port(method, "/metrics"), Ok(Route::Metrics));
            for path in ["/", "/v1", "/v1/status", "/v1/events", "/v1/logs", "/v1/logs?follow=1"] {
                assert_eq!(port(method, path), Err(404), "{path}");
            }
        }
        for path in ["/v1/reload", "/v1/emit", "/v1/coprocesses/a/stop", "/v1/status"] {
            assert_eq!(port("POST", path), Err(404), "{path}");
        }
        assert_eq!(port("POST", "/metrics"), Err(405));
    }

    #[test]
    fn what_clients_can_ask() {
        let coprocess = |request| Ok(Route::Ask(request));
        assert_eq!(ask("GET", "/livez", ""), Ok(Route::Health(Health::Alive)));
        assert_eq!(ask("GET", "/readyz?verbose", ""), Ok(Route::Health(Health::Ready)));
        assert_eq!(ask("GET", "/metrics", ""), Ok(Route::Metrics));
        assert_eq!(ask("HEAD", "/livez", ""), Ok(Route::Health(Health::Alive)));
        assert_eq!(ask("GET", "/v1/status", ""), coprocess(Request::Status(None)));
        assert_eq!(ask("GET", "/v1/plan", ""), coprocess(Request::Plan));
        let reconfigure = |apply| coprocess(Request::Reconfigure { apply });
        assert_eq!(ask("GET", "/v1/reconfigure/plan", ""), reconfigure(false));
        assert_eq!(ask("POST", "/v1/reconfigure", ""), reconfigure(true));
        assert_eq!(ask("GET", "/v1/why", ""), coprocess(Request::Why(None)));
        assert_eq!(
            ask("GET", "/v1/why?name=a%20b", ""),
            coprocess(Request::Why(Some("a b".into())))
        );
        assert_eq!(
            ask("POST", "/v1/coprocesses/my%20agent/stop", ""),
            coprocess(Request::Order("my agent".into(), Order::Stop))
        );
        assert_eq!(
            ask("POST", "/v1/coprocesses/a/signal", r#"{"signal": 15}"#),
            coprocess(Request::Signal("a".into(), Signal::TERM))
        );
        assert_eq!(
            ask("POST", "/v1/coprocesses/a/set", r#"{"restarts": 3, "background": "true"}"#),
            coprocess(Request::Set(
                "a".into(),
                vec![("restarts".into(), "3".into()), ("background".into(), "true".into())]
            ))
        );
        assert_eq!(
            ask("POST", "/v1/emit", r#"{"name": "x"}"#),
            coprocess(Request::Emit("x".into()))
        );
        assert_eq!(
            ask("GET", "/v1/coprocesses/main/wait", ""),
            coprocess(Request::Wait("main".into(), Until::Ready))
        );
        assert_eq!(
            ask("GET", "/v1/coprocesses/a/wait?for=exited", ""),
            coprocess(Request::Wait("a".into(), Until::Exited))
        );
        assert_eq!(
            ask("GET", "/v1/events?since=7&follow=1", ""),
            Ok(Route::Events { since: Some(7), follow: true })
        );
        assert_eq!(
            ask("GET", "/v1/logs?n=5&name=a%2Db", ""),
            Ok(Route::Logs { name: Some("a-b".into()), count: 5, follow: false })
        );
    }

    #[test]
    fn keys_are_asked_for_on_the_socket_alone() {
        let keys = |method: &str, id: Option<&str>, body: &str, (go_on, hashed)| {
            Ok(Route::Ask(Request::Keys(KeysOrder {
                method: method.to_owned(),
                id: id.map(str::to_owned),
                hashed,
                body: body.into(),
                go_on,
            })))
        };
        assert_eq!(ask("GET", "/v1/keys", ""), keys("GET", None, "", (false, false)));
        let path = "/v1/keys/a%2Fb%3D?suppress_reset=1";
        assert_eq!(ask("POST", path, "{}"), keys("POST", Some("a/b="), "{}", (true, false)));
        let path = "/v1/keys/0a1b?hashed=true";
        assert_eq!(ask("DELETE", path, ""), keys("DELETE", Some("0a1b"), "", (false, true)));
        assert_eq!(ask("DELETE", "/v1/keys/a/b", ""), Err(404));
        assert_eq!(ask_at(true, "GET", "/v1/keys", ""), Err(404));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(ask("GET", "/", ""), Err(404));
        assert_eq!(ask("POST", "/v1/status", ""), Err(405));
        assert_eq!(ask("POST", "/readyz", ""), Err(405));
        assert_eq!(ask("HEAD", "/v1/events?follow=1", ""), Err(405));
        assert_eq!(ask("GET", "/v1/reload", ""), Err(405));
        assert_eq!(ask("GET", "/v1/reconfigure", ""), Err(405));
        assert_eq!(ask("POST", "/v1/reconfigure/plan", ""), Err(405));
        assert_eq!(ask("GET", "/v1/emit", ""), Err(405));
        assert_eq!(ask("GET", "/v1/coprocesses/a/set", ""), Err(405));
        assert_eq!(ask("POST", "/v1/coprocesses/a/dance", ""), Err(404));
        assert_eq!(ask("POST", "/v1/coprocesses/a/signal", "{}"), Err(400));
        assert_eq!(ask("POST", "/v1/coprocesses/a/signal", r#"{"signal":"NO"}"#), Err(400));
        assert_eq!(ask("POST", "/v1/emit", "nonsense"), Err(400));
        assert_eq!(ask("GET", "/v1/events?since=x", ""), Err(400));
        assert_eq!(ask("GET", "/v1/events?follow=perhaps", ""), Err(400));
        assert_eq!(ask("GET", "/v1/coprocesses/a/wait?for=dinner", ""), Err(400));
        assert_eq!(ask("GET", "/v1/%zz", ""), Err(400));
    }

    #[test]
    fn encoding_reads_back() {
        for text in ["a b", "ä/?&=%", "plain-name_1~"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
    }
}
