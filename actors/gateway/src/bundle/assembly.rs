//! From definitions to APIs that can be served: those whose hooks are in bundles get them.

use std::sync::Arc;

use super::{Bundled, Bundles, Listed};
use crate::api::Api;
use crate::definition::{Problem, Rules, in_order, read_opened};

/// What came of APIs.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Those that can be served.
    pub apis: Vec<Arc<Api>>,
    /// Bundles of hooks in Python.
    pub python: Listed,
    /// Why the others cannot.
    pub problems: Vec<Problem>,
    /// What is odd.
    pub warnings: Vec<Problem>,
}

impl Assembly {
    /// APIs without bundles and with them, from each of several places. `bring`: bundles that are not there
    /// are brought, which is waited for.
    pub fn new(
        places: &[(&[Arc<Api>], &[Bundled])],
        bundles: &Bundles,
        rules: &Rules,
        bring: bool,
    ) -> Self {
        let all = places.iter().flat_map(|(_, bundled)| bundled.iter());
        let names: Vec<_> = all.map(|one| &one.names).collect();
        let mut opened = bundles.open(&names, bring).into_iter();
        let mut made = Self::default();
        for (apis, bundled) in places {
            let mut ready = Vec::new();
            for (one, opened) in bundled.iter().zip(opened.by_ref()) {
                let opened = match opened {
                    Ok(opened) => opened,
                    Err(why) => {
                        made.problems.push(one.problem(&why));
                        continue;
                    }
                };
                let read = read_opened(&one.definition, opened.hooks, rules);
                let told = |fault| one.problem(&format!("the bundle `{}`: {fault}", one.text));
                made.problems.extend(read.faults.iter().map(told));
                made.warnings.extend(read.warnings.iter().map(told));
                let Some(api) = read.api else { continue };
                if api.hooks.driver == "python" {
                    made.python.push((api.bundle_hash.clone(), opened.folders));
                }
                ready.push((one.at, api));
            }
            made.apis.extend(in_order(apis, ready));
        }
        made.python.sort();
        made.python.dedup();
        made
    }
}

impl Bundled {
    /// What is wrong with its bundles, as a problem of its definition.
    fn problem(&self, why: &str) -> Problem {
        let (file, place) = self.file.clone();
        Problem {
            file,
            place,
            key: "custom_middleware_bundle".to_owned(),
            what: format!("the API `{}`: {why}", self.api.id),
            expected: None,
        }
    }
}
