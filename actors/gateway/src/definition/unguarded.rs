//! What keeps requests out with Tyk and is not supported here. To pass over it in silence would let in whom it
//! keeps out.

use serde_json::Value;

use super::fields::Fields;

/// Switches of an API.
const SWITCHES: [&str; 10] = [
    "enable_ip_whitelisting",
    "enable_ip_blacklisting",
    "use_mutual_tls_auth",
    "enable_jwt",
    "use_basic_auth",
    "use_oauth2",
    "use_openid",
    "use_go_plugin_auth",
    "enable_signature_checking",
    "internal",
];

/// Lists of paths of a version.
const EXTENDED: [&str; 6] =
    ["white_list", "black_list", "internal", "size_limits", "validate_json", "validate_request"];

/// The same in the older form.
const PLAIN: [&str; 2] = ["white_list", "black_list"];

/// From here on the end of a version is far away, which is how definitions say never.
const FAR: &str = "2100";

/// Tells of what stands at the top of a definition.
pub(super) fn tell(top: &Fields<'_>) {
    for key in SWITCHES {
        if top.flag(key, false) {
            unguarded(top, key);
        }
    }
    if !top.text("domain").is_empty() && !top.flag("domain_disabled", false) {
        let what = "is not supported: the API is served whatever host is asked for";
        top.notes.lenient(top.wrong("domain", what).expected("a listen path of its own"));
    }
    let limit = top.object("global_rate_limit");
    if limit.is_some_and(|limit| is_above_zero(limit.get("rate")) && !is_off(limit.get("disabled")))
    {
        unguarded(top, "global_rate_limit");
    }
}

/// Tells of what a version says. `extended` and `plain` are its two forms of paths, and whether each counts.
pub(super) fn tell_version(
    fields: &Fields<'_>,
    extended: (&Fields<'_>, bool),
    plain: (&Fields<'_>, bool),
) {
    // As `2006-01-02 15:04`, so that texts are in the order of times.
    let expires = fields.text("expires");
    let is_far = expires.starts_with(|c: char| c.is_ascii_digit()) && expires >= FAR;
    if !matches!(expires, "" | "-1") && !is_far {
        unguarded(fields, "expires");
    }
    let limit = fields.number("global_size_limit");
    let disabled = fields.flag("global_size_limit_disabled", false);
    if limit.is_some_and(|limit| limit > 0) && !disabled {
        unguarded(fields, "global_size_limit");
    }
    for ((paths, counts), keys) in [(extended, &EXTENDED[..]), (plain, &PLAIN[..])] {
        for &key in keys {
            let holds = |rule: &Value| !is_off(rule.get("disabled"));
            if paths.list(key).iter().any(holds) && counts {
                unguarded(paths, key);
            }
        }
    }
}

fn is_off(disabled: Option<&Value>) -> bool {
    disabled.and_then(Value::as_bool).unwrap_or(false)
}

fn is_above_zero(number: Option<&Value>) -> bool {
    number.and_then(Value::as_f64).is_some_and(|number| number > 0.0)
}

fn unguarded(fields: &Fields<'_>, key: &str) {
    let what = "is not supported, so that nobody is kept out by it";
    fields.notes.lenient(fields.wrong(key, what).expected("another way to keep requests out"));
}
