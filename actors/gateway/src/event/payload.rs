//! The JSON that plugins are sent of an event. Pure.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Kind;
use crate::exchange::Draft;
use crate::object::canonical;

/// The longest body that an event repeats, in bytes.
const BODY: usize = 64 * 1024;

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What happened.
    pub kind: Kind,
    /// The same in words.
    pub message: &'a str,
    /// To whom or what.
    pub details: Details<'a>,
}

/// To whom or what something happened.
#[derive(Clone, Copy, Debug)]
pub enum Details<'a> {
    /// A request, and the key that came with it; empty if none did.
    Request(&'a Draft, &'a str),
    /// A request that has used so much of the quota of its key.
    Usage {
        /// The request.
        draft: &'a Draft,
        /// The key.
        key: &'a str,
        /// The organisation of its session.
        org: &'a str,
        /// What was reached, in per cent.
        limit: f64,
        /// What was used, in per cent.
        used: f64,
    },
    /// An upstream, by its URL.
    Host(&'a str),
    /// A key, and the organisation of its session.
    Token(&'a str, &'a str),
}

impl Details<'_> {
    /// All that is told, beside the words.
    fn meta(&self, message: &str) -> Value {
        let request = |draft: &Draft| STANDARD.encode(wire_form(draft));
        match *self {
            Self::Request(draft, key) => json!({
                "Message": message,
                "OriginatingRequest": request(draft),
                "Path": draft.target.path,
                "Origin": draft.client.map(|client| client.to_string()).unwrap_or_default(),
                "Key": key,
            }),
            Self::Usage { draft, key, org, limit, used } => json!({
                "Message": message,
                "OriginatingRequest": request(draft),
                "org_id": org,
                "key": key,
                "trigger_limit": whole_number(limit),
                "usage_percentage": whole_number(used),
            }),
            Self::Host(url) => json!({
                "Message": message,
                "OriginatingRequest": "",
                "HostInfo": { "CheckURL": url },
            }),
            Self::Token(key, org) => json!({
                "Message": message,
                "OriginatingRequest": "",
                "Org": org,
                "Key": key,
            }),
        }
    }
}

/// A number as Go writes it: whole ones without a point.
fn whole_number(number: f64) -> Value {
    match number.fract() == 0.0 && number.abs() < 1e15 {
        true => Value::from(number as i64),
        false => Value::from(number),
    }
}

/// The payload for one handler; `of` is the API's id and its organisation.
pub fn payload(about: About<'_>, of: (&str, &str), handler: &str, now: Timestamp) -> String {
    let About { kind, message, details } = about;
    whole(kind.as_str(), details.meta(message), handler, of.0, of.1, now)
}

/// The payload of an event that a plugin itself fires; only handlers of the gateway hear of it.
pub fn system(name: &str, message: &str, handler: &str, now: Timestamp) -> String {
    let meta = json!({ "Message": message, "OriginatingRequest": "" });
    whole(name, meta, handler, "", "", now)
}

fn whole(name: &str, meta: Value, handler: &str, api: &str, org: &str, now: Timestamp) -> String {
    let message = json!({ "Type": name, "Meta": meta, "TimeStamp": stamp(now) });
    let spec = json!({ "APIID": api, "OrgID": org });
    json!({ "message": message, "handler_name": handler, "spec": spec }).to_string()
}

/// A time as Go prints it, at Greenwich.
fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

/// A request as HTTP/1.1 writes it, without a body that is not there or very long.
fn wire_form(draft: &Draft) -> Vec<u8> {
    let target = &draft.target;
    let mut head = format!("{} {}", draft.method, target.path);
    if let Some(query) = &target.query {
        // Writing to a text cannot fail.
        let _ = write!(head, "?{query}");
    }
    let _ = write!(head, " HTTP/1.1\r\nHost: {}\r\n", draft.authority);
    let mut form = head.into_bytes();
    for (name, value) in &draft.headers {
        form.extend_from_slice(canonical(name.as_str()).as_bytes());
        form.extend_from_slice(b": ");
        form.extend_from_slice(value.as_bytes());
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"\r\n");
    if let Some(body) = draft.body.as_ref().filter(|body| body.len() <= BODY) {
        form.extend_from_slice(body);
    }
    form
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::exchange::{Scheme, Target};

    fn now() -> Timestamp {
        "2016-08-19T15:13:31.537047694Z".parse().unwrap()
    }

    #[test]
    fn t38_a_handler_learns_what_who_and_where() {
        let draft = Draft {
            method: Method::POST,
            target: Target { path: "/".into(), query: Some("a=1".into()) },
            received: "/?a=1".into(),
            authority: "example.org".into(),
            scheme: Scheme::Http,
            headers: HeaderMap::from_iter([(
                "x-api-key".parse().unwrap(),
                HeaderValue::from_static("k"),
            )]),
            body: Some(Bytes::from_static(b"body")),
            client: Some("127.0.0.1".parse().unwrap()),
            session: None,
        };
        let details = Details::Request(&draft, "abc");
        let about = About { kind: Kind::AuthFailure, message: "Auth Failure", details };
        let text = payload(about, ("a1", "o1"), "my_handler", now());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["handler_name"], "my_handler");
        assert_eq!(value["spec"], json!({ "APIID": "a1", "OrgID": "o1" }));
        assert_eq!(value["message"]["Type"], "AuthFailure");
        assert_eq!(value["message"]["TimeStamp"], "2016-08-19 15:13:31.537047694 +0000 UTC");
        let meta = &value["message"]["Meta"];
        assert_eq!(meta["Message"], "Auth Failure");
        assert_eq!(meta["Path"], "/");
        assert_eq!(meta["Origin"], "127.0.0.1");
        assert_eq!(meta["Key"], "abc");
        let request = STANDARD.decode(meta["OriginatingRequest"].as_str().unwrap()).unwrap();
        let expected = "POST /?a=1 HTTP/1.1\r\nHost: example.org\r\nX-Api-Key: k\r\n\r\nbody";
        assert_eq!(String::from_utf8(request).unwrap(), expected);
    }

    #[test]
    fn what_happens_to_no_request_has_none() {
        let meta = |details: Details<'_>| {
            let about = About { kind: Kind::TokenCreated, message: "m", details };
            let text = payload(about, ("", ""), "h", now());
            let value: Value = serde_json::from_str(&text).unwrap();
            value["message"]["Meta"].clone()
        };
        assert_eq!(
            meta(Details::Token("abc", "o1")),
            json!({ "Message": "m", "OriginatingRequest": "", "Org": "o1", "Key": "abc" })
        );
        assert_eq!(
            meta(Details::Host("http://a:1/"))["HostInfo"],
            json!({ "CheckURL": "http://a:1/" })
        );
    }

    #[test]
    fn t59_a_plugins_own_event_has_its_words_alone() {
        let text = system("test-event", "test-payload", "h", now());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"]["Type"], "test-event");
        let meta = json!({ "Message": "test-payload", "OriginatingRequest": "" });
        assert_eq!(value["message"]["Meta"], meta);
    }
}
