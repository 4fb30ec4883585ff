//! What is said against a request without asking anybody.

use coproc_acomm::{Request, Url};

use crate::forward::Entrance;
use crate::nats::is_shared;
use crate::server::Shared;

/// What is wrong with a request, in the words for its requester; else its hook.
pub(crate) fn check(shared: &Shared, request: &Request, entrance: Entrance) -> Result<Url, String> {
    if request.id.is_empty() {
        return Err("missing id".to_owned());
    }
    if request.task.is_empty() {
        return Err(match entrance {
            Entrance::Http(_) => "request missing task",
            Entrance::Unix | Entrance::Shared => "missing task",
        }
        .to_owned());
    }
    let Some(hook) = &request.hook else { return Err("missing response hook".to_owned()) };
    let outside = entrance != Entrance::Unix;
    let allow = &shared.config.hook_allow;
    let refused = (outside && hook.is_unix() && !shared.config.allow_unix_hooks_from_http)
        || (hook.is_http() && !allow.name(hook.host_name()))
        || is_shared(hook) != (entrance == Entrance::Shared);
    if refused {
        return Err("response hook is not allowed".to_owned());
    }
    if hook.user {
        return Err("response hook has credentials, which cannot be sent".to_owned());
    }
    if hook.scheme.eq_ignore_ascii_case("https") {
        return Err("https response hooks are not supported".to_owned());
    }
    if let Some(stream) = &request.stream {
        let allow = &shared.config.stream_allow;
        let refused = (outside && stream.is_unix() && !shared.config.allow_unix_hooks_from_http)
            || (stream.is_http() && !allow.name(stream.host_name()));
        if refused {
            return Err("stream is not allowed".to_owned());
        }
        if stream.scheme.eq_ignore_ascii_case("https") {
            return Err("https streams are not supported".to_owned());
        }
    }
    Ok(hook.clone())
}
