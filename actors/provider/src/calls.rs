//! Several requests beside each other, each under a name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tokio::task::JoinSet;

use crate::caller::{Call, Caller, Reply};
use crate::error::CallError;

/// Requests that go on beside each other. They begin when they are added, and are given up if this is
/// dropped.
#[derive(Debug)]
pub struct Calls {
    caller: Caller,
    outcomes: BTreeMap<String, Option<Result<Reply, CallError>>>,
    running: JoinSet<(String, Result<Reply, CallError>)>,
}

/// There is a request of this name already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a request `{0}` already")]
pub struct Duplicate(pub String);

impl Calls {
    /// None so far.
    pub fn new(caller: &Caller) -> Self {
        Self { caller: caller.clone(), outcomes: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Begins one more.
    ///
    /// # Errors
    /// Where the name is taken; the request is not sent.
    pub fn add(&mut self, name: impl Into<String>, call: Call) -> Result<(), Duplicate> {
        let name = name.into();
        match self.outcomes.entry(name.clone()) {
            Entry::Occupied(_) => return Err(Duplicate(name)),
            Entry::Vacant(place) => place.insert(None),
        };
        let caller = self.caller.clone();
        self.running.spawn(async move { (name, caller.call(call).await) });
        Ok(())
    }

    /// Waits until each has its response, or has failed, or its time is over.
    pub async fn responses(mut self) -> BTreeMap<String, Result<Reply, CallError>> {
        while let Some(joined) = self.running.join_next().await {
            if let Ok((name, outcome)) = joined {
                self.outcomes.insert(name, Some(outcome));
            }
        }
        let lost = || Err(CallError::Refused("the request broke off".into()));
        let all = self.outcomes.into_iter();
        all.map(|(name, outcome)| (name, outcome.unwrap_or_else(lost))).collect()
    }
}
