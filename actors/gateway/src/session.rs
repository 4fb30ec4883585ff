//! Sessions: who a request comes from, and what they may do. A stand-in for the branch that owns it.
#![allow(missing_docs)]

use std::time::{Duration, SystemTime};

use crate::api::Api;
use crate::exchange::Denied;
use crate::store::StoreError;
use crate::wire::{SessionState, Texts};

/// A session as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub key_id: String,
}

impl Session {
    pub fn to_wire(&self) -> SessionState {
        SessionState::default()
    }
    pub fn spares_hook(&self, _: SystemTime) -> bool {
        false
    }
    pub fn metadata_text(&self, _: &str) -> Option<String> {
        None
    }
    pub fn carry_over(&mut self, _: &Self) {}
    pub fn life(&self, _: Duration, _: bool, _: SystemTime) -> Option<Duration> {
        None
    }
}

pub fn from_wire(_: SessionState, _: &Api, _: Texts) -> Session {
    Session::default()
}

#[derive(Debug)]
pub struct Keys;
impl Keys {
    pub async fn find(&self, _: &str) -> Result<Option<Session>, StoreError> {
        Ok(None)
    }
    pub async fn keep(&self, _: &str, _: &Session, _: Option<Duration>) -> Result<(), StoreError> {
        Ok(())
    }
}
#[derive(Debug)]
pub struct Limits;
impl Limits {
    pub async fn admit(
        &self,
        _: &str,
        _: &mut Session,
        _: &Api,
        _: SystemTime,
    ) -> Result<(), Denied> {
        Ok(())
    }
}
#[derive(Debug)]
pub struct Policies;
impl Policies {
    pub fn apply(&self, _: &mut Session, _: &Api) -> Result<(), Denied> {
        Ok(())
    }
}
pub mod hash {
    #[derive(Clone, Copy, Debug)]
    pub enum HashFunction {}
}
pub mod check {
    use super::*;
    use crate::exchange::Draft;
    use http::StatusCode;
    pub fn missing() -> Denied {
        Denied::new(StatusCode::BAD_REQUEST, "")
    }
    pub fn disallowed() -> Denied {
        Denied::new(StatusCode::FORBIDDEN, "")
    }
    pub fn inactive(_: &Session) -> Result<(), Denied> {
        Ok(())
    }
    pub fn expired(_: &Session, _: SystemTime) -> Result<(), Denied> {
        Ok(())
    }
    pub fn rights(_: &Session, _: &Api) -> Result<(), Denied> {
        Ok(())
    }
    pub fn urls(_: &Session, _: &Api, _: &Draft) -> Result<(), Denied> {
        Ok(())
    }
}
