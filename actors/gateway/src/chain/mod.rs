//! The steps that a request passes, made once for each API.

use std::sync::Arc;

use crate::api::Api;
use crate::exchange::{Draft, Reply, Whole};

/// What all chains share.
#[derive(Debug, Default)]
pub struct Services;

/// The steps of one API.
#[derive(Debug)]
pub struct Chain;

/// Why a request goes no further.
#[derive(Debug)]
pub enum Stop {
    /// It is answered already.
    Reply(Reply),
}

impl Chain {
    /// The chain of an API.
    pub fn new(_api: Arc<Api>, _services: Arc<Services>) -> Self {
        Self
    }

    /// Whether a step wants the request's body whole.
    pub fn wants_body(&self) -> bool {
        false
    }

    /// Whether a step wants the response's body whole.
    pub fn wants_response_body(&self) -> bool {
        false
    }

    /// Takes a request through the steps before the upstream is asked.
    ///
    /// # Errors
    /// As [`Stop`] says.
    pub async fn request(&self, _draft: &mut Draft) -> Result<(), Stop> {
        Ok(())
    }

    /// Takes a response through the steps after that.
    ///
    /// # Errors
    /// The answer in its place.
    pub async fn response(&self, _draft: &Draft, _whole: &mut Whole) -> Result<(), Reply> {
        Ok(())
    }
}
