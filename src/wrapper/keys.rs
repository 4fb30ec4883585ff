//! The gateway's keys, for clients of the control socket.

use coproc_control::request::{KeysOrder, Refused};
use coproc_gateway::admin;

use super::control::Reply;
use super::root::Root;

impl Root {
    /// Has the gateway do it; the root goes on in the meantime.
    pub(super) fn keys(&self, order: KeysOrder, reply: Reply) {
        let Some(bound) = self.gateway.as_ref().map(|gateway| gateway.bound.clone()) else {
            // A client that hung up does not want to know, here and below.
            let _ = reply.send(Err(Refused::new(404, "this wrapper has no gateway")));
            return;
        };
        actix_rt::spawn(async move {
            let refused =
                |refused: admin::Refused| Refused::new(refused.status.as_u16(), refused.why);
            let KeysOrder { method, id, hashed, body, go_on } = order;
            let id = id.map(|text| admin::Named { text, hashed });
            let done = match admin::order(&method, id, &body, go_on) {
                Ok(order) => bound.admin().perform(order).await,
                Err(refused) => Err(refused),
            };
            let _ = reply.send(done.map_err(refused));
        });
    }
}
