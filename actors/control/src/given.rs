//! What a request gives besides its method, and what the client wants by it. Pure.

use coproc_core::signal::Signal;
use serde_json::{Map, Value};

use crate::percent::decode;
use crate::request::{Health, KeysOrder, Refused, Request};

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
