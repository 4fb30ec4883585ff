//! What a hook is sent.

use bytes::Bytes;

use super::header::{all_values, first_values, repeated_values};
use super::query::Query;
use crate::api::{Api, BodyWanted, Hook};
use crate::exchange::{Attached, Draft, Target, Whole};
use crate::session::Session;
use crate::wire::{
    HookType, MiniRequestObject, Object, ResponseObject, ReturnOverrides, SessionState, Texts,
};

/// The object of a hook that runs before the upstream is asked. The draft's body is whole if the hook wants
/// any of it.
pub fn request(kind: HookType, hook: &Hook, api: &Api, draft: &Draft) -> Object {
    let attached = match kind {
        HookType::PostKeyAuth | HookType::Post | HookType::Response => draft.session.as_ref(),
        HookType::Unknown | HookType::Pre | HookType::CustomKeyCheck => None,
    };
    let session = attached.map(session).map(Box::new);
    Object {
        hook_type: kind.into(),
        hook_name: hook.name.clone(),
        request: Some(mini(draft, wanted(hook, draft.body.as_ref()))),
        metadata: session.as_ref().map(|session| session.metadata.clone()).unwrap_or_default(),
        session,
        spec: spec(api),
        response: None,
    }
}

/// The object of a response hook. The request is there without its body, which has gone to the upstream; a
/// session is always there, be it an empty one.
pub fn response(hook: &Hook, api: &Api, draft: &Draft, whole: &Whole) -> Object {
    let known = draft.session.as_ref().map(session);
    let (raw_body, body) = wanted(hook, Some(&whole.body));
    Object {
        hook_type: HookType::Response.into(),
        hook_name: hook.name.clone(),
        request: Some(mini(draft, (Bytes::new(), String::new()))),
        metadata: known.as_ref().map(|session| session.metadata.clone()).unwrap_or_default(),
        session: Some(Box::new(known.unwrap_or_else(|| Session::default().to_wire()))),
        spec: spec(api),
        response: Some(ResponseObject {
            status_code: whole.status.as_u16().into(),
            raw_body,
            body,
            headers: first_values(&whole.headers),
            multivalue_headers: all_values(&whole.headers),
        }),
    }
}

/// What is sent of a body: the bytes and the text.
pub(super) fn wanted(hook: &Hook, body: Option<&Bytes>) -> (Bytes, String) {
    let Some(body) = body else { return (Bytes::new(), String::new()) };
    match hook.body {
        BodyWanted::None => (Bytes::new(), String::new()),
        BodyWanted::Raw => (body.clone(), String::new()),
        BodyWanted::Full => {
            let text = std::str::from_utf8(body).unwrap_or_default().to_owned();
            (body.clone(), text)
        }
    }
}

/// Path and query as one text.
pub(super) fn url(target: &Target) -> String {
    match &target.query {
        Some(query) => format!("{}?{query}", target.path),
        None => target.path.clone(),
    }
}

fn mini(draft: &Draft, (raw_body, body): (Bytes, String)) -> MiniRequestObject {
    let mut headers = first_values(&draft.headers);
    headers.insert("Host".to_owned(), draft.authority.clone());
    let query = draft.target.query.as_deref().map(Query::parse).unwrap_or_default();
    MiniRequestObject {
        headers,
        repeated_headers: repeated_values(&draft.headers),
        body,
        url: url(&draft.target),
        params: query.first_values(),
        return_overrides: Some(ReturnOverrides { response_code: -1, ..Default::default() }),
        method: draft.method.as_str().to_owned(),
        request_uri: draft.received.clone(),
        scheme: draft.scheme.as_str().to_owned(),
        raw_body,
        ..Default::default()
    }
}

fn session(attached: &Attached) -> SessionState {
    SessionState { key_id: attached.id.clone(), ..attached.session.to_wire() }
}

/// What a plugin may know of its API. The last three are not in the old contract, which has no place for
/// them but leaves the map open.
fn spec(api: &Api) -> Texts {
    let mut spec = Texts::new();
    let mut say = |key: &str, value: &str| spec.insert(key.to_owned(), value.to_owned());
    say("OrgID", &api.org);
    say("APIID", &api.id);
    say("bundle_hash", &api.bundle_hash);
    if let Some(data) = &api.config_data {
        say("config_data", data);
    }
    say("ListenPath", &api.listen_path);
    say("Name", &api.name);
    say("TargetURL", &api.upstream.url.to_string());
    spec
}
