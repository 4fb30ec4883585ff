//! The way of a request through the steps, and of a response through its hooks.

use std::time::SystemTime;

use http::StatusCode;

use super::call::Called;
use super::outcome::{Outcome, of_answer};
use super::{Chain, Step, Stop};
use crate::api::{Hook, Identity};
use crate::event::{self, About, Details};
use crate::exchange::{Attached, Denied, Draft, Reply, Whole};
use crate::object::{self, Verdict};
use crate::session::check;
use crate::session::limits::Usage;
use crate::trace;
use crate::wire::HookType;

/// What a step makes of a request that it does not let on.
pub(super) enum Halt {
    /// Refused, with the page of errors.
    Refuse(Denied),
    /// Answered by a hook.
    Reply(Reply),
}

impl From<Denied> for Halt {
    fn from(denied: Denied) -> Self {
        Self::Refuse(denied)
    }
}

/// What is known of a request beside what hooks see.
pub(super) struct Passage {
    /// The trace that it belongs to.
    pub(super) trace: Vec<(&'static str, String)>,
    /// Whether authentication and the checks of a key know nothing of its path.
    pub(super) ignored: bool,
    /// Whose session counts where both a hook and a key are asked.
    pub(super) identity: Option<Identity>,
    /// The key that it came with, for events.
    pub(super) key: String,
}

impl Chain {
    /// Takes a request through all steps.
    ///
    /// # Errors
    /// What the client gets instead of an answer of the upstream.
    pub async fn request(&self, draft: &mut Draft) -> Result<(), Stop> {
        if self.steps.is_empty() {
            return Ok(());
        }
        // Requests of APIs without steps do not carry what the others need.
        Box::pin(self.walk(draft, |_| true)).await
    }

    /// Takes a request through all steps but the `post` hooks, which are for requests on their way to the
    /// upstream.
    ///
    /// # Errors
    /// As [`Chain::request`].
    pub async fn authorize(&self, draft: &mut Draft) -> Result<(), Stop> {
        self.walk(draft, |step| !matches!(step, Step::Hook(HookType::Post, ..))).await
    }

    async fn walk(&self, draft: &mut Draft, takes: fn(&Step) -> bool) -> Result<(), Stop> {
        let mut passage = Passage {
            trace: trace::of(&draft.headers),
            ignored: self.is_ignored(draft),
            identity: self.identity,
            key: String::new(),
        };
        for step in self.steps.iter().filter(|step| takes(step)) {
            match self.step(step, draft, &mut passage).await {
                Ok(()) => {}
                Err(Halt::Reply(reply)) => return Err(Stop::Reply(reply)),
                Err(Halt::Refuse(denied)) => return Err(Stop::Reply(self.page(denied, draft))),
            }
        }
        Ok(())
    }

    /// Takes a response through the hooks.
    ///
    /// # Errors
    /// What the client gets instead.
    pub async fn response(&self, draft: &Draft, whole: &mut Whole) -> Result<(), Reply> {
        let trace = trace::of(&draft.headers);
        let first = self.hook_figures.len() - self.api.hooks.response.len();
        for (place, hook) in (first..).zip(&self.api.hooks.response) {
            self.response_hook(hook, place, draft, whole, &trace)
                .await
                .map_err(|denied| self.page(denied, draft))?;
        }
        Ok(())
    }

    async fn response_hook(
        &self,
        hook: &Hook,
        place: usize,
        draft: &Draft,
        whole: &mut Whole,
        trace: &[(&'static str, String)],
    ) -> Result<(), Denied> {
        if !self.services.settings.enable_coprocess {
            return Err(Denied::middleware());
        }
        let object = || object::response(hook, &self.spec, draft, whole);
        let asked = (HookType::Response, hook, place);
        let Called::Object(returned) = self.call(asked, object, trace).await? else {
            return Ok(());
        };
        let applied = object::apply_response(whole, hook, *returned, self.services.settings.rules);
        let Err(why) = applied else { return Ok(()) };
        self.tell_unfit(asked, &why);
        match of_answer(hook.on_error) {
            Outcome::Refuse(denied) => Err(denied),
            // What cannot be applied has changed nothing.
            Outcome::Pass => Ok(()),
        }
    }

    async fn step(
        &self,
        step: &Step,
        draft: &mut Draft,
        passage: &mut Passage,
    ) -> Result<(), Halt> {
        match step {
            Step::Hook(kind, hook, place) => {
                // A session that such a hook returns is not heeded.
                let _ = self.request_hook((*kind, hook, *place), draft, passage).await?;
            }
            Step::CustomAuth(..) | Step::StandardAuth if passage.ignored => {}
            // What asks the store is boxed: requests that meet hooks alone do not carry it.
            Step::CustomAuth(hook, place) => {
                Box::pin(self.custom_auth(hook, *place, draft, passage)).await?;
            }
            Step::StandardAuth => Box::pin(self.standard_auth(draft, passage)).await?,
            Step::Strip => {
                if let Some(auth) = &self.api.auth {
                    auth.key.strip(draft);
                    auth.custom_key.strip(draft);
                }
            }
            Step::Alive | Step::Rights | Step::Granular | Step::Limits if passage.ignored => {}
            Step::Alive => {
                let session = &attached(draft)?.session;
                let ended = |message, denied| {
                    self.tell(event::Kind::KeyExpired, message, draft, &passage.key);
                    Halt::Refuse(denied)
                };
                check::inactive(session)
                    .map_err(|denied| ended("Attempted access from inactive key.", denied))?;
                check::expired(session, SystemTime::now())
                    .map_err(|denied| ended("Attempted access from expired key.", denied))?;
            }
            Step::Rights => check::rights(&attached(draft)?.session, &self.api)?,
            Step::Granular => check::urls(&attached(draft)?.session, &self.api, draft)?,
            Step::Limits => Box::pin(self.limits(draft, passage)).await?,
        }
        Ok(())
    }

    async fn limits(&self, draft: &mut Draft, passage: &Passage) -> Result<(), Denied> {
        let Some(Attached { id, session }) = &mut draft.session else {
            return Err(check::missing());
        };
        let now = SystemTime::now();
        match self.services.limits.admit(id, session, &self.api, now).await {
            Ok(Some(usage)) => {
                self.watch(usage, draft, passage);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(denied) => {
                let told = match denied.status {
                    StatusCode::TOO_MANY_REQUESTS => {
                        Some((event::Kind::RatelimitExceeded, "Key Rate Limit Exceeded"))
                    }
                    StatusCode::FORBIDDEN => {
                        Some((event::Kind::QuotaExceeded, "Key Quota Limit Exceeded"))
                    }
                    // A store that does not answer is no event.
                    _ => None,
                };
                if let Some((kind, message)) = told {
                    self.tell(kind, message, draft, &passage.key);
                }
                Err(denied)
            }
        }
    }

    /// Tells when a session has used as much of its quota as it wants to be told of.
    fn watch(&self, usage: Usage, draft: &Draft, passage: &Passage) {
        let Some(Attached { session, .. }) = &draft.session else { return };
        let Some(limit) = usage.reached(&session.monitor.trigger_limits) else { return };
        self.voice.tell(About {
            kind: event::Kind::TriggerExceeded,
            message: "Quota trigger reached",
            details: Details::Usage {
                draft,
                key: &passage.key,
                org: &session.org_id,
                limit,
                used: usage.percentage(),
            },
        });
    }

    /// Calls a hook on a request and applies what it returns.
    pub(super) async fn request_hook(
        &self,
        hook: (HookType, &Hook, usize),
        draft: &mut Draft,
        passage: &Passage,
    ) -> Result<Returned, Halt> {
        let (kind, settings, _) = hook;
        let object = || object::request(kind, settings, &self.spec, draft);
        let Called::Object(returned) = self.call(hook, object, &passage.trace).await? else {
            return Ok(Returned::Passed);
        };
        let verdict =
            object::apply_request(draft, settings, *returned, self.services.settings.rules);
        let denied = match verdict {
            Ok(Verdict::Continue { session, metadata }) => {
                return Ok(Returned::Continued { session, metadata });
            }
            Ok(Verdict::Reply(reply)) => return Err(Halt::Reply(reply)),
            Ok(Verdict::Refuse(denied)) => denied,
            Ok(Verdict::Unanswerable(why)) => {
                self.tell_unfit(hook, &why);
                Denied::middleware()
            }
            Err(why) => {
                self.tell_unfit(hook, &why);
                return match of_answer(settings.on_error) {
                    Outcome::Refuse(denied) => Err(Halt::Refuse(denied)),
                    // What cannot be applied has changed nothing.
                    Outcome::Pass => Ok(Returned::Passed),
                };
            }
        };
        self.tell(event::Kind::AuthFailure, "Auth Failure", draft, &self.custom_key(draft));
        Err(Halt::Refuse(denied))
    }

    /// Whether a path is let in unasked. It is looked at as it came, below the listen path or the id.
    fn is_ignored(&self, draft: &Draft) -> bool {
        if self.api.ignored.is_empty() {
            return false;
        }
        let path = draft.target.path.as_str();
        // What is left has to be below: `/orders/` is not what `/ordersopen/` begins with.
        let is_below = |rest: &&str| rest.is_empty() || rest.starts_with('/');
        let listen = self.api.listen_path.strip_suffix('/');
        let by_path = match listen {
            Some(listen) => path.strip_prefix(listen).filter(is_below),
            None => path.strip_prefix(self.api.listen_path.as_str()),
        };
        let by_id = || path.strip_prefix('/')?.strip_prefix(self.api.id.as_str()).filter(is_below);
        let below = by_path.or_else(by_id).unwrap_or(path);
        match below.starts_with('/') {
            true => self.api.ignores(draft.method.as_str(), below),
            false => self.api.ignores(draft.method.as_str(), &format!("/{below}")),
        }
    }
}

/// What a hook on a request returned.
pub(super) enum Returned {
    /// The request goes on, with what the hook made of it.
    Continued {
        /// The session that it returned.
        session: Option<Box<crate::wire::SessionState>>,
        /// What it laid over the session's metadata.
        metadata: crate::wire::Texts,
    },
    /// The hook failed and the request goes on without it.
    Passed,
}

/// The session of a request that needs one.
fn attached(draft: &Draft) -> Result<&Attached, Denied> {
    draft.session.as_ref().ok_or_else(check::missing)
}
