//! Which tasks a request waits for where nobody offers them just now: those of coprocesses that run or
//! come back by themselves.

use std::collections::BTreeSet;
use std::rc::Rc;

use coproc_coprocess::standing::SharedStanding;

use super::root::Root;

/// The tasks of a coprocess, and how it is.
type Provider = (Vec<String>, SharedStanding);

impl Root {
    /// Has the coordinator know at all times which tasks these are.
    pub(super) fn await_tasks(&mut self) {
        let Some(coordinator) = &self.coordinator else { return };
        for before in self.awaiting.drain(..) {
            before.abort();
        }
        let providers = self.coprocesses.iter().filter(|child| !child.config.tasks.is_empty());
        let providers: Rc<[Provider]> =
            providers.map(|child| (child.config.tasks.clone(), child.standing.clone())).collect();
        for (_, standing) in providers.iter() {
            let mut changes = standing.borrow().watch();
            let (bound, providers) = (coordinator.bound.clone(), providers.clone());
            self.awaiting.push(actix_rt::spawn(async move {
                while changes.changed().await.is_ok() {
                    bound.await_tasks(coming(&providers));
                }
            }));
        }
        coordinator.bound.await_tasks(coming(&providers));
    }
}

fn coming(providers: &[Provider]) -> BTreeSet<String> {
    let coming = providers.iter().filter(|(_, standing)| standing.borrow().is_coming());
    coming.flat_map(|(tasks, _)| tasks.iter().cloned()).collect()
}
