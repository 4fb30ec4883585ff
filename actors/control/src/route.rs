//! From a method and a path to the entry of the table that is meant. Pure.

use crate::given::{Given, Query};
use crate::percent::decode;
use crate::request::Refused;
use crate::routes::{Entry, ROUTES};
use crate::taken;

/// The entry for a method and a path, with the path's parameter. Where a port tells `openly` only, there
/// is nothing else.
pub(crate) fn find(
    openly: bool,
    method: &str,
    path: &str,
) -> Result<(&'static Entry, Option<String>), Denied> {
    let words: Vec<String> = path
        .trim_matches('/')
        .split('/')
        .map(decode)
        .collect::<Option<_>>()
        .ok_or_else(|| Refused::new(400, "the path is not valid"))?;
    let mut allowed = Vec::new();
    for entry in ROUTES.iter().filter(|entry| entry.open || !openly) {
        let Some(word) = fits(entry.path, &words) else { continue };
        // What comes to an end can be asked for its head alone.
        if entry.method == method || (method == "HEAD" && entry.open) {
            return Ok((entry, word));
        }
        if !allowed.contains(&entry.method) {
            allowed.push(entry.method);
        }
    }
    if allowed.is_empty() {
        return Err(Refused::new(404, format!("there is nothing at `{path}`")).into());
    }
    let allowed = allowed.join(", ");
    let why = format!("`{path}` takes {allowed} only");
    Err(Denied { header: Some(("allow", allowed)), ..Refused::new(405, why).into() })
}

/// The parameter of a path that fits, which may have none.
fn fits(path: &str, words: &[String]) -> Option<Option<String>> {
    let parts = path.trim_matches('/').split('/');
    if parts.clone().count() != words.len() {
        return None;
    }
    let mut parameter = None;
    for (part, word) in parts.zip(words) {
        if part.starts_with('{') {
            parameter = Some(word.clone()).filter(|word| !word.is_empty());
            parameter.as_ref()?;
        } else if part != word {
            return None;
        }
    }
    Some(parameter)
}

/// A request that is not fulfilled, and what the answer's head says of it.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) refused: Refused,
    pub(crate) header: Option<(&'static str, String)>,
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self { refused, header: None }
    }
}

/// Whether a request is one of the table, for those who try many. `openly` is as a port without tokens sees it.
///
/// # Errors
/// The status that it is refused with, before anybody is asked.
pub fn judge(
    openly: bool,
    method: &str,
    path: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<(), u16> {
    let (entry, word) = find(openly, method, path).map_err(|denied| denied.refused.status)?;
    let query = Query(query.unwrap_or_default());
    let given = Given { word, method, query, body };
    taken::route(entry, &given).map(drop).map_err(|refused| refused.status)
}

#[cfg(test)]
mod tests;
