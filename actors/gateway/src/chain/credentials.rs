//! Where a key stands in a request, and how it is taken out. Pure.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::api::KeySource;
use crate::exchange::Draft;

/// The key of a request: the parameter's, else the cookie's, else the header's.
pub(super) fn find(source: &KeySource, draft: &Draft) -> Option<String> {
    let param = source.param.as_deref().and_then(|name| param(draft, name));
    let cookie = || source.cookie.as_deref().and_then(|name| cookie(&draft.headers, name));
    let header = || {
        let value = draft.headers.get(source.header.as_ref()?)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let found = param.or_else(cookie).or_else(header)?;
    let key = bare(&found);
    (!key.is_empty()).then(|| key.to_owned())
}

/// A key without the word for its kind.
fn bare(key: &str) -> &str {
    match key.split_at_checked("Bearer ".len()) {
        Some((kind, key)) if kind.eq_ignore_ascii_case("Bearer ") => key.trim(),
        _ => key.trim(),
    }
}

fn param(draft: &Draft, name: &str) -> Option<String> {
    let query = draft.target.query.as_deref()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    pairs
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"').to_owned())
}

/// Takes the key out of a request, wherever it stands.
pub(super) fn strip(source: &KeySource, draft: &mut Draft) {
    if let Some(header) = &source.header {
        draft.headers.remove(header);
    }
    if let (Some(name), Some(query)) = (&source.param, &draft.target.query) {
        let own = |pair: &&str| {
            form_urlencoded::parse(pair.as_bytes()).next().is_none_or(|(key, _)| key != *name)
        };
        let left = query.split('&').filter(own).collect::<Vec<_>>().join("&");
        draft.target.query = (!left.is_empty()).then_some(left);
    }
    if let Some(name) = &source.cookie {
        let lines: Vec<_> = draft.headers.get_all(COOKIE).iter().cloned().collect();
        draft.headers.remove(COOKIE);
        for line in lines {
            let Ok(text) = line.to_str() else { continue };
            let left = text
                .split(';')
                .map(str::trim)
                .filter(|pair| pair.split('=').next() != Some(name))
                .collect::<Vec<_>>()
                .join("; ");
            if let (false, Ok(line)) = (left.is_empty(), HeaderValue::from_str(&left)) {
                draft.headers.append(COOKIE, line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::exchange::{Scheme, Target};

    fn draft(query: Option<&str>, headers: &[(&'static str, &'static str)]) -> Draft {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        Draft {
            method: Method::GET,
            target: Target { path: "/".into(), query: query.map(Into::into) },
            received: "/".into(),
            authority: "h".into(),
            scheme: Scheme::Http,
            headers: headers.collect(),
            body: None,
            client: None,
            session: None,
        }
    }

    fn everywhere() -> KeySource {
        KeySource {
            header: Some(AUTHORIZATION),
            param: Some("key".into()),
            cookie: Some("key".into()),
        }
    }

    #[test]
    fn a_key_is_found_where_it_may_stand() {
        let find = |draft: &Draft| find(&everywhere(), draft);
        assert_eq!(find(&draft(None, &[])), None);
        assert_eq!(find(&draft(None, &[("authorization", "abc")])), Some("abc".into()));
        assert_eq!(find(&draft(None, &[("authorization", "Bearer abc")])), Some("abc".into()));
        assert_eq!(find(&draft(None, &[("authorization", "bearer  ")])), None);
        assert_eq!(find(&draft(None, &[("cookie", "a=b; key=\"c\"")])), Some("c".into()));
        let both = draft(Some("a=1&key=d%20e"), &[("authorization", "abc")]);
        assert_eq!(find(&both), Some("d e".into()));
    }

    #[test]
    fn stripping_takes_the_key_and_nothing_else() {
        let mut draft = draft(
            Some("a=1&key=d&b=%20"),
            &[("authorization", "abc"), ("cookie", "a=b; key=c; d=e"), ("x", "y")],
        );
        strip(&everywhere(), &mut draft);
        assert_eq!(draft.target.query.as_deref(), Some("a=1&b=%20"));
        assert_eq!(draft.headers["cookie"], "a=b; d=e");
        assert!(!draft.headers.contains_key("authorization"));
        assert_eq!(draft.headers["x"], "y");
        let mut alone = self::draft(Some("key=d"), &[("cookie", "key=c")]);
        strip(&everywhere(), &mut alone);
        assert_eq!(alone.target.query, None);
        assert!(!alone.headers.contains_key("cookie"));
    }
}
