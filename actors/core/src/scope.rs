//! `${name}` in commands: the names that can stand there and their values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What `last_reload_time` says before the first reload.
pub const NOT_RELOADED: &str = "not reloaded";

/// The guide's settings and the wrapper's environment, as commands see them.
///
/// Settings win over environment variables of the same name. Values are looked up at each start of
/// a command, since `last_reload_time` changes while the wrapper runs.
#[derive(Debug, Default)]
pub struct Scope {
    settings: BTreeMap<&'static str, String>,
    environment: BTreeMap<String, String>,
    last_reload: Arc<Mutex<Option<String>>>,
}

impl Scope {
    /// A scope of the guide's settings over the environment.
    pub fn new(
        settings: BTreeMap<&'static str, String>,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self { settings, environment, last_reload: Arc::default() }
    }

    /// The same with one more setting; a reload that is noted in one is known in the other.
    pub fn with(&self, name: &'static str, value: String) -> Self {
        let mut settings = self.settings.clone();
        settings.insert(name, value);
        let environment = self.environment.clone();
        Self { settings, environment, last_reload: self.last_reload.clone() }
    }

    /// Notes that a reload happened at this time, already formatted.
    pub fn reloaded(&self, time: String) {
        *self.last_reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
    }

    /// The value of one name.
    pub fn get(&self, name: &str) -> Option<String> {
        if name == "last_reload_time" {
            let last = self.last_reload.lock().unwrap_or_else(PoisonError::into_inner);
            return Some(last.clone().unwrap_or_else(|| NOT_RELOADED.to_owned()));
        }
        self.settings.get(name).or_else(|| self.environment.get(name)).cloned()
    }

    /// The wrapper's own environment, which its children inherit.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// `text` with every `${name}` replaced in one pass from left to right. Unknown names stay as
    /// they are written, and inserted text is not looked at again.
    pub fn interpolate(&self, text: &str) -> String {
        interpolate(text, |name| self.get(name))
    }
}

fn interpolate(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        // The name ends at the first brace; a `${` before it starts a new attempt.
        match inside.find(['}', '$']).map(|at| (at, inside.as_bytes()[at])) {
            Some((end, b'}')) => {
                match lookup(&inside[..end]) {
                    Some(value) => out.push_str(&value),
                    None => out.push_str(&rest[start..start + 2 + end + 1]),
                }
                rest = &inside[end + 1..];
            }
            Some((end, _)) => {
                out.push_str(&rest[start..start + 2 + end]);
                rest = &inside[end..];
            }
            None => {
                out.push_str(&rest[start..]);
                rest = "";
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let settings =
            BTreeMap::from([("vcpu_count", "3".to_owned()), ("host_id", "h1".to_owned())]);
        let environment = BTreeMap::from(
            [("var1", "this"), ("host_id", "zz"), ("A", "${B}"), ("B", "x")]
                .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        Scope::new(settings, environment)
    }

    #[test]
    fn one_pass_and_unknown_names_stay() {
        let scope = scope();
        for (text, expected) in [
            ("${var1}=${unknown}", "this=${unknown}"),
            ("${vcpu_count}", "3"),
            ("${A} ${host_id}", "${B} h1"),
            ("$var1 ${} ${", "$var1 ${} ${"),
            ("${a${var1}", "${athis"),
            ("${Host_id}", "${Host_id}"),
            ("naïve ${var1} é", "naïve this é"),
        ] {
            assert_eq!(scope.interpolate(text), expected);
        }
    }

    #[test]
    fn one_more_setting() {
        let scope = scope();
        let more = scope.with("replica", "2".to_owned());
        scope.reloaded("now".into());
        let text = "${replica} ${vcpu_count} ${last_reload_time}";
        assert_eq!(more.interpolate(text), "2 3 now");
        assert_eq!(scope.interpolate(text), "${replica} 3 now");
    }

    #[test]
    fn the_reload_time_is_read_when_it_is_used() {
        let scope = scope();
        assert_eq!(scope.interpolate("${last_reload_time}"), "not reloaded");
        scope.reloaded("2026-01-01 00:00:00 +0000 UTC".into());
        assert_eq!(scope.interpolate("${last_reload_time}"), "2026-01-01 00:00:00 +0000 UTC");
    }
}
