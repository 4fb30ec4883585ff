//! Who a request comes from: what the hook says, or the key.

use std::time::SystemTime;

use http::StatusCode;

use super::walk::{Halt, Passage, Returned};
use super::{Chain, credentials};
use crate::api::{Api, Hook, Identity};
use crate::event;
use crate::exchange::{Attached, Denied, Draft};
use crate::extractor::session_id;
use crate::session::check::disallowed;
use crate::session::{Session, from_wire};
use crate::wire::{HookType, SessionState, Texts};

impl Chain {
    /// Lets the hook authenticate, unless what the extractor finds was authenticated a while ago.
    pub(super) async fn custom_auth(
        &self,
        hook: &Hook,
        place: usize,
        draft: &mut Draft,
        passage: &mut Passage,
    ) -> Result<(), Halt> {
        let services = &*self.services;
        let mut extracted = None;
        if let Some(extractor) = &self.api.hooks.extractor {
            let value = extractor.extract(draft)?;
            let id = session_id(&self.api.org, &value, services.settings.hash_function);
            if let Some(mut session) = self.find(&id).await? {
                if session.spares_hook(SystemTime::now()) {
                    services.policies.apply(&mut session, &self.api)?;
                    passage.key = id.clone();
                    self.attach(draft, id, session, Identity::Custom);
                    return Ok(());
                }
            }
            extracted = Some(id);
        }
        let returned =
            self.request_hook((HookType::CustomKeyCheck, hook, place), draft, passage).await?;
        match returned {
            Returned::Continued { session, metadata } => {
                let session = session.map(|session| *session);
                self.admit(session, metadata, extracted, draft, passage).await
            }
            Returned::Passed => {
                // The hook is as if it were not there, and so are the checks of what it would say.
                passage.ignored |= !self.api.auth.as_ref().is_some_and(|auth| auth.standard);
                Ok(())
            }
        }
    }

    /// Makes the session that a hook returned the request's.
    async fn admit(
        &self,
        state: Option<SessionState>,
        metadata: Texts,
        extracted: Option<String>,
        draft: &mut Draft,
        passage: &mut Passage,
    ) -> Result<(), Halt> {
        let forbidden = || {
            self.tell(event::Kind::AuthFailure, "Auth Failure", draft, &self.key_of(draft));
            Denied::new(StatusCode::FORBIDDEN, "Forbidden")
        };
        let Some(state) = state else { return Err(forbidden().into()) };
        let mut session = from_wire(state, &self.api, metadata);
        let token = session.metadata_text("token").filter(|token| !token.is_empty());
        let Some(token) = token else { return Err(forbidden().into()) };
        let services = &*self.services;
        services.policies.apply(&mut session, &self.api).map_err(|_| forbidden())?;
        let id = extracted.unwrap_or(token);
        if let Some(known) = self.find(&id).await? {
            session.carry_over(&known);
            services.policies.apply(&mut session, &self.api).map_err(|_| forbidden())?;
        }
        session.key_id.clone_from(&id);
        self.keep(&id, &session).await?;
        passage.key.clone_from(&id);
        self.attach(draft, id, session, Identity::Custom);
        Ok(())
    }

    /// Looks for the key that the request has to bear.
    pub(super) async fn standard_auth(
        &self,
        draft: &mut Draft,
        passage: &mut Passage,
    ) -> Result<(), Halt> {
        let Some(auth) = &self.api.auth else { return Ok(()) };
        let Some(key) = credentials::find(&auth.key, draft) else {
            let message = "Authorization field missing";
            return Err(Denied::new(StatusCode::UNAUTHORIZED, message).into());
        };
        let Some(mut session) = self.find(&key).await? else {
            self.tell(
                event::Kind::AuthFailure,
                "Attempted access with non-existent key",
                draft,
                &key,
            );
            return Err(disallowed().into());
        };
        self.services.policies.apply(&mut session, &self.api)?;
        session.key_id.clone_from(&key);
        passage.key.clone_from(&key);
        self.attach(draft, key, session, Identity::Token);
        Ok(())
    }

    /// Makes a session the request's if it is from where sessions come that count.
    fn attach(&self, draft: &mut Draft, id: String, session: Session, from: Identity) {
        let Some(auth) = &self.api.auth else { return };
        let custom = auth.custom && self.services.settings.enable_coprocess;
        let both = custom && auth.standard;
        if !both || auth.identity == from {
            draft.session = Some(Attached { id, session });
        }
    }

    async fn find(&self, id: &str) -> Result<Option<Session>, Denied> {
        self.services.keys.find(id).await.map_err(|error| {
            tracing::error!(target: "gateway", "a session cannot be looked up: {error}");
            Denied::middleware()
        })
    }

    async fn keep(&self, id: &str, session: &Session) -> Result<(), Denied> {
        let Api { session_lifetime, lifetime_respects_expiration, .. } = &*self.api;
        let life =
            session.life(*session_lifetime, *lifetime_respects_expiration, SystemTime::now());
        self.services.keys.keep(id, session, life).await.map_err(|error| {
            tracing::error!(target: "gateway", "a session cannot be stored: {error}");
            Denied::middleware()
        })
    }
}
