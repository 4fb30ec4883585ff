//! The key that a request bears. Pure.

use http::header::COOKIE;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;

use crate::api::KeySource;
use crate::exchange::{Denied, Draft};

/// What stands before a key in `Authorization`.
const BEARER: &str = "bearer ";

impl KeySource {
    /// The key of a request: of the header, else of the parameter, else of the cookie. An empty one is
    /// none.
    pub fn find(&self, draft: &Draft) -> Option<String> {
        self.in_header(&draft.headers)
            .or_else(|| self.in_query(draft.target.query.as_deref()?))
            .or_else(|| self.in_cookie(&draft.headers))
    }

    /// As [`KeySource::find`].
    ///
    /// # Errors
    /// 401 where there is none.
    pub fn key(&self, draft: &Draft) -> Result<String, Denied> {
        let missing = || Denied::new(StatusCode::UNAUTHORIZED, "Authorization field missing");
        self.find(draft).ok_or_else(missing)
    }

    /// Takes the key out of a request, wherever it stands.
    pub fn strip(&self, draft: &mut Draft) {
        if let Some(name) = &self.header {
            draft.headers.remove(name);
        }
        if let Some(name) = &self.param
            && let Some(query) = &draft.target.query
        {
            let kept: Vec<_> = query.split('&').filter(|pair| !is_named(pair, name)).collect();
            draft.target.query = (!kept.is_empty()).then(|| kept.join("&"));
        }
        if let Some(name) = &self.cookie {
            strip_cookie(&mut draft.headers, name);
        }
    }

    fn in_header(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(self.header.as_ref()?)?.to_str().ok()?.trim();
        let key = match value.get(..BEARER.len()) {
            Some(lead) if lead.eq_ignore_ascii_case(BEARER) => value[BEARER.len()..].trim(),
            _ => value,
        };
        (!key.is_empty()).then(|| key.to_owned())
    }

    fn in_query(&self, query: &str) -> Option<String> {
        let name = self.param.as_deref()?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        (!value.is_empty()).then(|| value.into_owned())
    }

    fn in_cookie(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.cookie.as_deref()?;
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let value = cookies.flat_map(|value| value.split(';')).find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        (!value.is_empty()).then(|| value.into_owned())
    }
}

/// Whether a pair of a query has this name.
fn is_named(pair: &str, name: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(key, _)| key == name)
}

/// Takes one cookie out of all.
fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    let kept: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter(|pair| pair.split_once('=').is_none_or(|(key, _)| key.trim() != name))
        .map(|pair| pair.trim().to_owned())
        .filter(|pair| !pair.is_empty())
        .collect();
    headers.remove(COOKIE);
    if let Ok(value) = kept.join("; ").parse()
        && !kept.is_empty()
    {
        headers.insert(COOKIE, value);
    }
}
