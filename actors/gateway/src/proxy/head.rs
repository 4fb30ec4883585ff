//! The head of a request and of a response: what stays here, what is added. Pure.

use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use crate::exchange::{Denied, Target};

/// Headers that are for the next hop alone.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A refusal of what cannot be understood.
pub(super) fn bad(message: &str) -> Denied {
    Denied::new(StatusCode::BAD_REQUEST, message)
}

/// The protocol that a request asks to change to, if it may. HTTP/2 is none: who speaks it past the
/// gateway speaks past its hooks.
pub(super) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    if parts.version != Version::HTTP_11 {
        return None;
    }
    let protocol = parts.headers.get(header::UPGRADE)?;
    let asked = tokens(&parts.headers).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let is_http = protocol.as_bytes().split(|byte| *byte == b',').any(|one| {
        let one = one.trim_ascii();
        one.eq_ignore_ascii_case(b"h2c")
            || one.get(..5).is_some_and(|p| p.eq_ignore_ascii_case(b"HTTP/"))
    });
    (asked && !is_http).then(|| protocol.clone())
}

/// Whether a client understands trailers.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::TE);
    all.iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The words of all `Connection` headers.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let all = headers.get_all(header::CONNECTION).into_iter();
    all.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// Removes what `Connection` names. Of a request that is done before hooks see it: what they set is for the
/// upstream, whatever the client says of a header of that name.
pub(super) fn remove_named(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let usual = |token: &&[u8]| {
        !(token.eq_ignore_ascii_case(b"close")
            || token.eq_ignore_ascii_case(b"keep-alive")
            || token.eq_ignore_ascii_case(b"upgrade"))
    };
    let named: Vec<_> = tokens(headers)
        .filter(usual)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| *name != header::CONNECTION)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Removes the headers that are always for the next hop alone.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Mostly there is none or one: looking for them costs less than removing each.
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        headers.remove(name);
    }
}

/// Makes the head of an upstream's response that of one to a client. A body in chunks has no other length
/// than its chunks make; who tells one all the same is not believed.
pub(super) fn pass_back(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    remove_named(headers);
    remove_hop_by_hop(headers);
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    // The lengths of those names.
    matches!(name.as_str().len(), 2 | 7 | 10 | 16..=19) && HOP_BY_HOP.contains(name)
}

/// Says on whose behalf a request is passed on. What a client says of itself counts for the addresses
/// alone, which are a list.
pub(super) fn add_forwarded(
    headers: &mut HeaderMap,
    client: Option<&HeaderValue>,
    scheme: &'static str,
    host: Option<&HeaderValue>,
) {
    if let Some(client) = client {
        match headers.entry(FORWARDED_FOR) {
            header::Entry::Vacant(none) => {
                none.insert(client.clone());
            }
            header::Entry::Occupied(mut list) => {
                let mut all = Vec::new();
                for value in list.iter() {
                    all.extend_from_slice(value.as_bytes());
                    all.extend_from_slice(b", ");
                }
                all.extend_from_slice(client.as_bytes());
                list.insert(HeaderValue::from_bytes(&all).unwrap_or_else(|_| client.clone()));
            }
        }
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    match host {
        Some(host) if !host.is_empty() => headers.insert(FORWARDED_HOST, host.clone()),
        _ => headers.remove(FORWARDED_HOST),
    };
}

/// Makes one cookie header of many, as HTTP/1.1 wants it and HTTP/2 does not.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_some() {
        let all: Vec<_> =
            headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

/// What the upstream is asked for: `base`'s path and query, then what is left of the target's path once
/// `listen_path` is off, and its query.
pub(super) fn upstream_target(
    base: &PathAndQuery,
    listen_path: Option<&str>,
    target: &Target,
) -> Result<PathAndQuery, Denied> {
    let path = match listen_path {
        Some(listen_path) => target.path.strip_prefix(listen_path).unwrap_or(&target.path),
        None => &target.path,
    };
    if path == "*" {
        return Ok(PathAndQuery::from_static("*"));
    }
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (first, second) = match (base.query().unwrap_or_default(), target.query.as_deref()) {
        ("", query) => (query.unwrap_or_default(), ""),
        (query, more) => (query, more.unwrap_or_default()),
    };
    let mark = |query: &str, mark| if query.is_empty() { "" } else { mark };
    // As long as it has to be: what is longer is not taken as it is.
    let whole = [
        base.path().trim_end_matches('/'),
        "/",
        rest,
        mark(first, "?"),
        first,
        mark(second, "&"),
        second,
    ]
    .concat();
    PathAndQuery::try_from(whole).map_err(|_| bad("Malformed target"))
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

    #[test]
    fn what_is_for_one_hop_stays_here() {
        let mut one = parts(
            Version::HTTP_11,
            "GET",
            "/",
            &[
                ("connection", "close, X-One"),
                ("connection", "x-two"),
                ("x-one", "1"),
                ("x-two", "2"),
                ("x-three", "3"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("proxy-authorization", "x"),
                ("trailer", "x-sum"),
            ],
        );
        assert!(takes_trailers(&one.headers));
        assert_eq!(upgrade(&one), None);
        remove_named(&mut one.headers);
        remove_hop_by_hop(&mut one.headers);
        let left: Vec<_> = one.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-three", "trailer"]);
    }

    #[test]
    fn what_is_set_after_a_client_named_it_goes_on() {
        let headers = [("connection", "x-user, connection"), ("x-user", "root")];
        let mut one = parts(Version::HTTP_11, "GET", "/", &headers);
        remove_named(&mut one.headers);
        assert!(!one.headers.contains_key("x-user"));
        one.headers.insert("x-user", HeaderValue::from_static("me"));
        remove_hop_by_hop(&mut one.headers);
        assert_eq!(one.headers.len(), 1);
        assert_eq!(one.headers["x-user"], "me");
    }

    #[test]
    fn a_response_in_chunks_has_no_other_length() {
        let map = |names: &[&'static str]| {
            let value = |name| (HeaderName::from_static(name), HeaderValue::from_static("5"));
            names.iter().map(|name| value(*name)).collect::<HeaderMap>()
        };
        let mut both = map(&["content-length", "transfer-encoding", "x-a"]);
        pass_back(&mut both);
        assert_eq!(both, map(&["x-a"]));
        let mut length = map(&["content-length", "x-a"]);
        pass_back(&mut length);
        assert_eq!(length, map(&["content-length", "x-a"]));
    }

    #[test]
    fn all_names_for_one_hop_are_known_by_their_length() {
        assert!(HOP_BY_HOP.iter().all(is_hop_by_hop));
    }

    #[test]
    fn upgrades_to_another_http_are_none() {
        let asks = |protocol: &str| {
            let headers = [("connection", "keep-alive, Upgrade"), ("upgrade", protocol)];
            upgrade(&parts(Version::HTTP_11, "GET", "/", &headers)).is_some()
        };
        assert!(asks("websocket"));
        for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0"] {
            assert!(!asks(protocol), "{protocol}");
        }
    }

    #[test]
    fn forwarded_for_is_a_list_and_the_rest_is_said_anew() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_static(value));
        }
        let client = HeaderValue::from_static("3.3.3.3");
        let host = HeaderValue::from_static("a:1");
        add_forwarded(&mut headers, Some(&client), "http", Some(&host));
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 3.3.3.3");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a:1");
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn targets_of_upstreams() {
        for (base, listen_path, path, query, expected) in [
            ("/", Some("/o/"), "/o/7", None, "/7"),
            ("/", None, "/o/7", None, "/o/7"),
            ("/v1/", Some("/o/"), "/o/", Some("a=1"), "/v1/?a=1"),
            ("/v1", Some("/o"), "/o/7/", Some(""), "/v1/7/"),
            ("/v1?k=2", Some("/o/"), "/o/7", Some("a=1"), "/v1/7?k=2&a=1"),
            ("/", Some("/o/"), "/changed", None, "/changed"),
            ("/", Some("/o/"), "/o//x%2f", None, "/x%2f"),
        ] {
            let target = Target { path: path.into(), query: query.map(Into::into) };
            let found = upstream_target(&base.parse().unwrap(), listen_path, &target).unwrap();
            assert_eq!(found.as_str(), expected);
        }
    }
}
