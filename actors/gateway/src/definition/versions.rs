//! `version_data`: paths that are let in unasked, and headers of responses. Versions are not told apart:
//! `Default` counts, else the first.

use coproc_core::scalar::printable;
use http::{HeaderName, HeaderValue};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::fields::{Fault, Fields};
use super::unguarded;
use crate::api::{PathRule, Template};

/// The version that counts.
const DEFAULT: &str = "Default";

/// Whether a URL means another API, or the same once more.
pub(super) fn is_loop(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tyk://"))
}

/// What the version of a definition says.
#[derive(Debug, Default)]
pub(super) struct Version {
    pub(super) ignored: Vec<PathRule>,
    pub(super) response_headers: Vec<(HeaderName, Template)>,
}

pub(super) fn read(top: &Fields<'_>) -> Version {
    let data = top.table("version_data");
    data.passes_over(&["default_version"]);
    let not_versioned = data.flag("not_versioned", true);
    let versions = data.each("versions");
    let at = versions.iter().position(|(name, _)| *name == DEFAULT).unwrap_or(0);
    if !not_versioned && versions.len() > 1 {
        let what = format!("versions are not told apart: `{}` counts", versions[at].0);
        top.notes.warn(data.wrong("versions", what));
    }
    // The others are read as well, so that what is wrong with them is told.
    let mut all: Vec<_> =
        versions.iter().map(|(_, fields)| version(fields, not_versioned)).collect();
    match all.is_empty() {
        true => Version::default(),
        false => all.swap_remove(at),
    }
}

fn version(fields: &Fields<'_>, is_only: bool) -> Version {
    fields.passes_over(&["name"]);
    let target = fields.text("override_target");
    if !target.is_empty() && !is_only {
        // The requests would go where the definition does not mean them to go.
        let what = "a target of a version's own is not supported";
        fields.notes.fault(fields.wrong("override_target", what).expected("`proxy.target_url`"));
    }
    let extended = fields.table("extended_paths");
    for rewrite in extended.tables("url_rewrites") {
        rewrite.passes_over(&["path", "method", "match_pattern", "triggers", "MatchRegexp"]);
        let disabled = rewrite.flag("disabled", false);
        if is_loop(rewrite.text("rewrite_to")) && !disabled {
            let what = "loops to other APIs (`tyk://`) are not supported";
            rewrite.notes.fault(rewrite.wrong("rewrite_to", what));
        }
    }
    let plain = fields.table("paths");
    // One form counts, as it says. Where it says nothing both do.
    let is_extended = fields.flag("use_extended_paths", true);
    let is_plain = !fields.has("use_extended_paths") || !is_extended;
    unguarded::tell_version(fields, (&extended, is_extended), (&plain, is_plain));
    let mut ignored = Vec::new();
    for rule in extended.tables("ignored") {
        let path = rule.text("path");
        let disabled = rule.flag("disabled", false);
        let any_case = rule.flag("ignore_case", false);
        rule.passes_over(&["method"]);
        let actions = rule.object("method_actions");
        let mut methods: Vec<_> =
            actions.into_iter().flatten().map(|(key, _)| key.clone()).collect();
        match rule.text("method") {
            "" => {}
            method => methods.push(method.to_owned()),
        }
        if path.is_empty() {
            rule.notes
                .fault(rule.wrong("path", "is required").expected("a path such as `/health`"));
        } else if !disabled {
            match self::path(path, any_case) {
                Some(path) if is_extended => ignored.push(PathRule { path, methods }),
                Some(_) => {}
                None => rule.notes.fault(no_path(rule.wrong("path", ""), path)),
            }
        }
    }
    for (number, value) in plain.list("ignored").iter().enumerate() {
        let fault = |what: &str| {
            let mut path = plain.path("ignored");
            path.push(number.to_string());
            Fault::new(path, what)
        };
        match value {
            Value::String(text) if !text.is_empty() => match self::path(text, false) {
                Some(path) if is_plain => ignored.push(PathRule { path, methods: Vec::new() }),
                Some(_) => {}
                None => plain.notes.fault(no_path(fault(""), text)),
            },
            _ => plain.notes.fault(fault("is not a path").expected("a path such as `/health`")),
        }
    }
    Version { ignored, response_headers: headers(fields) }
}

fn no_path(mut fault: Fault, path: &str) -> Fault {
    fault.what = format!("`{}` is not a path", printable(path));
    fault.expected("a path, or a regular expression of one")
}

/// A path below the listen path: a regex in which `{name}` stands for one segment. It is matched from the
/// path's beginning, and what follows it may be anything.
fn path(text: &str, any_case: bool) -> Option<Regex> {
    let mut pattern = String::from("^");
    if !text.starts_with(['/', '^', '(', '.']) {
        pattern.push('/');
    }
    let mut rest = text.strip_prefix('^').unwrap_or(text);
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else { break };
        let (name, after) = (&rest[open + 1..open + length], &rest[open + length + 1..]);
        let repeats = !name.is_empty() && name.chars().all(|c| c.is_ascii_digit() || c == ',');
        pattern.push_str(&rest[..open]);
        match repeats {
            true => pattern.push_str(&format!("{{{name}}}")),
            false => pattern.push_str("[^/]*"),
        }
        rest = after;
    }
    pattern.push_str(rest);
    RegexBuilder::new(&pattern).case_insensitive(any_case).size_limit(1 << 20).build().ok()
}

fn headers(fields: &Fields<'_>) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for (name, value) in fields.object("global_response_headers").into_iter().flatten() {
        let fault = |what: String| {
            let mut path = fields.path("global_response_headers");
            path.push(name.clone());
            Fault::new(path, what)
        };
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            let what = format!("`{}` is not the name of a header", printable(name));
            fields.notes.fault(fault(what));
            continue;
        };
        match value {
            Value::String(text) if HeaderValue::from_str(text).is_ok() => {
                headers.push((header, Template::new(text)));
            }
            _ => fields
                .notes
                .fault(fault("is not the value of a header".to_owned()).expected("a text")),
        }
    }
    headers
}
