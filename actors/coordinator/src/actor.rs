//! The actor of a coordinator.

use std::io;

use coproc_core::broker::BrokerPlace;
use coproc_core::service::{Service, ServiceActor, Started};

use crate::server::Bound;

/// Has one coordinator served.
pub type CoordinatorActor = ServiceActor<Bound>;

impl Service for Bound {
    fn start(&self, _: &BrokerPlace) -> io::Result<Started> {
        Ok(Started { threads: Self::start(self)?, publisher: None })
    }

    fn cannot_start(&self, error: &io::Error) {
        tracing::error!(target: "coordinator", "cannot be served: {error}");
    }
}
