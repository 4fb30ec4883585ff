//! From method, path, query and body to a request. Pure.

use coproc_core::signal::Signal;
use serde_json::{Map, Value};

use crate::connections::Entrance;
use crate::request::{Health, KeysOrder, Order, Refused, Request};

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// One answer.
    Ask(Request),
    /// One answer in plain text, whose status says it all.
    Health(Health),
    /// One answer in the text of OpenMetrics.
    Metrics,
    /// Events after a number, and further ones as they come.
    Events { since: u64, follow: bool },
    /// The last lines, and further ones as they come.
    Logs { name: Option<String>, count: usize, follow: bool },
}

/// How many lines `logs` shows where nobody says.
const LINES: usize = 100;

pub(crate) fn route(
    entrance: Entrance,
    method: &str,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Route, Refused> {
    let words: Vec<String> = path
        .trim_matches('/')
        .split('/')
        .map(decode)
        .collect::<Option<_>>()
        .ok_or_else(|| Refused::new(400, "the path is not valid"))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let query = Query(query.unwrap_or_default());
    if let (Entrance::Socket, ["v1", "keys", id @ ..]) = (entrance, words.as_slice())
        && id.len() <= 1
    {
        return Ok(Route::Ask(Request::Keys(KeysOrder {
            method: method.to_owned(),
            id: id.first().map(|id| (*id).to_owned()),
            hashed: query.flag("hashed"),
            body: body.to_vec(),
            go_on: query.flag("suppress_reset"),
        })));
    }
    let expected = match (entrance, words.as_slice()) {
        (_, ["livez" | "readyz" | "metrics"]) => "GET",
        (Entrance::Socket, ["v1", "status" | "plan" | "why" | "events" | "logs"]) => "GET",
        (Entrance::Socket, ["v1", "reconfigure", "plan"]) => "GET",
        (
            Entrance::Socket,
            ["v1", "reload" | "reconfigure" | "emit"] | ["v1", "coprocesses", _, _],
        ) => "POST",
        _ => return Err(Refused::new(404, format!("there is nothing at `{path}`"))),
    };
    // What comes to an end can be asked for its head alone.
    let head = method == "HEAD" && words.len() == 1;
    if method != expected && !head {
        return Err(Refused::new(405, format!("`{path}` takes {expected} only")));
    }
    match words.as_slice() {
        ["livez"] => Ok(Route::Health(Health::Alive)),
        ["readyz"] => Ok(Route::Health(Health::Ready)),
        ["metrics"] => Ok(Route::Metrics),
        ["v1", "status"] => Ok(Route::Ask(Request::Status)),
        ["v1", "plan"] => Ok(Route::Ask(Request::Plan)),
        ["v1", "why"] => {
            let name = query.get("name")?.filter(|name| !name.is_empty());
            Ok(Route::Ask(Request::Why(name)))
        }
        ["v1", "events"] => {
            let since = query.number("since")?.unwrap_or(0);
            Ok(Route::Events { since, follow: query.flag("follow") })
        }
        ["v1", "logs"] => {
            let count = query.number("n")?.map_or(LINES, |n| usize::try_from(n).unwrap_or(LINES));
            let name = query.get("name")?.filter(|name| !name.is_empty());
            Ok(Route::Logs { name, count, follow: query.flag("follow") })
        }
        ["v1", "reconfigure", "plan"] => Ok(Route::Ask(Request::Reconfigure { apply: false })),
        ["v1", "reconfigure"] => Ok(Route::Ask(Request::Reconfigure { apply: true })),
        ["v1", "emit"] => Ok(Route::Ask(Request::Emit(field(&object(body)?, "name")?))),
        ["v1", "coprocesses", name, action] => Ok(Route::Ask(action_of(name, action, body)?)),
        _ => Ok(Route::Ask(Request::Reload)),
    }
}

fn action_of(name: &str, action: &str, body: &[u8]) -> Result<Request, Refused> {
    let order = |order| Ok(Request::Order(name.to_owned(), order));
    match action {
        "start" => order(Order::Start),
        "stop" => order(Order::Stop),
        "restart" => order(Order::Restart),
        "background" => order(Order::Background),
        "foreground" => order(Order::Foreground),
        "signal" => {
            let text = field(&object(body)?, "signal")?;
            let signal: Signal =
                text.parse().map_err(|error| Refused::new(400, format!("{error}")))?;
            Ok(Request::Signal(name.to_owned(), signal))
        }
        "set" => {
            let changes = object(body)?
                .into_iter()
                .map(|(key, value)| match value {
                    Value::String(text) => (key, text),
                    other => (key, other.to_string()),
                })
                .collect();
            Ok(Request::Set(name.to_owned(), changes))
        }
        other => Err(Refused::new(404, format!("a coprocess has no action `{other}`"))),
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| Refused::new(400, format!("the body is not a JSON object: {error}")))
}

fn field(object: &Map<String, Value>, key: &str) -> Result<String, Refused> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(Refused::new(400, format!("the body has no `{key}`"))),
    }
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, key: &str) -> Result<Option<String>, Refused> {
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

    fn number(&self, key: &str) -> Result<Option<u64>, Refused> {
        let parse = |text: String| {
            text.parse().map_err(|_| Refused::new(400, format!("`{key}` is not a number")))
        };
        self.get(key)?.map(parse).transpose()
    }

    fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Ok(Some(text)) if text != "0" && text != "false")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_at(entrance: Entrance, method: &str, path: &str, body: &str) -> Result<Route, u16> {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        route(entrance, method, path, query, body.as_bytes()).map_err(|refused| refused.status)
    }

    fn ask(method: &str, path: &str, body: &str) -> Result<Route, u16> {
        ask_at(Entrance::Socket, method, path, body)
    }

    #[test]
    fn a_port_tells_health_and_metrics_and_nothing_else() {
        let port = |method, path| ask_at(Entrance::Port, method, path, "");
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
        assert_eq!(ask("GET", "/v1/status", ""), coprocess(Request::Status));
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
            ask("GET", "/v1/events?since=7&follow=1", ""),
            Ok(Route::Events { since: 7, follow: true })
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
        assert_eq!(ask_at(Entrance::Port, "GET", "/v1/keys", ""), Err(404));
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
        assert_eq!(ask("GET", "/v1/%zz", ""), Err(400));
    }

    #[test]
    fn encoding_reads_back() {
        for text in ["a b", "ä/?&=%", "plain-name_1~"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
    }
}
