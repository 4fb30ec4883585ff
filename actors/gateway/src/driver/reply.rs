//! What drivers read of an answer: the fields that count for the moment of the hook. All that a plugin only
//! gives back is passed over unread, which is most of an answer.

use bytes::{Buf, Bytes};
use prost::{DecodeError, Message};

use crate::wire::{
    HookType, MiniRequestObject, Object, ResponseObject, ReturnOverrides, SessionState, Texts,
};

/// The answer of a hook on a request.
#[derive(Clone, PartialEq, Message)]
struct OfRequest {
    #[prost(message, optional, tag = "3")]
    request: Option<Changes>,
}

/// That of one that authenticates.
#[derive(Clone, PartialEq, Message)]
struct OfAuth {
    #[prost(message, optional, tag = "3")]
    request: Option<Changes>,
    #[prost(message, optional, boxed, tag = "4")]
    session: Option<Box<SessionState>>,
    #[prost(btree_map = "string, string", tag = "5")]
    metadata: Texts,
}

/// That of one on a response.
#[derive(Clone, PartialEq, Message)]
struct OfResponse {
    #[prost(message, optional, tag = "7")]
    response: Option<ResponseObject>,
}

/// What a hook may change in a request.
#[derive(Clone, PartialEq, Message)]
struct Changes {
    #[prost(btree_map = "string, string", tag = "2")]
    set_headers: Texts,
    #[prost(string, repeated, tag = "3")]
    delete_headers: Vec<String>,
    #[prost(string, tag = "4")]
    body: String,
    #[prost(string, tag = "5")]
    url: String,
    #[prost(btree_map = "string, string", tag = "7")]
    add_params: Texts,
    #[prost(string, repeated, tag = "9")]
    delete_params: Vec<String>,
    #[prost(message, optional, tag = "10")]
    return_overrides: Option<ReturnOverrides>,
    #[prost(string, tag = "11")]
    method: String,
    #[prost(bytes = "bytes", tag = "14")]
    raw_body: Bytes,
}

impl From<Changes> for MiniRequestObject {
    fn from(changes: Changes) -> Self {
        let Changes {
            set_headers,
            delete_headers,
            body,
            url,
            add_params,
            delete_params,
            return_overrides,
            method,
            raw_body,
        } = changes;
        Self {
            set_headers,
            delete_headers,
            body,
            url,
            add_params,
            delete_params,
            return_overrides,
            method,
            raw_body,
            ..Self::default()
        }
    }
}

/// Reads the answer of a hook of this kind, a [`HookType`]; what does not count is empty.
///
/// # Errors
/// Where it is no protobuf, or not of the types of these fields.
pub fn read(kind: i32, answer: impl Buf) -> Result<Object, DecodeError> {
    Ok(match HookType::try_from(kind) {
        Ok(HookType::CustomKeyCheck) => {
            let OfAuth { request, session, metadata } = OfAuth::decode(answer)?;
            Object { request: request.map(Into::into), session, metadata, ..Object::default() }
        }
        Ok(HookType::Response) => {
            let OfResponse { response } = OfResponse::decode(answer)?;
            Object { response, ..Object::default() }
        }
        _ => {
            let OfRequest { request } = OfRequest::decode(answer)?;
            Object { request: request.map(Into::into), ..Object::default() }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Texts {
        [(text.to_owned(), text.to_owned())].into()
    }

    /// An object in which everything is said.
    fn full() -> Object {
        let request = MiniRequestObject {
            headers: texts("headers"),
            set_headers: texts("set"),
            delete_headers: vec!["delete".into()],
            body: "body".into(),
            url: "/url".into(),
            params: texts("params"),
            add_params: texts("add"),
            extended_params: texts("extended"),
            delete_params: vec!["param".into()],
            return_overrides: Some(ReturnOverrides { response_code: 7, ..Default::default() }),
            method: "PUT".into(),
            request_uri: "/uri".into(),
            scheme: "http".into(),
            raw_body: "raw".into(),
            repeated_headers: vec![Default::default()],
        };
        Object {
            hook_type: 1,
            hook_name: "name".into(),
            request: Some(request),
            session: Some(Box::new(SessionState { rate: 1.0, ..Default::default() })),
            metadata: texts("metadata"),
            spec: texts("spec"),
            response: Some(ResponseObject { status_code: 200, ..Default::default() }),
        }
    }

    #[test]
    fn what_counts_is_read_for_each_kind_of_hook() {
        let full = full();
        let read = |kind: HookType| read(kind.into(), &full.encode_to_vec()[..]).unwrap();
        let sent = full.request.clone().unwrap();
        let changes = MiniRequestObject {
            headers: Texts::new(),
            params: Texts::new(),
            extended_params: Texts::new(),
            request_uri: String::new(),
            scheme: String::new(),
            repeated_headers: Vec::new(),
            ..sent
        };
        let of_request = Object { request: Some(changes), ..Object::default() };
        for kind in [HookType::Pre, HookType::PostKeyAuth, HookType::Post] {
            assert_eq!(read(kind), of_request);
        }
        let (session, metadata) = (full.session.clone(), full.metadata.clone());
        let of_auth = Object { session, metadata, ..of_request };
        assert_eq!(read(HookType::CustomKeyCheck), of_auth);
        let of_response = Object { response: full.response.clone(), ..Object::default() };
        assert_eq!(read(HookType::Response), of_response);
    }

    #[test]
    fn parts_that_follow_each_other_are_one_and_bytes_that_are_none_are_refused() {
        let one = Object { request: Some(Default::default()), ..Object::default() };
        let other = MiniRequestObject { set_headers: texts("set"), ..Default::default() };
        let other = Object { request: Some(other), ..Object::default() };
        let bytes = [one.encode_to_vec(), other.encode_to_vec()].concat();
        assert_eq!(read(1, &bytes[..]).unwrap(), other);
        assert!(read(1, &[0xff; 9][..]).is_err());
    }
}
