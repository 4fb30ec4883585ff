//! Who a request comes from: what the hook says, or the key.

use std::time::SystemTime;

use super::Chain;
use super::walk::{Halt, Passage, Returned};
use crate::api::{Hook, Identity};
use crate::event;
use crate::exchange::{Attached, Denied, Draft};
use crate::extractor::session_id;
use crate::session::Session;
use crate::session::check::disallowed;
use crate::store::StoreError;
use crate::wire::HookType;

impl Chain {
    /// Lets the hook authenticate, unless what the extractor finds was authenticated a while ago.
    pub(super) async fn custom_auth(
        &self,
        hook: &Hook,
        place: usize,
        draft: &mut Draft,
        passage: &mut Passage,
    ) -> Result<(), Halt> {
        let keys = &*self.services.keys;
        let mut extracted = None;
        if let Some(extractor) = &self.api.hooks.extractor {
            let value = extractor.extract(draft)?;
            let id = session_id(&self.api.org, &value, keys.options().hash_function);
            let known = keys.find(&id).await.map_err(unanswered)?;
            if let Some(session) = known.filter(|one| one.spares_hook(SystemTime::now())) {
                let session = Session::clone(&session);
                self.attach(draft, passage, Attached { id, session }, Identity::Custom);
                return Ok(());
            }
            extracted = Some(id);
        }
        let returned =
            self.request_hook((HookType::CustomKeyCheck, hook, place), draft, passage).await?;
        let (session, metadata) = match returned {
            Returned::Continued { session, metadata } => (session.map(|one| *one), metadata),
            Returned::Passed => {
                // The hook is as if it were not there, and so are the checks of what it would say, or the
                // key alone counts.
                passage.identity = None;
                passage.ignored |= !self.api.auth.as_ref().is_some_and(|auth| auth.standard);
                return Ok(());
            }
        };
        let adopted = keys.adopt(&self.api, extracted, session, metadata).await;
        let attached = adopted.inspect_err(|denied| {
            if denied.status.is_client_error() {
                let key = self.custom_key(draft);
                self.tell(event::Kind::AuthFailure, "Auth Failure", draft, &key);
            }
        })?;
        self.attach(draft, passage, attached, Identity::Custom);
        Ok(())
    }

    /// Looks for the key that the request has to bear.
    pub(super) async fn standard_auth(
        &self,
        draft: &mut Draft,
        passage: &mut Passage,
    ) -> Result<(), Halt> {
        let Some(auth) = &self.api.auth else { return Ok(()) };
        let key = auth.key.key(draft)?;
        let found = self.services.keys.find_key(&self.api.org, &key).await.map_err(unanswered)?;
        let Some((id, session)) = found else {
            let message = "Attempted access with non-existent key";
            self.tell(event::Kind::AuthFailure, message, draft, &key);
            return Err(disallowed().into());
        };
        let session = Session::clone(&session);
        self.attach(draft, passage, Attached { id, session }, Identity::Token);
        Ok(())
    }

    /// Makes a session the request's if it is from where those come that count.
    fn attach(&self, draft: &mut Draft, passage: &mut Passage, attached: Attached, from: Identity) {
        if passage.identity.is_none_or(|counts| counts == from) {
            passage.key.clone_from(&attached.id);
            draft.session = Some(attached);
        }
    }

    /// What the hook that authenticates looks at, for events.
    pub(super) fn custom_key(&self, draft: &Draft) -> String {
        let auth = self.api.auth.as_ref();
        auth.and_then(|auth| auth.custom_key.find(draft)).unwrap_or_default()
    }
}

fn unanswered(error: StoreError) -> Denied {
    tracing::error!(target: "gateway", "the store: {error}");
    Denied::middleware()
}
