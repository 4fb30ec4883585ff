//! What a hook's answer changes in a request.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::header::is_framing;
use super::query::Query;
use super::uri::{RequestUri, may_stand};
use super::{Rules, Unfit, Verdict, build, overrides};
use crate::api::{BodyWanted, Hook};
use crate::exchange::{Draft, Target};
use crate::wire::{MiniRequestObject, Object};

/// Applies what a hook has returned. An error leaves the draft as it was.
///
/// The hook has to be the one that was asked: what it was not sent, it cannot have changed.
pub fn apply_request(
    draft: &mut Draft,
    hook: &Hook,
    returned: Object,
    rules: Rules,
) -> Result<Verdict, Unfit> {
    let Some(mut request) = returned.request else {
        return Err(Unfit::of("it has no request"));
    };
    let target = target(&draft.target, &request, rules).map_err(Unfit)?;
    let verdict = request.return_overrides.take().and_then(overrides::verdict);
    // What only the upstream would have minded does not matter to a request that goes no further.
    let goes_on = verdict.is_none();
    let method = match method(&request.method) {
        None if goes_on => return Err(Unfit::of("its method is none")),
        method => method,
    };
    let edits = edits(&request);
    if let (Err(name), true) = (&edits, goes_on) {
        return Err(Unfit(format!("the header `{}` cannot be sent", name.escape_debug())));
    }

    apply_body(draft, hook, &request, rules);
    if let Ok((removed, set)) = edits {
        for name in removed {
            draft.headers.remove(name);
        }
        for (name, value) in set {
            draft.headers.insert(name, value);
        }
    }
    if let Some(target) = target {
        draft.target = target;
    }
    if let Some(method) = method {
        draft.method = method;
    }
    Ok(verdict
        .unwrap_or(Verdict::Continue { session: returned.session, metadata: returned.metadata }))
}

fn apply_body(draft: &mut Draft, hook: &Hook, request: &MiniRequestObject, rules: Rules) {
    let meant_text = rules.strict && {
        let (sent_raw, sent) = build::wanted(hook, draft.body.as_ref());
        request.body != sent && request.raw_body == sent_raw
    };
    let body = if meant_text {
        Bytes::copy_from_slice(request.body.as_bytes())
    } else {
        request.raw_body.clone()
    };
    let unseen = draft.body.is_none() || hook.body == BodyWanted::None;
    if unseen && body.is_empty() {
        return;
    }
    set_length(&mut draft.headers, body.len());
    draft.body = Some(body);
}

/// Says how long a body is; of an empty one only if something was said of it.
pub(super) fn set_length(headers: &mut HeaderMap, length: usize) {
    let chunked = headers.remove(TRANSFER_ENCODING).is_some();
    if length > 0 || chunked || headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Names to remove, then headers to set; or the name of one that no request can have.
type Edits = (Vec<HeaderName>, Vec<(HeaderName, HeaderValue)>);

fn edits(request: &MiniRequestObject) -> Result<Edits, &str> {
    let name = |name: &String| HeaderName::from_bytes(name.as_bytes()).ok();
    let removed = request.delete_headers.iter().filter_map(name);
    let removed = removed.filter(|name| !is_framing(name)).collect();
    let mut set = Vec::with_capacity(request.set_headers.len());
    for (text, value) in &request.set_headers {
        let name = name(text).ok_or(text.as_str())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| text.as_str())?;
        if !is_framing(&name) {
            set.push((name, value));
        }
    }
    Ok((removed, set))
}

fn method(text: &str) -> Option<Method> {
    if text.is_empty() { Some(Method::GET) } else { Method::from_bytes(text.as_bytes()).ok() }
}

/// The new target; `None` if it stays.
fn target(
    old: &Target,
    request: &MiniRequestObject,
    rules: Rules,
) -> Result<Option<Target>, String> {
    let same = request.url == build::url(old);
    let edited = !request.delete_params.is_empty() || !request.add_params.is_empty();
    if same && !edited {
        return Ok(None);
    }
    let mut new = if same {
        old.clone()
    } else {
        let uri = RequestUri::parse(&request.url)
            .map_err(|error| format!("its url `{}`: {error}", request.url.escape_debug()))?;
        Target { path: uri.path, query: uri.query }
    };
    if new.path == "*" {
        // The server as a whole has no query (RFC 9112, section 3.2.4).
        return Ok(Some(Target { query: None, ..new }));
    }
    let parsed = |target: &Target| target.query.as_deref().map(Query::parse).unwrap_or_default();
    let found = parsed(&new);
    let wanted = if rules.strict && !edited {
        found.clone()
    } else {
        let mut wanted = parsed(old);
        request.delete_params.iter().for_each(|name| wanted.remove(name));
        request.add_params.iter().for_each(|(name, value)| wanted.set(name, value));
        wanted
    };
    if found != wanted || !new.query.as_deref().is_none_or(may_stand) {
        new.query = Some(wanted.encode()).filter(|query| !query.is_empty());
    }
    Ok(Some(new))
}
