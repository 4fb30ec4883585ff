//! Who is let in, as a definition says it.

use http::HeaderName;

use super::Rules;
use super::fields::Fields;
use crate::api::{Auth, Identity, KeySource};

/// The names of those who may provide a request's identity, and what they come to here.
const IDENTITIES: [(&str, Identity); 3] =
    [("", Identity::Custom), ("custom_auth", Identity::Custom), ("auth_token", Identity::Token)];

/// Reads what stands at the top of a definition; `None`: everybody is let in.
pub(super) fn read(top: &Fields<'_>, rules: &Rules) -> Option<Auth> {
    let keyless = top.flag("use_keyless", false);
    let custom = top.flag("custom_plugin_auth_enabled", false);
    let legacy = top.flag("enable_coprocess_auth", false);
    let standard = top.flag("use_standard_auth", false);
    let configs = top.table("auth_configs");
    let old = key(&top.table("auth"));
    let own = key(&configs.table("authToken"));
    let custom_key = key(&configs.table("coprocess"));
    configs.passes_over(&["basic", "hmac", "jwt", "oauth", "oidc"]);
    let identity = top.choice("base_identity_provided_by", &IDENTITIES);
    if keyless {
        return None;
    }
    let custom = rules.hooks && (custom || legacy);
    let standard = standard || !custom;
    let header = || KeySource { header: Some(http::header::AUTHORIZATION), ..KeySource::default() };
    Some(Auth {
        custom,
        standard,
        key: own.or(old).unwrap_or_else(header),
        custom_key: custom_key.unwrap_or_else(header),
        identity: match (custom, standard) {
            (true, false) => Identity::Custom,
            (false, _) => Identity::Token,
            (true, true) => identity.unwrap_or(Identity::Custom),
        },
    })
}

/// Where a key stands; `None` where nothing is said.
fn key(fields: &Fields<'_>) -> Option<KeySource> {
    let header = fields.text("auth_header_name");
    let no_header = fields.flag("disable_header", false);
    let use_param = fields.flag("use_param", false);
    let param = fields.text("param_name");
    let use_cookie = fields.flag("use_cookie", false);
    let cookie = fields.text("cookie_name");
    if !fields.there() {
        return None;
    }
    let name = if header.is_empty() { "Authorization" } else { header };
    let header = HeaderName::from_bytes(name.as_bytes());
    if header.is_err() {
        let what = format!("`{}` is not the name of a header", name.escape_debug());
        fields
            .notes
            .fault(fields.wrong("auth_header_name", what).expected("a name such as `X-Key`"));
    }
    let named =
        |used: bool, own: &str| used.then(|| if own.is_empty() { name } else { own }.to_owned());
    let source = KeySource {
        header: header.ok().filter(|_| !no_header),
        param: named(use_param, param),
        cookie: named(use_cookie, cookie),
    };
    if source == KeySource::default() {
        let what = "the key can stand nowhere";
        let fault = fields.wrong("disable_header", what);
        fields.notes.fault(fault.expected("a header, a parameter or a cookie"));
    }
    Some(source)
}
