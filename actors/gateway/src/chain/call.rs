//! One call of a hook: built, dispatched, measured.

use std::time::Instant;

use super::Chain;
use super::outcome::{Outcome, of_failure, without_driver};
use crate::api::Hook;
use crate::driver::Call;
use crate::exchange::Denied;
use crate::figures::moment;
use crate::object::{Sent, Unfit};
use crate::wire::{HookType, Object};

/// What a call came to.
pub(super) enum Called {
    /// The plugin's answer.
    Object(Box<Object>),
    /// It failed, and the request goes on without it.
    Pass,
}

impl Chain {
    /// Calls a hook. `place` is that of its figures.
    ///
    /// # Errors
    /// What the client is told of the failure.
    pub(super) async fn call<'a>(
        &self,
        (kind, hook, place): (HookType, &Hook, usize),
        object: impl FnOnce() -> Sent<'a>,
        trace: &[(&'static str, String)],
    ) -> Result<Called, Denied> {
        let Some(driver) = &self.driver else { return Err(without_driver(kind)) };
        let began = Instant::now();
        let deadline = began + hook.timeout.unwrap_or(self.services.settings.hook_timeout);
        let figures = &self.hook_figures[place];
        let pending = figures.begin();
        let result = driver.dispatch(Call { object: object(), deadline, trace }).await;
        drop(pending);
        figures.ended(began.elapsed(), result.is_err());
        let failure = match result {
            Ok(object) => return Ok(Called::Object(Box::new(object))),
            Err(failure) => failure,
        };
        if let Some(untold) = self.complaints[place][failure.kind()].happened() {
            tracing::warn!(
                target: "gateway",
                "API `{}`: the {} hook `{}` failed: {failure}{untold}",
                self.api.name,
                moment(kind),
                hook.name,
            );
        }
        match of_failure(kind, &failure, hook.on_error) {
            Outcome::Pass => Ok(Called::Pass),
            Outcome::Refuse(denied) => Err(denied),
        }
    }

    /// Has the log told that what a hook returned cannot be applied.
    pub(super) fn tell_unfit(&self, (kind, hook, place): (HookType, &Hook, usize), why: &Unfit) {
        if let Some(untold) = self.unfit[place].happened() {
            tracing::warn!(
                target: "gateway",
                "API `{}`: the answer of the {} hook `{}` cannot be applied: {why}{untold}",
                self.api.name,
                moment(kind),
                hook.name,
            );
        }
    }
}
