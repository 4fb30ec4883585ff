//! What holds for whatever a client, an upstream or a plugin sends. Properties and fuzz targets share it.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use coproc_gateway::api::{Api, BodyWanted, Hook, Hooks, OnError};
use coproc_gateway::exchange::{Draft, Scheme, Target, Whole};
use coproc_gateway::object::{self, Rules, Spec, Verdict};
use coproc_gateway::wire::{HookType, Object};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use prost::Message;

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub url: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Option<Vec<u8>>,
    /// 0: nothing of the body, 1: the bytes, else also the text.
    pub wanted: u8,
    pub strict: bool,
}

impl Parts {
    /// The request; `None` if no client can have sent it.
    pub fn draft(&self) -> Option<Draft> {
        let uri: Uri = self.url.parse().ok()?;
        let path = uri.path_and_query()?;
        Some(Draft {
            method: Method::POST,
            target: Target { path: path.path().to_owned(), query: path.query().map(str::to_owned) },
            received: self.url.clone(),
            authority: "example.org:8080".to_owned(),
            scheme: Scheme::Http,
            headers: self.headers(),
            body: self.body.clone().map(Bytes::from),
            client: None,
            session: None,
        })
    }

    pub fn whole(&self) -> Whole {
        let body = self.body.clone().unwrap_or_default().into();
        Whole { status: StatusCode::OK, headers: self.headers(), body }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value.trim_ascii());
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
                headers.append(name, value);
            }
        }
        // Lengths are the connection's matter; these laws are about what plugins may do.
        for framing in ["content-length", "transfer-encoding", "trailer", "host"] {
            headers.remove(framing);
        }
        headers
    }

    pub fn hook(&self) -> Hook {
        let body = [BodyWanted::None, BodyWanted::Raw, BodyWanted::Full];
        hook(body[usize::from(self.wanted.min(2))])
    }

    pub fn rules(&self) -> Rules {
        Rules { strict: self.strict, verbatim_names: false }
    }
}

pub fn hook(body: BodyWanted) -> Hook {
    Hook { name: "Hook".to_owned(), body, timeout: None, on_error: OnError::Closed(None) }
}

pub fn api() -> Api {
    Api {
        name: "orders".to_owned(),
        org: "org".to_owned(),
        hooks: Hooks { pre: vec![Arc::new(hook(BodyWanted::Full))], ..Hooks::default() },
        bundle_hash: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        ..Api::new("o1", "/orders/", Uri::from_static("http://127.0.0.1:9001/"))
    }
}

/// What a hook on a request is sent.
pub fn asked(kind: HookType, hook: &Hook, api: &Api, draft: &Draft) -> Object {
    object::request(kind, hook, &Spec::of(api), draft).object()
}

/// What a hook on a response is sent.
pub fn answered(hook: &Hook, api: &Api, draft: &Draft, whole: &Whole) -> Object {
    object::response(hook, &Spec::of(api), draft, whole).object()
}

/// An object that went to a plugin and came back as it was.
pub fn echoed(object: &Object) -> Object {
    let echo = Object::decode(object.encode_to_vec().as_slice()).unwrap();
    assert_eq!(&echo, object);
    echo
}

/// Headers with their values in order; the order of names means nothing.
fn sorted(headers: &HeaderMap) -> BTreeMap<String, Vec<HeaderValue>> {
    let values = |name: &HeaderName| headers.get_all(name).iter().cloned().collect();
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}

/// A hook that returns what it got changes nothing but says how long the body is.
pub fn an_echo_changes_nothing(parts: &Parts) {
    let (hook, api) = (parts.hook(), api());
    if let Some(draft) = parts.draft() {
        let object = asked(HookType::Pre, &hook, &api, &draft);
        let mut after = draft.clone();
        let verdict =
            object::apply_request(&mut after, &hook, echoed(&object), parts.rules()).unwrap();
        assert!(matches!(verdict, Verdict::Continue { session: None, .. }));
        check_length(&mut after.headers, after.body.as_ref());
        assert_eq!(sorted(&after.headers), sorted(&draft.headers));
        assert_eq!((&after.method, &after.target), (&draft.method, &draft.target));
        assert_eq!(after.body, draft.body);
    }
    let (draft, whole) = (Parts { url: "/".to_owned(), ..parts.clone() }.draft(), parts.whole());
    let object = answered(&hook, &api, &draft.unwrap(), &whole);
    let mut after = whole.clone();
    object::apply_response(&mut after, &hook, echoed(&object), parts.rules()).unwrap();
    check_length(&mut after.headers, Some(&after.body));
    assert_eq!(sorted(&after.headers), sorted(&whole.headers));
    assert_eq!((after.status, after.body), (whole.status, whole.body));
}

/// Whatever is returned: no panic, nothing that could not be sent on, and after an error all is as it was.
pub fn any_answer_is_harmless(parts: &Parts, answer: &[u8]) {
    let Ok(answer) = Object::decode(answer) else { return };
    let hook = parts.hook();
    if let Some(draft) = parts.draft() {
        let mut after = draft.clone();
        match object::apply_request(&mut after, &hook, answer.clone(), parts.rules()) {
            Ok(verdict) => {
                let target = &after.target;
                assert!(target.path.starts_with('/') || target.path == "*");
                let query = target.query.as_ref().map(|query| format!("?{query}"));
                let url = format!("{}{}", target.path, query.unwrap_or_default());
                assert!(url == "*" || url.parse::<Uri>().is_ok(), "{url}");
                check_length(&mut after.headers, after.body.as_ref());
                assert!(!after.headers.contains_key("transfer-encoding"));
                if let Verdict::Reply(reply) = verdict {
                    assert!(reply.status.as_u16() >= 200);
                    assert!(!reply.headers.contains_key("content-length"));
                }
            }
            Err(_) => {
                assert_eq!(sorted(&after.headers), sorted(&draft.headers));
                assert_eq!((after.target, after.body), (draft.target, draft.body));
            }
        }
    }
    let whole = parts.whole();
    let mut after = whole.clone();
    match object::apply_response(&mut after, &hook, answer, parts.rules()) {
        Ok(()) => {
            assert!(after.status.as_u16() >= 200);
            check_length(&mut after.headers, Some(&after.body));
        }
        Err(_) => assert_eq!((after.headers, after.body), (whole.headers, whole.body)),
    }
}

/// Takes the length out, which has to be the body's.
fn check_length(headers: &mut HeaderMap, body: Option<&Bytes>) {
    if let Some(length) = headers.remove("content-length") {
        let body = body.map(Bytes::len).unwrap_or_default();
        assert_eq!(length.to_str().unwrap(), body.to_string());
    }
}
