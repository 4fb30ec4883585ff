//! What a client asks for, and what is refused because servers may understand it differently. Pure.

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version, header};

use super::head::bad;
use crate::exchange::{Denied, Target};
use crate::path::has_dots;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Path and query.
    pub(super) target: Target,
    /// The target exactly as it was sent.
    pub(super) received: String,
    /// Host and port; empty where HTTP/1.0 names none.
    pub(super) authority: String,
    /// The same as a header's value; `None` where there is none.
    pub(super) host: Option<HeaderValue>,
}

/// Reads what is asked for, and refuses what servers may understand differently. What cannot be read at
/// all hyper has refused before. Takes `Host` out.
pub(super) fn check(parts: &mut Parts, max_headers: usize) -> Result<Asked, Denied> {
    if parts.method == Method::CONNECT {
        return Err(Denied::new(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not allowed"));
    }
    if parts.headers.len() > max_headers {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Denied::new(status, "Too many headers"));
    }
    let (mut is_coded, mut expects) = (false, false);
    for name in parts.headers.keys() {
        is_coded |= name == header::TRANSFER_ENCODING;
        expects |= name == header::EXPECT;
    }
    // hyper wants `chunked` to come last; whatever came before is nothing that could be passed on.
    if is_coded {
        let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
        let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !codings.next().is_none_or(is_chunked) || codings.next().is_some() {
            return Err(Denied::new(StatusCode::NOT_IMPLEMENTED, "Unknown transfer coding"));
        }
    }
    if expects
        && let Some(expected) = parts.headers.remove(header::EXPECT)
        && !expected.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Denied::new(StatusCode::EXPECTATION_FAILED, "Unknown expectation"));
    }
    let host = host(parts)?;
    let authority =
        host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let path = parts.uri.path();
    if !(path.starts_with('/') || path == "*" && parts.method == Method::OPTIONS) {
        return Err(bad("Malformed target"));
    }
    if has_dots(path) {
        return Err(bad("Dot segments in the path"));
    }
    let target = Target { path: path.to_owned(), query: parts.uri.query().map(ToOwned::to_owned) };
    let received = match (parts.uri.authority(), parts.uri.path_and_query()) {
        (None, Some(sent)) => sent.as_str().to_owned(),
        // HTTP/2 sends the parts one by one, and the path is the target.
        (_, Some(sent)) if parts.version == Version::HTTP_2 => sent.as_str().to_owned(),
        _ => parts.uri.to_string(),
    };
    Ok(Asked { target, received, authority, host })
}

fn host(parts: &mut Parts) -> Result<Option<HeaderValue>, Denied> {
    // Names that come more than once have more values than names.
    let is_single = parts.headers.len() == parts.headers.keys_len();
    if !is_single && parts.headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(bad("More than one host"));
    }
    let named = parts.uri.authority();
    let Some(host) = parts.headers.remove(header::HOST) else {
        return match named {
            Some(named) if is_authority(named.as_str().as_bytes()) => {
                Ok(HeaderValue::from_str(named.as_str()).ok())
            }
            None if parts.version < Version::HTTP_11 => Ok(None),
            _ => Err(bad("No host")),
        };
    };
    if !is_authority(host.as_bytes()) {
        return Err(bad("Malformed host"));
    }
    match named {
        Some(named) if !named.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(bad("The target names another host"))
        }
        _ => Ok(Some(host)),
    }
}

/// Whether all bytes may stand in a host and its port. Users are not named to gateways.
fn is_authority(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte);
    bytes.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().version(version).method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(version: Version, method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let denied = check(&mut parts(version, method, uri, headers), 5).err();
        denied.map_or(200, |denied| denied.status.as_u16())
    }

    #[test]
    fn what_servers_may_understand_differently_is_refused() {
        let host = ("host", "a.example:81");
        let h11 = Version::HTTP_11;
        for (expected, method, uri, headers) in [
            (200, "GET", "/x?y", &[host][..]),
            (200, "GET", "http://A.example:81/x", &[host]),
            (400, "GET", "http://b.example/x", &[host]),
            (400, "GET", "/x", &[]),
            (400, "GET", "/x", &[host, host]),
            (400, "GET", "/x", &[("host", "a b")]),
            (400, "GET", "/x", &[("host", "u@a")]),
            (400, "GET", "/x", &[("host", "a,b")]),
            (200, "OPTIONS", "*", &[host]),
            (400, "GET", "*", &[host]),
            (405, "CONNECT", "a.example:81", &[host]),
            (200, "POST", "/", &[host, ("transfer-encoding", "Chunked")]),
            (501, "POST", "/", &[host, ("transfer-encoding", "gzip, chunked")]),
            (
                501,
                "POST",
                "/",
                &[host, ("transfer-encoding", "x"), ("transfer-encoding", "chunked")],
            ),
            (200, "POST", "/", &[host, ("expect", "100-Continue")]),
            (417, "POST", "/", &[host, ("expect", "more")]),
            (431, "GET", "/", &[host, ("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "")]),
            (400, "GET", "/a/../b", &[host]),
            (400, "GET", "/a/%2e%2E/b", &[host]),
            (400, "GET", "/a/.", &[host]),
            (400, "GET", "/a/%2e%2fe", &[host]),
            (400, "GET", "/a%2f..%2Fb", &[host]),
            (400, "GET", "/a%5c..\\b", &[host]),
            (400, "GET", "/a%2F%2e", &[host]),
            (200, "GET", "/a/.../b.c/..d/.e%2f%2ef/g%2f...", &[host]),
        ] {
            assert_eq!(status(h11, method, uri, headers), expected, "{method} {uri} {headers:?}");
        }
        assert_eq!(status(Version::HTTP_10, "GET", "/x", &[]), 200);
        assert_eq!(status(Version::HTTP_2, "GET", "https://a/x", &[]), 200);
        assert_eq!(status(Version::HTTP_2, "GET", "https://a/x", &[("host", "b")]), 400);
    }

    #[test]
    fn what_is_asked_for() {
        let mut one = parts(Version::HTTP_11, "GET", "http://A/x?y=1&", &[("host", "a")]);
        let asked = check(&mut one, 5).unwrap();
        assert_eq!(asked.target, Target { path: "/x".into(), query: Some("y=1&".into()) });
        assert_eq!((asked.received.as_str(), asked.authority.as_str()), ("http://A/x?y=1&", "a"));
        assert!(one.headers.is_empty());
    }
}
