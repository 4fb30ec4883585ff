//! What a hook is sent.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use prost::Message;

use super::header::{all_values, push_canonical, repeated_values, shown, text};
use super::query::first_values;
use super::write::Writer;
use crate::api::{Api, BodyWanted, Hook};
use crate::bundle;
use crate::exchange::{Attached, Draft, Target, Whole};
use crate::session::Session;
use crate::wire::{HookType, Object, SessionState};

/// An object as it is sent: the bytes of an [`Object`], and what drivers have to know of it.
#[derive(Clone, Debug)]
pub struct Sent<'a> {
    /// A [`HookType`].
    pub kind: i32,
    /// The hook's name.
    pub name: &'a str,
    /// The hash of the bundles that the hook is in, if it is in one.
    pub bundle: Option<&'a str>,
    /// The object.
    pub bytes: Vec<u8>,
}

impl<'a> From<&'a Object> for Sent<'a> {
    fn from(object: &'a Object) -> Self {
        Self {
            kind: object.hook_type,
            name: &object.hook_name,
            bundle: bundle::of_spec(object.spec.get("bundle_hash").map(String::as_str)),
            bytes: object.encode_to_vec(),
        }
    }
}

impl Sent<'_> {
    /// The object, for those who do not send bytes.
    pub fn object(&self) -> Object {
        // What is written here can be read.
        Object::decode(&*self.bytes).unwrap_or_default()
    }
}

/// What a plugin may know of its API, written once for all requests.
#[derive(Clone, Debug)]
pub struct Spec {
    bundle: String,
    bytes: Vec<u8>,
}

impl Spec {
    /// That of an API. The last three are not in the old contract, which has no place for them but leaves the
    /// map open.
    pub fn of(api: &Api) -> Self {
        let mut writer = Writer::default();
        let mut say = |key: &str, value: &str| writer.entry(6, key, value);
        say("OrgID", &api.org);
        say("APIID", &api.id);
        say("bundle_hash", &api.bundle_hash);
        if let Some(data) = &api.config_data {
            say("config_data", data);
        }
        say("ListenPath", &api.listen_path);
        say("Name", &api.name);
        say("TargetURL", &api.upstream.url.to_string());
        Self { bundle: api.bundle_hash.clone(), bytes: writer.into_bytes() }
    }
}

/// The object of a hook that runs before the upstream is asked. The draft's body is whole if the hook wants
/// any of it.
pub fn request<'a>(kind: HookType, hook: &'a Hook, spec: &'a Spec, draft: &Draft) -> Sent<'a> {
    let attached = match kind {
        HookType::PostKeyAuth | HookType::Post | HookType::Response => draft.session.as_ref(),
        HookType::Unknown | HookType::Pre | HookType::CustomKeyCheck => None,
    };
    let session = attached.map(session);
    let body = wanted(hook, draft.body.as_ref());
    written((kind, hook, spec), draft, body, session.as_ref(), None)
}

/// The object of a response hook. The request is there without its body, which has gone to the upstream; a
/// session is always there, be it an empty one.
pub fn response<'a>(hook: &'a Hook, spec: &'a Spec, draft: &Draft, whole: &Whole) -> Sent<'a> {
    let session = draft.session.as_ref().map(session);
    let session = session.unwrap_or_else(|| Session::default().to_wire());
    let of = (HookType::Response, hook, spec);
    written(of, draft, (&[], ""), Some(&session), Some(whole))
}

fn written<'a>(
    (kind, hook, spec): (HookType, &'a Hook, &'a Spec),
    draft: &Draft,
    body: (&[u8], &str),
    session: Option<&SessionState>,
    whole: Option<&Whole>,
) -> Sent<'a> {
    // Names are short, values mostly too.
    let about = 256 + 64 * draft.headers.len() + body.0.len() + body.1.len();
    let mut writer = Writer::with_room(about + spec.bytes.len());
    writer.number(1, kind.into());
    writer.text(2, &hook.name);
    writer.message(3, about, |writer| mini(writer, draft, body));
    if let Some(session) = session {
        prost::encoding::message::encode(4, session, writer.buffer());
        for (name, value) in &session.metadata {
            writer.entry(5, name, value);
        }
    }
    writer.fields(&spec.bytes);
    if let Some(whole) = whole {
        let (raw, text) = wanted(hook, Some(&whole.body));
        let about = 128 * whole.headers.len() + raw.len() + text.len();
        writer.message(7, about, |writer| {
            writer.number(1, whole.status.as_u16().into());
            writer.bytes(2, raw);
            writer.text(3, text);
            headers(writer, 4, &whole.headers);
            for header in all_values(&whole.headers) {
                prost::encoding::message::encode(5, &header, writer.buffer());
            }
        });
    }
    Sent {
        kind: kind.into(),
        name: &hook.name,
        bundle: bundle::of_spec(Some(&spec.bundle)),
        bytes: writer.into_bytes(),
    }
}

/// What is sent of a body: the bytes and the text.
pub(super) fn wanted<'a>(hook: &Hook, body: Option<&'a Bytes>) -> (&'a [u8], &'a str) {
    let Some(body) = body else { return (&[], "") };
    match hook.body {
        BodyWanted::None => (&[], ""),
        BodyWanted::Raw => (body, ""),
        BodyWanted::Full => (body, std::str::from_utf8(body).unwrap_or_default()),
    }
}

/// Path and query as one text.
pub(super) fn url(target: &Target) -> Cow<'_, str> {
    match &target.query {
        Some(query) => Cow::Owned([&target.path, "?", query].concat()),
        None => Cow::Borrowed(&target.path),
    }
}

fn mini(writer: &mut Writer, draft: &Draft, (raw_body, body): (&[u8], &str)) {
    headers(writer, 1, &draft.headers);
    writer.entry(1, "Host", &draft.authority);
    writer.text(4, body);
    writer.text(5, &url(&draft.target));
    if let Some(query) = &draft.target.query {
        first_values(query, |name, value| writer.entry(6, name, value));
    }
    writer.message(10, 0, |writer| writer.number(1, -1));
    writer.text(11, draft.method.as_str());
    writer.text(12, &draft.received);
    writer.text(13, draft.scheme.as_str());
    writer.bytes(14, raw_body);
    for header in repeated_values(&draft.headers) {
        prost::encoding::message::encode(1000, &header, writer.buffer());
    }
}

/// The first value of each header.
fn headers(writer: &mut Writer, tag: u32, headers: &HeaderMap) {
    let several = headers.len() != headers.keys_len();
    let mut last = None;
    for (name, value) in headers.iter().filter(|(name, _)| shown(name)) {
        // The values of a name follow each other.
        if several && last.replace(name) == Some(name) {
            continue;
        }
        writer.entry_as(tag, name.as_str(), &text(value.as_bytes()), push_canonical);
    }
}

fn session(attached: &Attached) -> SessionState {
    SessionState { key_id: attached.id.clone(), ..attached.session.to_wire() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::{HeaderName, HeaderValue, Method, StatusCode};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::api::OnError;
    use crate::api::tests::api;
    use crate::exchange::Scheme;
    use crate::object::header::canonical;
    use crate::object::query::Query;
    use crate::session::from_wire;
    use crate::wire::{MiniRequestObject, ResponseObject, ReturnOverrides, Texts};

    /// The same object as a struct, built field by field.
    fn built(kind: HookType, hook: &Hook, api: &Api, draft: &Draft) -> Object {
        let mut headers = first(&draft.headers);
        headers.insert("Host".to_owned(), draft.authority.clone());
        let query = Query::parse(draft.target.query.as_deref().unwrap_or_default());
        let params = query.0.iter().map(|(name, values)| {
            (text(name).into_owned(), text(values.first().unwrap()).into_owned())
        });
        let (raw, body) = wanted(hook, draft.body.as_ref());
        let request = MiniRequestObject {
            headers,
            repeated_headers: repeated_values(&draft.headers),
            body: body.to_owned(),
            url: url(&draft.target).into_owned(),
            params: params.collect(),
            return_overrides: Some(ReturnOverrides { response_code: -1, ..Default::default() }),
            method: draft.method.as_str().to_owned(),
            request_uri: draft.received.clone(),
            scheme: draft.scheme.as_str().to_owned(),
            raw_body: Bytes::copy_from_slice(raw),
            ..Default::default()
        };
        let known = draft.session.as_ref().filter(|_| kind == HookType::Post).map(session);
        let spec = [
            ("OrgID", &*api.org),
            ("APIID", &api.id),
            ("bundle_hash", &api.bundle_hash),
            ("ListenPath", &api.listen_path),
            ("Name", &api.name),
            ("TargetURL", &api.upstream.url.to_string()),
        ];
        Object {
            hook_type: kind.into(),
            hook_name: hook.name.clone(),
            request: Some(request),
            metadata: known.as_ref().map(|one| one.metadata.clone()).unwrap_or_default(),
            session: known.map(Box::new),
            spec: spec.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            response: None,
        }
    }

    fn first(headers: &HeaderMap) -> BTreeMap<String, String> {
        let names = headers.keys().filter(|name| shown(name));
        let first = |name: &HeaderName| {
            let value = text(headers[name].as_bytes()).into_owned();
            (canonical(name.as_str()).into_owned(), value)
        };
        names.map(first).collect()
    }

    fn hook(body: u8) -> Hook {
        let body = [BodyWanted::None, BodyWanted::Raw, BodyWanted::Full][usize::from(body)];
        Hook { name: "Hook".into(), body, timeout: None, on_error: OnError::Open }
    }

    fn headers() -> impl Strategy<Value = HeaderMap> {
        let name = "[a-dx-]{1,3}|host|content-length|trailer";
        let header = (name, vec(0x20..=0xffu8, 0..40));
        vec(header, 0..9).prop_map(|all| {
            let all = all.into_iter().filter_map(|(name, value)| {
                Some((name.parse().ok()?, HeaderValue::from_bytes(&value).ok()?))
            });
            let mut headers = HeaderMap::new();
            for (name, value) in all {
                let name: HeaderName = name;
                headers.append(name, value);
            }
            headers
        })
    }

    fn draft() -> impl Strategy<Value = Draft> {
        let query = proptest::option::of("([ab]?=?[a+%;é]{0,2}(%E9)?&?){0,5}");
        let body = proptest::option::of(vec(any::<u8>(), 0..300));
        let metadata = proptest::option::of(proptest::collection::btree_map("[a-c]?", ".?", 0..3));
        (headers(), query, body, metadata, "/.{0,200}").prop_map(
            |(headers, query, body, metadata, received)| Draft {
                method: Method::PUT,
                target: Target { path: "/a".to_owned(), query },
                received,
                authority: "host:1".to_owned(),
                scheme: Scheme::Https,
                headers,
                body: body.map(Into::into),
                client: None,
                session: metadata.map(|metadata| {
                    let state = SessionState { metadata, rate: 0.5, ..Default::default() };
                    let session = from_wire(state, &api("a1"), Texts::new());
                    Attached { id: "id".to_owned(), session }
                }),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_the_object(draft in draft(), body in 0..3u8, is_post: bool) {
            let (hook, api) = (hook(body), api("a1"));
            let kind = if is_post { HookType::Post } else { HookType::Pre };
            let spec = Spec::of(&api);
            let sent = request(kind, &hook, &spec, &draft);
            prop_assert_eq!(Object::decode(&*sent.bytes), Ok(built(kind, &hook, &api, &draft)));
        }

        #[test]
        fn what_is_written_of_a_response_is_the_object(headers in headers(), body in 0..3u8) {
            let (hook, spec) = (hook(body), Spec::of(&api("a1")));
            let whole = Whole { status: StatusCode::CREATED, headers, body: "b\u{e9}".into() };
            let draft = Draft {
                method: Method::GET,
                target: Target::default(),
                received: String::new(),
                authority: String::new(),
                scheme: Scheme::Http,
                headers: HeaderMap::new(),
                body: None,
                client: None,
                session: None,
            };
            let (raw, text) = wanted(&hook, Some(&whole.body));
            let object = response(&hook, &spec, &draft, &whole).object();
            prop_assert_eq!(object.response, Some(ResponseObject {
                status_code: 201,
                raw_body: Bytes::copy_from_slice(raw),
                body: text.to_owned(),
                headers: first(&whole.headers),
                multivalue_headers: all_values(&whole.headers),
            }));
            prop_assert_eq!(object.session, Some(Box::new(Session::default().to_wire())));
        }
    }
}
