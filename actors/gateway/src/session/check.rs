//! What a session has to be for a request to go on, in the order in which it is checked. Pure.

use std::time::SystemTime;

use http::StatusCode;

use super::{Session, epoch};
use crate::api::Api;
use crate::exchange::{Denied, Draft};

/// No session where one is needed.
pub fn missing() -> Denied {
    let message = "Session state is missing or unset! Please make sure that auth headers are properly \
                   applied";
    Denied::new(StatusCode::BAD_REQUEST, message)
}

/// Whether the key has come to its end.
///
/// # Errors
/// 401 if so.
pub fn expired(session: &Session, now: SystemTime) -> Result<(), Denied> {
    match session.expires >= 1 && session.expires <= epoch(now) {
        true => Err(Denied::new(StatusCode::UNAUTHORIZED, "Key has expired, please renew")),
        false => Ok(()),
    }
}

/// Whether the key is switched off.
///
/// # Errors
/// 403 if so.
pub fn inactive(session: &Session) -> Result<(), Denied> {
    match session.is_inactive {
        true => Err(Denied::new(StatusCode::FORBIDDEN, "Key is inactive, please renew")),
        false => Ok(()),
    }
}

/// Whether the key is for this API, or for all.
///
/// # Errors
/// 403 if not.
pub fn rights(session: &Session, api: &Api) -> Result<(), Denied> {
    let rights = &session.access_rights;
    match rights.is_empty() || rights.contains_key(&api.id) {
        true => Ok(()),
        false => Err(disallowed()),
    }
}

/// Whether the key is for this path and method of the API. A path counts with the listen path and without
/// it.
///
/// # Errors
/// 403 if not.
pub fn urls(session: &Session, api: &Api, draft: &Draft) -> Result<(), Denied> {
    let allowed = match session.access_rights.get(&api.id) {
        Some(access) if !access.allowed_urls.is_empty() => &access.allowed_urls,
        _ => return Ok(()),
    };
    let whole = draft.target.path.as_str();
    let below = below(api, whole);
    let method = draft.method.as_str();
    let fits = allowed.iter().any(|one| {
        one.methods.iter().any(|name| name == method)
            && (one.url.is_match(whole)
                || below.as_deref().is_some_and(|path| one.url.is_match(path)))
    });
    match fits {
        true => Ok(()),
        false => {
            let message = "Access to this resource has been disallowed";
            Err(Denied::new(StatusCode::FORBIDDEN, message))
        }
    }
}

/// All that can be known of a session without counting its requests.
///
/// # Errors
/// The first of the others' that is true.
pub fn all(session: &Session, api: &Api, draft: &Draft, now: SystemTime) -> Result<(), Denied> {
    expired(session, now)?;
    inactive(session)?;
    rights(session, api)?;
    urls(session, api, draft)
}

/// No such key, or none for this API.
pub fn disallowed() -> Denied {
    Denied::new(StatusCode::FORBIDDEN, "Access to this API has been disallowed")
}

/// The path below the listen path, beginning with a slash.
fn below<'a>(api: &Api, path: &'a str) -> Option<std::borrow::Cow<'a, str>> {
    let rest = path.strip_prefix(api.listen_path.as_str())?;
    Some(match rest.starts_with('/') {
        true => rest.into(),
        false => format!("/{rest}").into(),
    })
}
