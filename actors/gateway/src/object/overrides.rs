//! Answers that a hook gives itself.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::header::for_client;
use super::sniff::content_type;
use super::{Unfit, Verdict};
use crate::exchange::{Denied, Reply};
use crate::wire::{ReturnOverrides, Texts};

/// What a refusal says for itself when its hook does not.
const REFUSED: &str = "Key not authorised";

/// The verdict of overrides; `None` if they are none.
pub(super) fn verdict(overrides: ReturnOverrides) -> Option<Verdict> {
    let code = overrides.response_code;
    if code <= 0 {
        return None;
    }
    // An answer with a status of three digits, and none of those that only announce one, can be written.
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| !status.is_informational());
    let Some(status) = status else {
        return Some(Verdict::Unanswerable(Unfit(format!("{code} is no status"))));
    };
    let said = if overrides.response_error.is_empty() {
        overrides.response_body
    } else {
        overrides.response_error
    };
    let mut headers = headers(&overrides.headers);
    if code >= 400 && !overrides.override_error {
        let message = if said.is_empty() { REFUSED.to_owned() } else { said };
        return Some(Verdict::Refuse(Denied { status, message, headers }));
    }
    let typed = headers.contains_key(CONTENT_TYPE) || headers.contains_key(CONTENT_ENCODING);
    if !typed && !said.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(&said)));
    }
    Some(Verdict::Reply(Reply { status, headers, body: said.into() }))
}

fn headers(texts: &Texts) -> HeaderMap {
    texts.iter().filter_map(|(name, value)| for_client(name, value)).collect()
}
