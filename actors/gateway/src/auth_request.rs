//! The endpoint for nginx's `auth_request`: a subrequest is answered with what an API's hooks and checks say
//! of the request that it is about. Pure but for the chain that it runs.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::chain::{Chain, Stop};
use crate::exchange::{Denied, Draft, Reply, Target};
use crate::path::has_dots;

const ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
/// The status that nginx has no word for.
const MEANT: HeaderName = HeaderName::from_static("x-coproc-status");

/// The id of the API that a path below `prefix` asks for.
pub fn asked<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let id = path.strip_prefix(prefix.trim_end_matches('/'))?.strip_prefix('/')?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// Answers a subrequest about a request to an API.
pub async fn answer(chain: &Chain, mut draft: Draft) -> Reply {
    if let Err(denied) = restore(&mut draft) {
        return chain.page(denied, &draft);
    }
    // nginx serves what it makes of the path, which is not what hooks and checks would be asked about.
    if has_dots(&draft.target.path) {
        let denied = Denied::new(StatusCode::BAD_REQUEST, "Dot segments in the path");
        return refused(chain.page(denied, &draft));
    }
    mark(&mut draft.headers);
    match chain.authorize(&mut draft).await {
        Ok(()) => allowed(&draft.headers),
        Err(Stop::Reply(reply)) => refused(reply),
    }
}

/// Makes of the subrequest the request that it is about.
fn restore(draft: &mut Draft) -> Result<(), Denied> {
    let wrong = |what: &str| Denied::new(StatusCode::BAD_REQUEST, what);
    let uri =
        draft.headers.remove(ORIGINAL_URI).ok_or_else(|| wrong("X-Original-URI is missing"))?;
    let uri = uri.to_str().map_err(|_| wrong("X-Original-URI is no path"))?;
    if !uri.starts_with('/') {
        return Err(wrong("X-Original-URI is no path"));
    }
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (uri, None),
    };
    draft.target = Target { path: path.to_owned(), query };
    draft.received = uri.to_owned();
    draft.method = match draft.headers.remove(ORIGINAL_METHOD) {
        Some(method) => Method::from_bytes(method.as_bytes())
            .map_err(|_| wrong("X-Original-Method is no method"))?,
        None => Method::GET,
    };
    draft.body = Some(bytes::Bytes::new());
    Ok(())
}

/// Marks what the client has sent. A hook may set a header to what the client said itself, and only then is it
/// true.
fn mark(headers: &mut HeaderMap) {
    headers.values_mut().for_each(|value| value.set_sensitive(true));
}

/// 200 with the headers that hooks have set: those without a mark.
fn allowed(headers_after: &HeaderMap) -> Reply {
    let mut headers = HeaderMap::new();
    for (name, value) in headers_after {
        let about_the_message = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
        if !about_the_message && !value.is_sensitive() {
            headers.append(name.clone(), value.clone());
        }
    }
    Reply { status: StatusCode::OK, headers, body: bytes::Bytes::new() }
}

/// nginx takes 401 and 403 for a no, and any other status but a 2xx for a failure. What a hook answers by
/// itself is no leave for the upstream, whatever its status.
fn refused(mut reply: Reply) -> Reply {
    let meant = reply.status;
    if meant.is_server_error() || meant == StatusCode::UNAUTHORIZED {
        return reply;
    }
    reply.status = StatusCode::FORBIDDEN;
    if meant != StatusCode::FORBIDDEN {
        reply.headers.insert(MEANT, HeaderValue::from(meant.as_u16()));
        reply.headers.remove(CONTENT_TYPE);
        reply.body = bytes::Bytes::new();
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_the_api() {
        assert_eq!(asked("/auth", "/auth/api1"), Some("api1"));
        assert_eq!(asked("/auth/", "/auth/api1"), Some("api1"));
        for path in ["/auth", "/auth/", "/authapi1", "/auth/a/b", "/x/auth/a"] {
            assert_eq!(asked("/auth", path), None, "{path}");
        }
    }

    fn reply(status: u16) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, headers: HeaderMap::new(), body: "x".into() }
    }

    #[test]
    fn only_what_nginx_understands_is_said() {
        for (meant, said) in [(401, 401), (403, 403), (500, 500), (503, 503)] {
            let reply = refused(reply(meant));
            assert_eq!((reply.status.as_u16(), &reply.body[..]), (said, &b"x"[..]));
        }
        for meant in [200, 204, 302, 400, 429] {
            let reply = refused(reply(meant));
            assert_eq!(reply.status.as_u16(), 403);
            assert_eq!(reply.headers[MEANT], meant.to_string());
        }
    }

    #[test]
    fn what_hooks_set_comes_back_and_nothing_else() {
        let value = HeaderValue::from_static;
        let mut before = HeaderMap::new();
        before.insert("x-same", value("1"));
        before.insert("x-changed", value("1"));
        before.insert("x-confirmed", value("1"));
        mark(&mut before);
        let mut after = before.clone();
        after.insert("x-changed", value("2"));
        after.insert("x-confirmed", value("1"));
        after.insert("x-user", value("me"));
        after.insert(CONTENT_LENGTH, value("7"));
        let reply = allowed(&after);
        assert_eq!((reply.headers.len(), &reply.headers["x-confirmed"]), (3, &value("1")));
        assert_eq!(
            (&reply.headers["x-changed"], &reply.headers["x-user"]),
            (&value("2"), &value("me"))
        );
    }
}
