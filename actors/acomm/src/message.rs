//! The two messages.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::decode::{DecodeError, members, raw, text};
use crate::url::Url;

/// What somebody wants to be done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Request {
    /// By which its response is known; chosen by the requester.
    pub id: String,
    /// The name of the task.
    pub task: String,
    /// Where the response goes.
    #[serde(rename = "responsehook")]
    pub hook: Option<Url>,
    /// Data that the provider may fetch.
    #[serde(rename = "stream_url")]
    pub stream: Option<Url>,
    /// For the provider alone to understand, as it was written.
    pub args: Option<Box<RawValue>>,
}

/// What came of a request; without result and stream, an ack.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Response {
    /// Why it failed; empty if it did not.
    pub error: String,
    /// The request's id.
    pub id: String,
    /// The result, as it was written.
    pub result: Option<Box<RawValue>>,
    /// Data that the requester may fetch.
    #[serde(rename = "stream_url")]
    pub stream: Option<Url>,
}

impl Request {
    /// Reads a message.
    ///
    /// # Errors
    /// Where it is not one JSON object, or a member has the wrong type.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        let mut request = Self::default();
        // As in Go, what is no UTF-8 in a text becomes a mark.
        let message = String::from_utf8_lossy(message);
        members(message.as_bytes(), |key, value| {
            match key {
                "id" => replace(&mut request.id, text(key, value)?),
                "task" => replace(&mut request.task, text(key, value)?),
                "responsehook" => request.hook = Url::read(key, value)?,
                "stream_url" | "streamurl" => request.stream = Url::read(key, value)?,
                "args" => request.args = raw(value),
                _ => {}
            }
            Ok(())
        })?;
        Ok(request)
    }

    /// The message, without a frame.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl Response {
    /// An ack: that of a request that was taken, or that of a response, which has no id.
    pub fn ack(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// A failure, or the ack of a request that is refused.
    pub fn error(id: impl Into<String>, error: impl Into<String>) -> Self {
        Self { id: id.into(), error: error.into(), ..Self::default() }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Where it is not one JSON object, or a member has the wrong type.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        let mut response = Self::default();
        // As in Go, what is no UTF-8 in a text becomes a mark.
        let message = String::from_utf8_lossy(message);
        members(message.as_bytes(), |key, value| {
            match key {
                "id" => replace(&mut response.id, text(key, value)?),
                "error" => replace(&mut response.error, text(key, value)?),
                "stream_url" | "streamurl" => response.stream = Url::read(key, value)?,
                "result" => response.result = raw(value),
                _ => {}
            }
            Ok(())
        })?;
        Ok(response)
    }

    /// The message, without a frame.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

fn replace(field: &mut String, text: Option<String>) {
    if let Some(text) = text {
        *field = text;
    }
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    // Texts and what was JSON before: there is nothing in it that JSON cannot say.
    serde_json::to_vec(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        Request::decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn acks_are_as_the_original_writes_them() {
        let bare = Response::ack("").encode();
        assert_eq!(bare, br#"{"error":"","id":"","result":null,"stream_url":null}"#);
        assert_eq!(bare.len(), 52);
        assert_eq!(Response::ack("a1").encode().len(), 54);
    }

    #[test]
    fn requests_are_as_the_original_writes_them() {
        let request = Request {
            id: "a".into(),
            task: "foo".into(),
            hook: Some(Url::unix("/x")),
            stream: None,
            args: None,
        };
        let url = r#"{"Scheme":"unix","Opaque":"","User":null,"Host":"","Path":"/x","RawPath":"","RawQuery":"","Fragment":""}"#;
        let expected = format!(
            r#"{{"id":"a","task":"foo","responsehook":{url},"stream_url":null,"args":null}}"#
        );
        assert_eq!(String::from_utf8(request.encode()).unwrap(), expected);
    }

    #[test]
    fn keys_in_any_case_and_of_both_dialects() {
        let request = request(
            r#"{"ID":"a","Ta\u017fk":"t","responseHook":{"scheme":"http","HOST":"h","path":"/p","X":1},
                "streamURL":"unix:///s","taskURL":"http://h/","more":[{}],"args": [1, 2]}"#,
        );
        assert_eq!((request.id.as_str(), request.task.as_str()), ("a", "t"));
        assert_eq!(request.hook.unwrap().to_string(), "http://h/p");
        assert_eq!(request.stream.unwrap(), Url::unix("/s"));
        assert_eq!(request.args.unwrap().get(), "[1, 2]");
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_null_changes_nothing() {
        let twice = request(r#"{"id":"a","ID":"b","id":null,"args":1,"args":null}"#);
        assert_eq!(twice.id, "b");
        assert!(twice.args.is_none());
        let empty = request("null");
        assert!(empty.id.is_empty() && empty.hook.is_none());
    }

    #[test]
    fn what_is_no_message() {
        for text in ["", "[]", "5", "{bad", "{\"id\":5}", "{\"task\":[]}", "{}x", "{} {}", "\"a\""]
        {
            assert!(Request::decode(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["{\"error\":5}", "{\"stream_url\":3}", "{\"stream_url\":{\"Host\":1}}"] {
            assert!(Response::decode(text.as_bytes()).is_err(), "{text}");
        }
        let error = Request::decode(b"").unwrap_err();
        assert_eq!(error.to_string(), "unexpected end of JSON input");
        assert_eq!(Request::decode(b"{\"id\":").unwrap_err(), error);
        assert!(Response::decode(b"{\"error\":null}").unwrap().error.is_empty());
    }

    #[test]
    fn arguments_pass_untouched_however_deep_and_large() {
        let args = format!("{}1e999{}", "[".repeat(5000), "]".repeat(5000));
        let text = format!(r#"{{"id":"a","args":{args}}}"#);
        assert_eq!(request(&text).args.unwrap().get(), args);
        let foul = Request::decode(b"{\"id\":\"a\xff\"}").unwrap();
        assert_eq!(foul.id, "a\u{fffd}");
        // Half a surrogate pair, for whoever can make something of it.
        assert_eq!(request(r#"{"args":"\ud800"}"#).args.unwrap().get(), r#""\ud800""#);
    }
}
