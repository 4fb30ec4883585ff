//! Answers that a hook gives itself.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::Verdict;
use super::header::for_client;
use super::sniff::content_type;
use crate::exchange::{Denied, Reply};
use crate::wire::{ReturnOverrides, Texts};

/// What a refusal says for itself when its hook does not.
const REFUSED: &str = "Key not authorised";

/// The verdict of overrides; `None` if they are none.
pub(super) fn verdict(overrides: ReturnOverrides) -> Option<Verdict> {
    let code = u16::try_from(overrides.response_code).unwrap_or(match overrides.response_code {
        ..=0 => 0,
        _ => u16::MAX,
    });
    if code == 0 {
        return None;
    }
    // An answer with a status of three digits, and none of those that only announce one, can be written.
    let status = StatusCode::from_u16(code).ok().filter(|status| !status.is_informational());
    let Some(status) = status else {
        tracing::warn!(code, "a hook answers with a status that cannot be one");
        return Some(Verdict::Refuse(Denied::middleware()));
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
