//! The gateway's keys, for clients of the control socket.

use std::sync::Arc;

use coproc_control::request::{KeysOrder, Refused};
use coproc_gateway::admin;
use coproc_gateway::api::Api;
use serde_json::Value;

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
            let unserved = unserved(&body, &bound.apis());
            let id = id.map(|text| admin::Named { text, hashed });
            let done = match admin::order(&method, id, &body, go_on) {
                Ok(order) => bound.admin().perform(order).await,
                Err(refused) => Err(refused),
            };
            let told = |mut answer: Value| {
                if !unserved.is_empty() {
                    answer["unserved_apis"] = unserved.into();
                }
                answer
            };
            let _ = reply.send(done.map(told).map_err(refused));
        });
    }
}

/// The ids in a session's `access_rights` that no API has which is served now: it may come yet, or never be
/// what was meant.
fn unserved(session: &[u8], apis: &[(String, Arc<Api>)]) -> Vec<String> {
    let Ok(session) = serde_json::from_slice::<Value>(session) else { return Vec::new() };
    let rights = session["access_rights"].as_object();
    let ids = rights.into_iter().flatten().map(|(id, _)| id);
    ids.filter(|id| apis.iter().all(|(_, api)| api.id != **id)).cloned().collect()
}
