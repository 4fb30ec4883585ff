//! What stands for sharing in a build without NATS, in which its table is refused.

use std::sync::Arc;

use coproc_acomm::Response;
use coproc_core::threads::Stop;
use tokio::sync::watch;

use super::{Nats, Passed, When};
use crate::forward::{Untaken, Way};
use crate::hook::Try;
use crate::router::NO_PROVIDERS;
use crate::server::Shared;
use crate::tracker::Origin;

/// There are none.
#[derive(Debug)]
pub(crate) enum Peers {}

impl Peers {
    pub(crate) fn new(_: Nats, _: &str) -> Option<Self> {
        None
    }

    pub(crate) fn is_connected(&self) -> bool {
        match *self {}
    }
}

pub(crate) async fn give_away(_: &Way<'_>, _: When) -> Result<(), Passed> {
    Err(Untaken::Nobody(NO_PROVIDERS.to_owned()).into())
}

pub(crate) async fn return_response(_: &Shared, _: &Origin, _: &Response, _: Option<&str>) -> Try {
    Try::Refused("nothing is shared".to_owned())
}

pub(crate) async fn serve(_: Arc<Shared>, _: watch::Receiver<Stop>) {}
