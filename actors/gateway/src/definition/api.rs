//! A definition as a whole.

use std::time::Duration;

use coproc_core::scalar::printable;
use serde_json::Value;

use super::fields::{Fault, Fields, Notes};
use super::{Rules, auth, hooks, unguarded, versions};
use crate::api::{Api, Hooks, Upstream};
use crate::bundle::Names;
use crate::event::Kind;
use crate::session::hash::md5;
use crate::url;

/// The handler that delivers an event to a plugin.
const TO_PLUGIN: &str = "cp_dynamic_handler";

/// Reads a definition; `None` for one that is switched off or has no id, path or target. `opened`: its hooks
/// are those of its bundles already. Else an API that has bundles has no hooks, and its bundles beside it.
pub(super) fn read(
    definition: &Value,
    rules: &Rules,
    notes: &Notes,
    opened: bool,
) -> Option<(Api, Option<Names>)> {
    let top = Fields::of(definition, notes);
    if top.has("openapi") || top.has("x-tyk-api-gateway") {
        let fault = Fault::new(["openapi"], "definitions in OpenAPI are not supported");
        notes.fault(fault.expected("a classic definition"));
        return None;
    }
    let active = top.flag("active", true);
    let id = top.text("api_id");
    let name = top.text("name");
    let org = top.text("org_id");
    if !is_id(id) && top.there() && top.is_text("api_id") {
        let what = match id {
            "" => "is required".to_owned(),
            id => format!("`{}` is not an id", printable(id)),
        };
        let expected = "letters, digits, `-`, `_` and `.`";
        notes.fault(top.wrong("api_id", what).expected(expected));
    }
    let proxy = proxy(&top);
    unguarded::tell(&top);
    let auth = auth::read(&top, rules);
    let custom = auth.as_ref().is_some_and(|auth| auth.custom);
    let bundles = top.text(hooks::BUNDLE);
    let bundle = hooks::bundle(&top, bundles, rules).filter(|_| !opened);
    let hooks = match bundle {
        Some(_) => {
            // The bundle's stand for them.
            top.passes_over(&["custom_middleware"]);
            Hooks::default()
        }
        None => hooks::read(&top, rules, custom),
    };
    let version = versions::read(&top);
    let config_data = top.object("config_data").filter(|data| !data.is_empty());
    let no_config_data = top.flag("config_data_disabled", false);
    let config_data = config_data.filter(|_| !no_config_data);
    let lifetime = top.number("session_lifetime").unwrap_or(0);
    let events = events_of_api(&top);
    let respects = top.flag("session_lifetime_respects_key_expiration", false);
    let strip_auth_data = top.flag("strip_auth_data", false);
    let disable_rate_limit = top.flag("disable_rate_limit", false);
    let disable_quota = top.flag("disable_quota", false);
    let (listen_path, upstream) = proxy?;
    let api = Api {
        name: if name.is_empty() { id } else { name }.to_owned(),
        id: id.to_owned(),
        org: org.to_owned(),
        listen_path,
        upstream,
        auth,
        hooks,
        ignored: version.ignored,
        config_data: config_data.and_then(|data| serde_json::to_string(data).ok()),
        bundle_hash: md5(bundles),
        bundle: Vec::new(),
        events,
        session_lifetime: Duration::from_secs(u64::try_from(lifetime).unwrap_or(0)),
        lifetime_respects_expiration: respects,
        strip_auth_data,
        disable_rate_limit,
        disable_quota,
        response_headers: version.response_headers,
    };
    active.then_some((api, bundle))
}

/// An id is a segment of a path, too.
fn is_id(id: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !id.is_empty() && id.len() <= 128 && id.chars().all(part) && !id.starts_with('.')
}

fn proxy(top: &Fields<'_>) -> Option<(String, Upstream)> {
    let proxy = top.table("proxy");
    let path = proxy.text("listen_path");
    let target = proxy.text("target_url");
    let strip = proxy.flag("strip_listen_path", false);
    let preserve_host = proxy.flag("preserve_host_header", false);
    if !top.there() || top.has("proxy") && !proxy.there() {
        return None;
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#');
    let good = path.starts_with('/') && !path.contains(odd);
    if !good && proxy.is_text("listen_path") {
        let what = match path {
            "" => "is required".to_owned(),
            path => format!("`{}` is not a path", printable(path)),
        };
        let fault = proxy.wrong("listen_path", what);
        top.notes.fault(fault.expected("a path that begins with `/`, without blanks"));
    }
    let url = url::read(target);
    if url.is_none() && proxy.is_text("target_url") {
        let what = match target {
            "" => "is required".to_owned(),
            target if versions::is_loop(target) => {
                "loops to other APIs (`tyk://`) are not supported".to_owned()
            }
            target => format!("`{}` is not the address of an upstream", printable(target)),
        };
        let fault = proxy.wrong("target_url", what);
        top.notes.fault(
            fault.expected("`http://HOST` or `https://HOST`, with port and path if need be"),
        );
    }
    let url = url.filter(|_| good)?;
    Some((path.to_owned(), Upstream { url, strip_listen_path: strip, preserve_host }))
}

/// Reads `event_handlers` of the gateway itself: the events, and what is wrong. Pure.
pub fn handlers(value: &Value) -> (Vec<(String, String)>, Vec<Fault>) {
    let whole = serde_json::json!({ "event_handlers": value });
    let notes = Notes::new(true);
    // A plugin may fire an event of any name.
    let events = events(&Fields::of(&whole, &notes), |_| None);
    let (mut faults, warnings, _) = notes.into_parts();
    faults.extend(warnings);
    for fault in &mut faults {
        fault.path.remove(0);
    }
    (events, faults)
}

/// Events of an API that go to plugins.
fn events_of_api(top: &Fields<'_>) -> Vec<(String, String)> {
    events(top, |kind| match kind {
        None => Some("never happens here"),
        Some(kind) if !kind.is_of_an_api() => {
            Some("happens to no API: `event_handlers` of `[gateway]` registers it")
        }
        Some(_) => None,
    })
}

/// Events that go to plugins: the event's name, and the handler's. `odd` says why one is in vain.
fn events(
    top: &Fields<'_>,
    odd: fn(Option<Kind>) -> Option<&'static str>,
) -> Vec<(String, String)> {
    let handlers = top.table("event_handlers");
    let mut events = Vec::new();
    let Some(all) = handlers.object("events") else { return events };
    for (event, list) in all {
        let path = |number: Option<usize>| {
            let mut path = handlers.path("events");
            path.push(event.clone());
            path.extend(number.map(|number| number.to_string()));
            path
        };
        let Some(list) = list.as_array() else {
            let fault = Fault::new(path(None), "has the wrong type");
            top.notes.fault(fault.expected("a list of handlers"));
            continue;
        };
        if let Some(why) = odd(Kind::named(event))
            && !list.is_empty()
        {
            top.notes.warn(Fault::new(path(None), why));
        }
        for (number, handler) in list.iter().enumerate() {
            let name = handler["handler_meta"]["name"].as_str().unwrap_or_default();
            match handler["handler_name"].as_str() {
                Some(TO_PLUGIN) if !name.is_empty() => {
                    events.push((event.clone(), name.to_owned()))
                }
                Some(TO_PLUGIN) => {
                    let fault = Fault::new(path(Some(number)), "`handler_meta.name` is required");
                    top.notes.fault(fault.expected("the name that the plugin knows it by"));
                }
                Some(other) => {
                    let what = format!("the handler `{}` is not supported", printable(other));
                    let fault = Fault::new(path(Some(number)), what);
                    top.notes.warn(fault.expected(format!("`{TO_PLUGIN}`")));
                }
                None => {
                    let fault = Fault::new(path(Some(number)), "`handler_name` is required");
                    top.notes.fault(fault.expected(format!("`{TO_PLUGIN}`")));
                }
            }
        }
    }
    events
}
