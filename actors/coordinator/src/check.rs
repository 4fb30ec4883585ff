//! What is said against a request without asking anybody.

use coproc_acomm::{Request, Url};

use crate::forward::Entrance;
use crate::nats::is_shared;
use crate::shared::Shared;
use crate::shown::shown;

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
    let config = &shared.config;
    let forbidden = |url: &Url| {
        let from_outside = entrance != Entrance::Unix && !config.allow_unix_hooks_from_http;
        url.is_unix() && (from_outside || !config.unix_hooks.allow(&config.socket_dir, url))
    };
    let refused = forbidden(hook)
        || (hook.is_http() && !config.hook_allow.name(hook.host_name()))
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
    if !hook.is_unix() && !hook.is_http() && !is_shared(hook) {
        let scheme = shown(&hook.scheme);
        return Err(format!("response hook has the scheme `{scheme}`, not `unix` or `http`"));
    }
    if let Some(port) = wrong_port(hook) {
        return Err(format!("response hook has the port `{port}`, not one from 1 to 65535"));
    }
    if let Some(stream) = &request.stream {
        let refused = forbidden(stream)
            || (stream.is_http() && !config.stream_allow.name(stream.host_name()));
        if refused {
            return Err("stream is not allowed".to_owned());
        }
        if stream.scheme.eq_ignore_ascii_case("https") {
            return Err("https streams are not supported".to_owned());
        }
        if let Some(port) = wrong_port(stream) {
            return Err(format!("stream has the port `{port}`, not one from 1 to 65535"));
        }
    }
    Ok(hook.clone())
}

/// The port of an address of HTTP to which nobody can connect.
fn wrong_port(url: &Url) -> Option<String> {
    let (name, port) = url.host.rsplit_once(':')?;
    // The colons of an address that has no port.
    let is_whole = port.ends_with(']') || (name.contains(':') && !name.ends_with(']'));
    let wrong = url.is_http() && !is_whole && !port.is_empty() && !matches!(url.port(), Some(1..));
    wrong.then(|| shown(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_nobody_can_have() {
        for (host, wrong) in [
            ("h", None),
            ("h:", None),
            ("h:1", None),
            ("h:65535", None),
            ("h:0", Some("0")),
            ("h:65536", Some("65536")),
            ("h:99999", Some("99999")),
            ("[::1]:0", Some("0")),
            ("[::1]", None),
            ("::1", None),
            (":0", Some("0")),
            ("h:web", Some("web")),
            ("[::1]:web", Some("web")),
        ] {
            let url = Url { scheme: "http".into(), host: host.into(), ..Url::default() };
            assert_eq!(wrong_port(&url).as_deref(), wrong, "{host}");
        }
    }
}
