//! What a hook's answer changes in a response.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::apply_request::set_length;
use super::header::{all_values, first_values, for_client, text};
use super::{Rules, Unfit, build};
use crate::api::{BodyWanted, Hook};
use crate::exchange::Whole;
use crate::wire::{Header, Object, ResponseObject, Texts};

/// Applies what a response hook has returned. An error leaves the response as it was.
///
/// The hook has to be the one that was asked: what it was not sent, it cannot have changed.
pub fn apply_response(
    whole: &mut Whole,
    hook: &Hook,
    returned: Object,
    rules: Rules,
) -> Result<(), Unfit> {
    let Some(response) = returned.response else {
        return Err(Unfit::of("it has no response"));
    };
    let status = u16::try_from(response.status_code).ok();
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    // A status that only announces an answer is the end of none.
    let Some(status) = status.filter(|status| !status.is_informational()) else {
        return Err(Unfit(format!("{} is no status", response.status_code)));
    };

    let meant_text = rules.strict && {
        let (sent_raw, sent) = build::wanted(hook, Some(&whole.body));
        response.body != sent && response.raw_body == sent_raw
    };
    let body = if meant_text { response.body.clone().into() } else { response.raw_body.clone() };
    let unseen = hook.body == BodyWanted::None && body.is_empty();
    let same_body = unseen || body == whole.body;

    let mut headers = HeaderMap::with_capacity(whole.headers.len());
    for header in edited(&whole.headers, response) {
        for value in &header.values {
            if let Some((name, value)) = for_client(&header.key, value) {
                let value = original(&whole.headers, &name, &value).unwrap_or(value);
                headers.append(name, value);
            }
        }
    }
    // A response to HEAD has a length and no body: what is said of a body that stays, stays.
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        if let Some(value) = whole.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if !same_body || (!unseen && headers.contains_key(TRANSFER_ENCODING)) {
        set_length(&mut headers, body.len());
    }
    if !unseen {
        whole.body = body;
    }
    whole.headers = headers;
    whole.status = status;
    Ok(())
}

/// The headers that the answer comes to.
///
/// A plugin may edit the map of first values or the list of all. One that returns no list does not know of
/// it, and is taken to have returned it as it was.
fn edited(sent: &HeaderMap, returned: ResponseObject) -> Vec<Header> {
    let mut list = returned.multivalue_headers;
    if list.is_empty() {
        list = all_values(sent);
    }
    if returned.headers != first_values(sent) {
        synchronise(&mut list, returned.headers);
    }
    list
}

/// Makes the list follow the map: what the map lacks goes, what the list lacks comes, and of what both have
/// the first value is the map's.
fn synchronise(list: &mut Vec<Header>, map: Texts) {
    list.retain(|header| map.contains_key(&header.key));
    for (key, value) in map {
        match list.iter_mut().find(|header| header.key == key) {
            Some(header) if header.values.is_empty() => header.values.push(value),
            Some(header) => header.values[0] = value,
            None => list.push(Header { key, values: vec![value] }),
        }
    }
}

/// The bytes that stand for a value which was shown as Latin-1 and came back as it was.
fn original(sent: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
    if value.as_bytes().is_ascii() {
        return None;
    }
    let shown = |old: &&HeaderValue| text(old.as_bytes()).as_bytes() == value.as_bytes();
    sent.get_all(name).iter().find(shown).cloned()
}
