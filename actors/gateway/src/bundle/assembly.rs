//! From definitions to APIs that can be served: those whose hooks are in bundles get them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use super::{Bundled, Bundles, Listed, Meanwhile};
use crate::api::Api;
use crate::definition::{Problem, Rules, in_order, read_opened};

/// What came of APIs.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Those that can be served.
    pub apis: Vec<Arc<Api>>,
    /// Bundles of hooks in Python.
    pub python: Listed,
    /// Bundles of hooks in Lua.
    pub lua: Listed,
    /// Why the others cannot.
    pub problems: Vec<Problem>,
    /// What is odd.
    pub warnings: Vec<Problem>,
    /// The beginnings of problems of bundles, by the ids of their APIs.
    told: BTreeMap<String, Problem>,
}

impl Assembly {
    /// APIs without bundles and with them, from each of several places. With `bring` bundles that are not there
    /// are brought, and their packages installed, which is waited for.
    pub fn new(
        places: &[(&[Arc<Api>], &[Bundled])],
        bundles: &Bundles,
        rules: &Rules,
        bring: Option<Meanwhile<'_>>,
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
                let told =
                    |why: &dyn Display| one.problem(&format!("the bundle `{}`: {why}", one.text));
                made.problems.extend(read.faults.iter().map(|fault| told(fault)));
                made.warnings.extend(read.warnings.iter().map(|fault| told(fault)));
                let Some(mut api) = read.api else { continue };
                // With Tyk it is a bundle as any other, and the API one that everybody may call.
                made.warnings.extend(opened.without_hooks.iter().map(|name| {
                    one.problem(&format!("the bundle `{name}`: its manifest names no hooks"))
                }));
                let (mut folders, mut leases) = (opened.folders, vec![opened.lease]);
                if api.hooks.driver == "python" {
                    match bundles.furnish(&mut folders, bring) {
                        Ok(packages) => leases.extend(packages),
                        Err(why) => {
                            made.problems.push(told(&why));
                            continue;
                        }
                    }
                }
                let hooks = (api.bundle_hash.clone(), folders);
                match api.hooks.driver.as_str() {
                    "python" => made.python.push(hooks),
                    "lua" => made.lua.push(hooks),
                    // What comes over a network is not made a part of this process.
                    "native" if hooks.1.iter().any(|folder| !folder.files.is_empty()) => {
                        let why = "brings files, and the driver `native` loads none from bundles: \
                                   its hooks are those of `gateway.native.library`";
                        made.problems.push(told(&why));
                        continue;
                    }
                    _ => {}
                }
                // Nobody else has it yet.
                if let Some(api) = Arc::get_mut(&mut api) {
                    api.bundle = leases;
                }
                made.told.insert(api.id.clone(), told(&""));
                ready.push((one.at, api));
            }
            made.apis.extend(in_order(apis, ready));
        }
        for listed in [&mut made.python, &mut made.lua] {
            listed.sort();
            listed.dedup();
        }
        let refused = bundles.conflicts(&made.python);
        made.python.retain(|(hash, _)| !refused.contains_key(hash));
        made.leave_out(&refused);
        made
    }

    /// Leaves the APIs out whose bundles, by their hashes, cannot be run, and why.
    pub fn leave_out(&mut self, refused: &BTreeMap<String, String>) {
        let Self { apis, problems, told, .. } = self;
        apis.retain(|api| {
            let (Some(why), Some(begin)) = (refused.get(&api.bundle_hash), told.get(&api.id))
            else {
                return true;
            };
            problems.push(Problem { what: format!("{}{why}", begin.what), ..begin.clone() });
            false
        });
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
