//! `custom_middleware`: the hooks of a definition, and what takes ids out of its requests.

use std::sync::Arc;

use coproc_core::scalar::printable;
use http::{HeaderName, StatusCode};
use regex::RegexBuilder;

use super::Rules;
use super::fields::{Fields, listed};
use crate::api::{BodyWanted, Hook, Hooks, OnError};
use crate::bundle::Names;
use crate::driver::{COMPILED, Drivers};
use crate::extractor::{Extractor, Source, With, XPath};

/// The largest program that the regex of an extractor may be compiled to, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// The key that names bundles.
pub(super) const BUNDLE: &str = "custom_middleware_bundle";

/// Reads `custom_middleware`; `custom` is whether a hook authenticates.
pub(super) fn read(top: &Fields<'_>, rules: &Rules, custom: bool) -> Hooks {
    let fields = top.table("custom_middleware");
    fields.passes_over(&["traffic_logs"]);
    let driver = fields.text("driver");
    let lists = ["pre", "post_key_auth", "post", "response"].map(|key| hooks(&fields, key));
    let check = fields.table("auth_check");
    let auth = hook(&check);
    let extractor = extractor(&fields.table("id_extractor"));
    if auth.is_some() && !custom && rules.hooks && !top.flag("use_keyless", false) {
        let what = "is not used unless `custom_plugin_auth_enabled` is true";
        top.notes.warn(fields.wrong("auth_check", what));
    }
    let [pre, post_key_auth, post, response] = lists;
    // A hook that is switched off, or has no name, is asked all the same where one authenticates, since
    // otherwise nobody would be kept out.
    let auth = custom.then(|| auth.unwrap_or_else(|| unnamed(&check)));
    let extractor = extractor.filter(|_| custom).map(Arc::new);
    let hooks = Hooks {
        driver: driver.to_owned(),
        pre,
        auth: auth.map(Arc::new),
        post_key_auth,
        post,
        response,
        extractor,
    };
    if hooks.is_empty() {
        return Hooks { driver: driver.to_owned(), ..Hooks::default() };
    }
    if !rules.hooks {
        let what = "`gateway.enable_coprocess` is false, so that its hooks do not run";
        top.notes.lenient(top.wrong("custom_middleware", what));
        return Hooks { driver: driver.to_owned(), ..Hooks::default() };
    }
    if !rules.drivers.contains(&driver) {
        let known = Drivers::NAMES.contains(&driver);
        let bare = COMPILED.is_empty();
        let lacking = bare || known && !COMPILED.contains(&driver);
        let what = match driver {
            _ if bare => "this coproc is built without hooks (the feature `coprocess`)".to_owned(),
            "" => "there are hooks, and no driver".to_owned(),
            "grpc" if !lacking => "`gateway.grpc` names no plugin server".to_owned(),
            _ if known && !lacking => format!("there is no table `gateway.{driver}`"),
            _ if lacking => format!("this coproc is built without the driver `{driver}`"),
            other => format!("`{}` is no driver", printable(other)),
        };
        let refused = bare || rules.strict || rules.checking && lacking;
        let answered = if refused { "" } else { ": requests are answered with 500" };
        let fault = fields.wrong("driver", format!("{what}{answered}"));
        let fault = match bare {
            true => fault.expected("an API without hooks"),
            false => fault.expected(listed(COMPILED.iter().copied())),
        };
        match refused {
            true => top.notes.fault(fault),
            false => top.notes.warn(fault),
        }
    }
    hooks
}

/// The bundles of `text`, whose hooks stand for those of the definition, if it names any.
pub(super) fn bundle(top: &Fields<'_>, text: &str, rules: &Rules) -> Option<Names> {
    let disabled = top.flag("custom_middleware_bundle_disabled", false);
    let names = match Names::parse(text) {
        Ok(names) => names.filter(|_| !disabled)?,
        Err(_) if disabled => return None,
        Err(what) => {
            top.notes.fault(top.wrong(BUNDLE, what).expected("names below `bundle_base_url`"));
            return None;
        }
    };
    if !rules.hooks {
        let what = "`gateway.enable_coprocess` is false, so that its hooks do not run";
        top.notes.lenient(top.wrong(BUNDLE, what));
        return None;
    }
    Some(names)
}

fn hooks(fields: &Fields<'_>, key: &'static str) -> Vec<Arc<Hook>> {
    let mut hooks = Vec::new();
    for fields in fields.tables(key) {
        let Some(hook) = hook(&fields) else { continue };
        if hook.name.is_empty() {
            let fault = fields.wrong("name", "the hook has no name");
            fields.notes.lenient(fault.expected("the name that the plugin knows it by"));
        }
        hooks.push(Arc::new(hook));
    }
    hooks
}

/// One hook; `None` for one that is switched off.
fn hook(fields: &Fields<'_>) -> Option<Hook> {
    let disabled = fields.flag("disabled", false);
    fields.passes_over(&["path", "code", "require_session"]);
    let raw = fields.flag("raw_body_only", false);
    let words = [("none", BodyWanted::None), ("raw", BodyWanted::Raw), ("full", BodyWanted::Full)];
    let body = fields.choice("body", &words);
    let hook = Hook {
        name: fields.text("name").to_owned(),
        body: body.unwrap_or(if raw { BodyWanted::Raw } else { BodyWanted::Full }),
        timeout: fields.duration("timeout"),
        on_error: on_error(&fields.table("on_error")),
    };
    (fields.there() && !disabled).then_some(hook)
}

/// The hook of authentication that is asked without a name.
fn unnamed(fields: &Fields<'_>) -> Hook {
    let named = hook(fields).unwrap_or(Hook {
        name: String::new(),
        body: BodyWanted::Full,
        timeout: None,
        on_error: OnError::Closed(None),
    });
    Hook { name: String::new(), ..named }
}

fn on_error(fields: &Fields<'_>) -> OnError {
    let open = fields.choice("mode", &[("closed", false), ("open", true)]).unwrap_or(false);
    let status = fields.number("status").and_then(|number| {
        let status = u16::try_from(number).ok().filter(|number| (400..600).contains(number));
        let status = status.and_then(|number| StatusCode::from_u16(number).ok());
        if status.is_none() {
            let what = format!("`{number}` is not the status of an error");
            fields.notes.fault(fields.wrong("status", what).expected("a number from 400 to 599"));
        }
        status
    });
    if open && fields.has("status") {
        let what = "a request that goes on has no status of an error";
        fields.notes.fault(fields.wrong("status", what).expected("none with the mode `open`"));
    }
    match open {
        true => OnError::Open,
        false => OnError::Closed(status),
    }
}

/// What an extractor does with its source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    Regex,
    XPath,
}

/// Where an extractor looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Header,
    Form,
    Body,
    Query,
}

fn extractor(fields: &Fields<'_>) -> Option<Extractor> {
    let disabled = fields.flag("disabled", false);
    let kinds = [
        ("", None),
        ("value", Some(Kind::Value)),
        ("regex", Some(Kind::Regex)),
        ("xpath", Some(Kind::XPath)),
    ];
    let kind = fields.choice("extract_with", &kinds).flatten();
    let sources = [
        ("", None),
        ("header", Some(From::Header)),
        ("form", Some(From::Form)),
        ("body", Some(From::Body)),
        ("querystring", Some(From::Query)),
    ];
    let from = fields.choice("extract_from", &sources).flatten();
    let config = fields.table("extractor_config");
    let header = config.text("header_name");
    let param = config.text("param_name");
    let expression = config.text("regex_expression");
    let index = config.number("regex_match_index").unwrap_or(0);
    let path = config.text("xpath_expression");
    let kind = kind.filter(|_| fields.there() && !disabled)?;
    let supported = match from {
        Some(From::Header | From::Form) => true,
        Some(From::Body) => kind != Kind::Value,
        Some(From::Query) | None => false,
    };
    if !supported {
        // It would take the same empty id out of every request, and so give all clients one session.
        let what = "this source tells no client from another here";
        let expected = match kind {
            Kind::Value => "`header` or `form`",
            _ => "`header`, `form` or `body`",
        };
        fields.notes.fault(fields.wrong("extract_from", what).expected(expected));
        return None;
    }
    let required = |key: &str, text: &str, expected: &str| {
        if text.is_empty() {
            fields.notes.fault(config.wrong(key, "is required").expected(expected));
        }
    };
    let source = match from? {
        From::Header => {
            required("header_name", header, "the name of a header");
            let name = HeaderName::from_bytes(header.as_bytes());
            if name.is_err() && !header.is_empty() {
                let what = format!("`{}` is not the name of a header", printable(header));
                fields.notes.fault(config.wrong("header_name", what));
            }
            name.ok().map(Source::Header)
        }
        From::Form => {
            required("param_name", param, "the name of a parameter");
            Some(Source::Form(param.to_owned()))
        }
        From::Body | From::Query => Some(Source::Body),
    };
    let with = match kind {
        Kind::Value => Some(With::Value),
        Kind::Regex => {
            required("regex_expression", expression, "a regular expression");
            let regex = RegexBuilder::new(expression).size_limit(MAX_COMPILED).build();
            if let Err(error) = &regex {
                // Its last line says what; those before show the expression.
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().replace("error: ", "");
                let what =
                    format!("`{}` is not a regular expression: {why}", printable(expression));
                fields.notes.fault(config.wrong("regex_expression", what));
            }
            let index = usize::try_from(index);
            if index.is_err() {
                let fault = config.wrong("regex_match_index", "is below zero");
                fields.notes.fault(fault.expected("the number of a match, from 0"));
            }
            regex.ok().zip(index.ok()).map(|(regex, index)| With::Regex(regex, index))
        }
        Kind::XPath => {
            required("xpath_expression", path, "a path such as `//object/key`");
            let parsed = XPath::parse(path);
            if let (Err(error), false) = (&parsed, path.is_empty()) {
                let what =
                    format!("`{}` is not a path that is supported: {error}", printable(path));
                fields.notes.fault(config.wrong("xpath_expression", what));
            }
            parsed.ok().map(With::XPath)
        }
    };
    source.zip(with).map(|(source, with)| Extractor { source, with })
}
