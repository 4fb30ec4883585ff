//! The hooks of several bundles as those of one API. Pure.

use coproc_core::scalar::printable;
use serde_json::{Map, Value};

/// The lists of hooks, which one bundle's follow another's in.
const LISTS: [&str; 4] = ["pre", "post_key_auth", "post", "response"];

/// `custom_middleware` of all bundles, each with the name of its folder.
///
/// # Errors
/// What two of them cannot both have.
pub(super) fn merge(bundles: &[(&str, &Value)]) -> Result<Value, String> {
    let mut merged = Map::new();
    for (folder, hooks) in bundles {
        let Some(hooks) = hooks.as_object() else {
            if hooks.is_null() {
                continue;
            }
            return Err(format!("{folder}: `custom_middleware` is no table"));
        };
        for key in LISTS {
            let list = match hooks.get(key) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(list)) => list,
                Some(_) => return Err(format!("{folder}: `custom_middleware.{key}` is no list")),
            };
            let all = merged.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = all {
                all.extend(list.iter().map(|hook| placed(hook, folder)));
            }
        }
        if let Some(check) = hooks.get("auth_check").filter(|check| is_used(check)) {
            let other = merged.insert("auth_check".into(), placed(check, folder));
            if other.is_some() {
                return Err(format!("{folder}: another bundle has an auth_check already"));
            }
        }
        if let Some(Value::String(driver)) = hooks.get("driver").filter(|driver| **driver != "") {
            let before = merged.entry("driver").or_insert_with(|| driver.as_str().into());
            if before != driver {
                let (driver, before) =
                    (printable(driver), printable(before.as_str().unwrap_or("")));
                return Err(format!(
                    "{folder}: its driver is `{driver}`, that of another is `{before}`"
                ));
            }
        }
        if let Some(extractor) = hooks.get("id_extractor").filter(|one| is_extractor(one)) {
            merged.entry("id_extractor").or_insert_with(|| extractor.clone());
        }
    }
    Ok(Value::Object(merged))
}

/// A hook whose path leads into the bundle's folder.
fn placed(hook: &Value, folder: &str) -> Value {
    let mut hook = hook.clone();
    if let Some(path) = hook.get_mut("path")
        && let Some(text) = path.as_str().filter(|text| !text.is_empty())
    {
        *path = format!("{folder}/{}", text.trim_start_matches('/')).into();
    }
    hook
}

/// Whether a hook of authentication is there: empty tables are written for those that are not.
fn is_used(check: &Value) -> bool {
    let disabled = check.get("disabled").and_then(Value::as_bool).unwrap_or(false);
    let named = check.get("name").is_some_and(|name| name.as_str() != Some(""));
    !disabled && named
}

/// The same of an extractor.
fn is_extractor(extractor: &Value) -> bool {
    let disabled = extractor.get("disabled").and_then(Value::as_bool).unwrap_or(false);
    let with = extractor.get("extract_with").is_some_and(|with| with.as_str() != Some(""));
    !disabled && with
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(merged: &Value, key: &str) -> Vec<String> {
        let hooks = merged[key].as_array().cloned().unwrap_or_default();
        hooks.iter().map(|hook| hook["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn t68_lists_follow_each_other() {
        let hook = |name: &str| json!({ "name": name, "path": "hooks.py" });
        let a = json!({ "driver": "python", "pre": [hook("A1"), hook("A2")], "post": [hook("A3")],
            "post_key_auth": [hook("A1")], "id_extractor": { "extract_with": "" } });
        let b = json!({ "driver": "python", "pre": [hook("B1")], "response": [hook("B4")],
            "post_key_auth": [hook("B1"), hook("B2")],
            "id_extractor": { "extract_with": "value", "extract_from": "header" } });
        let merged = merge(&[("a", &a), ("b", &b)]).unwrap();
        assert_eq!(names(&merged, "pre"), ["A1", "A2", "B1"]);
        assert_eq!(names(&merged, "post_key_auth"), ["A1", "B1", "B2"]);
        assert_eq!(names(&merged, "post"), ["A3"]);
        assert_eq!(names(&merged, "response"), ["B4"]);
        assert_eq!(merged["pre"][1]["path"], "a/hooks.py");
        assert_eq!(merged["pre"][2]["path"], "b/hooks.py");
        assert_eq!(merged["driver"], "python");
        assert_eq!(merged["id_extractor"]["extract_with"], "value");
    }

    #[test]
    fn t69_what_is_one_cannot_be_two() {
        let check = json!({ "auth_check": { "name": "Check" } });
        let error = merge(&[("a", &check), ("b", &check)]).unwrap_err();
        assert_eq!(error, "b: another bundle has an auth_check already");
        let (grpc, lua) = (json!({ "driver": "grpc" }), json!({ "driver": "lua" }));
        let error =
            merge(&[("a", &grpc), ("b", &json!({ "driver": "" })), ("c", &lua)]).unwrap_err();
        assert_eq!(error, "c: its driver is `lua`, that of another is `grpc`");
        // An empty table is what a bundle without one has.
        let none = json!({ "auth_check": { "disabled": false, "name": "" } });
        let merged = merge(&[("a", &none), ("b", &check)]).unwrap();
        assert_eq!(merged["auth_check"]["name"], "Check");
    }

    #[test]
    fn what_is_no_hooks_is_told() {
        assert_eq!(merge(&[("a", &json!(3))]).unwrap_err(), "a: `custom_middleware` is no table");
        let error = merge(&[("a", &json!({ "pre": {} }))]).unwrap_err();
        assert_eq!(error, "a: `custom_middleware.pre` is no list");
        assert_eq!(merge(&[("a", &Value::Null)]).unwrap(), json!({}));
    }
}
