//! Parameters of a request: those of the query and those of a url-encoded body.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::exchange::Draft;

/// Whether the body is url-encoded, be it with a charset.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// All values of a parameter as one text, those of the body first; `None` where there are none.
pub(super) fn values(draft: &Draft, name: &str) -> Option<String> {
    let body = draft.body.as_deref().filter(|_| is_form(&draft.headers)).unwrap_or_default();
    let query = draft.target.query.as_deref().unwrap_or_default();
    let mut found = None;
    for part in [body, query.as_bytes()] {
        for (key, value) in form_urlencoded::parse(part) {
            if key == name {
                found.get_or_insert_with(String::new).push_str(&value);
            }
        }
    }
    found
}
