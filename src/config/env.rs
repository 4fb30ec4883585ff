//! Variables of the environment, in coproc's own form and in nginx-wrapper's.

use std::borrow::Cow;
use std::path::Path as File;

use coproc_core::process::secret;

use super::near::nearest;
use super::origin::Origin;
use super::report::Problem;
use super::tree::{Layer, Node, Path, keeps_case};

/// What the variables' names are compared with.
pub(super) struct Known<'a> {
    /// The top-level keys of coproc, and those that the files have besides.
    pub(super) top: &'a [String],
    /// The keys of `[coprocess]` in the files.
    pub(super) coprocesses: &'a [String],
}

/// How the names of coproc's own variables begin.
pub(super) const PREFIX: &str = "COPROC_";
const OLD_PREFIX: &str = "NW_";

/// The variable that names the config file.
pub const CONFIG_VARIABLE: &str = "COPROC_CONFIG";

/// Variables that start with the prefix and are no keys.
const OTHERS: [&str; 6] = [
    CONFIG_VARIABLE,
    "COPROC_SOCKET",
    "COPROC_URL",
    "COPROC_TOKEN_FILE",
    crate::task::COORDINATOR_VARIABLE,
    crate::task::TOKEN_VARIABLE,
];

/// How a variable ends whose value is the path of a file with the key's value in it.
const OF_FILE: &str = "_FILE";

/// The keys that end so themselves.
const OWN_FILES: [&str; 1] = ["env_file"];

/// Tables whose keys nginx-wrapper's variables may join with an underscore as well, since shells
/// cannot assign a name with a dot in it.
const JOINED: [&str; 2] = ["log", "template"];

/// What nginx-wrapper finds out for itself, whatever a variable says.
const COMPUTED: [&str; 3] = ["nginx_version", "nginx_is_plus", "last_reload_time"];

/// The layer of nginx-wrapper's variables: `NW_RUN_PATH`, `NW_LOG.LEVEL`.
pub(super) fn old(variables: &[(String, String)], known: &Known<'_>) -> Layer {
    let mut layer = Layer::new("NW_ variables");
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(OLD_PREFIX) else { continue };
        if value.is_empty() || rest.is_empty() {
            continue;
        }
        let mut path = rest.split('.').map(str::to_lowercase).collect::<Path>();
        if let [only] = path.as_slice() {
            let joined = JOINED.iter().find_map(|table| {
                let key = only.strip_prefix(table)?.strip_prefix('_')?;
                Some(vec![(*table).to_owned(), key.to_owned()])
            });
            if let Some(joined) = joined {
                path = joined;
            }
        }
        let is_table = path.len() == 1 && super::core::TABLES.contains(&path[0].as_str());
        if !known.top.contains(&path[0])
            || is_table
            || COMPUTED.contains(&path[0].as_str())
            || path.iter().any(String::is_empty)
        {
            continue;
        }
        if path[0] == "coprocess"
            && path.len() > 1
            && let Ok(Some(key)) = fold_into(&path[1], known.coprocesses)
        {
            path[1] = key;
        }
        let origin = Origin::Env { variable: variable.clone(), is_secret: false };
        layer.set(&path, Node::text(value.as_str(), origin));
    }
    layer
}

/// The layer of coproc's variables: `COPROC_LOG__LEVEL`. Files that they name are looked for from
/// `folder` on.
pub(super) fn new(
    variables: &[(String, String)],
    folder: &File,
    known: &Known<'_>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Layer {
    let mut layer = Layer::new("COPROC_ variables");
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        if value.is_empty() || rest.is_empty() || OTHERS.contains(&variable.as_str()) {
            continue;
        }
        let mut path = Path::new();
        let mut segments = rest.split("__");
        while let Some(segment) = segments.next() {
            if keeps_case(&path) {
                // The name of a variable: what is left, underscores and all.
                let name = [segment].into_iter().chain(segments).collect::<Vec<_>>().join("__");
                path.push(name);
                break;
            }
            path.push(segment.to_lowercase());
        }
        let mut value = Cow::Borrowed(value.as_str());
        let plain = of_file(&mut path);
        let is_secret = plain.is_some();
        if let Some(plain) = plain {
            let other = format!("{PREFIX}{plain}");
            if variables.iter().any(|(name, value)| *name == other && !value.is_empty()) {
                let what = format!("`{other}` is set as well");
                problems.push(Problem::wrong(variable.as_str(), what).expected("one of the two"));
                continue;
            }
            match secret::read(&folder.join(&*value)) {
                Ok(held) => value = held.into(),
                Err(why) => {
                    let what = format!("the value cannot be read from {why}");
                    problems.push(Problem::wrong(variable.as_str(), what));
                    continue;
                }
            }
        }
        if !known.top.contains(&path[0]) {
            let hint = nearest(&path[0], known.top.iter().map(String::as_str))
                .map(|near| format!(", did you mean `{PREFIX}{}`?", near.to_uppercase()));
            warnings.push(format!(
                "{variable}: `{}` is no key of coproc{}",
                path[0],
                hint.unwrap_or_default()
            ));
            continue;
        }
        if path.iter().any(String::is_empty) {
            problems.push(
                Problem::wrong(variable.as_str(), "two levels of its name have nothing between")
                    .expected("keys in upper case with `__` between two levels"),
            );
            continue;
        }
        if path[0] == "coprocess" && path.len() > 1 {
            match fold_into(&path[1], known.coprocesses) {
                Ok(Some(key)) => path[1] = key,
                Ok(None) => path[1] = path[1].replace('_', "-"),
                Err([one, other]) => {
                    problems.push(Problem::wrong(
                        variable.as_str(),
                        format!("stands for both `coprocess.{one}` and `coprocess.{other}`"),
                    ));
                    continue;
                }
            }
        }
        let origin = Origin::Env { variable: variable.clone(), is_secret };
        layer.set(&path, Node::text(value, origin));
    }
    layer
}

/// Takes the ending off a path that names a key's file, and says what the variable for the key itself
/// is called. Variables of programs are left alone: they may have a file of their own.
fn of_file(path: &mut Path) -> Option<String> {
    let (last, parents) = path.split_last_mut()?;
    let ending = OF_FILE.to_ascii_lowercase();
    let plain = last.strip_suffix(&ending).filter(|plain| !plain.is_empty())?.to_owned();
    if keeps_case(parents) || OWN_FILES.contains(&last.as_str()) {
        return None;
    }
    *last = plain;
    Some(path.join("__").to_ascii_uppercase())
}

/// The key that a segment stands for: the one that looks the same with every character that a
/// variable's name cannot hold replaced by an underscore.
fn fold_into(segment: &str, keys: &[String]) -> Result<Option<String>, [String; 2]> {
    if keys.iter().any(|key| key == segment) && !segment.contains('_') {
        return Ok(Some(segment.to_owned()));
    }
    let mut matching = keys.iter().filter(|key| fold(key) == fold(segment));
    match (matching.next(), matching.next()) {
        (Some(one), Some(other)) => Err([one.clone(), other.clone()]),
        (one, _) => Ok(one.cloned()),
    }
}

fn fold(key: &str) -> String {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    key.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &[&str]) -> Path {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn which_variables_name_a_file() {
        for (keys, plain) in [
            (&["host_id_file"][..], Some("HOST_ID")),
            (&["gateway", "secret_file"], Some("GATEWAY__SECRET")),
            (&["coprocess", "a", "env_file"], None),
            (&["main", "env", "DB_file"], None),
            (&["main", "secrets", "DB_file"], None),
            (&["main", "_file"], None),
            (&["main", "exec"], None),
        ] {
            assert_eq!(of_file(&mut path(keys)).as_deref(), plain, "{keys:?}");
        }
        let mut found = path(&["gateway", "secret_file"]);
        of_file(&mut found);
        assert_eq!(found, ["gateway", "secret"]);
    }

    #[test]
    fn the_keys_that_end_like_files_are_known() {
        fn keys(schema: &serde_json::Value, found: &mut Vec<String>) {
            for (key, below) in schema.as_object().into_iter().flatten() {
                let properties = below.as_object().filter(|_| key == "properties");
                found.extend(properties.into_iter().flat_map(|all| all.keys().cloned()));
                keys(below, found);
            }
        }
        let mut found = Vec::new();
        keys(&super::super::schema::schema(), &mut found);
        found.retain(|key| key.ends_with("_file"));
        found.sort();
        found.dedup();
        assert_eq!(found, OWN_FILES);
    }
}
