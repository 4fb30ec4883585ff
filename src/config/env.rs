//! Variables of the environment, in coproc's own form and in nginx-wrapper's.

use super::file::CONFIG_VARIABLE;
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

/// Variables that start with the prefix and are no keys.
const OTHERS: [&str; 6] = [
    CONFIG_VARIABLE,
    "COPROC_SOCKET",
    "COPROC_URL",
    "COPROC_TOKEN_FILE",
    crate::task::COORDINATOR_VARIABLE,
    crate::task::TOKEN_VARIABLE,
];

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
        let origin = Origin::Env { variable: variable.clone() };
        layer.set(&path, Node::text(value.as_str(), origin));
    }
    layer
}

/// The layer of coproc's variables: `COPROC_LOG__LEVEL`.
pub(super) fn new(
    variables: &[(String, String)],
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
        let origin = Origin::Env { variable: variable.clone() };
        layer.set(&path, Node::text(value.as_str(), origin));
    }
    layer
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
