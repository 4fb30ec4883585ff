//! What the gateway is told of the coprocess that is its plugin server.

use coproc_coprocess::lifecycle::State;
use coproc_coprocess::standing::Standing;
use coproc_gateway::driver::grpc::Presence;

use super::root::Root;

impl Root {
    /// Has the gateway know at all times how its plugin server is.
    pub(super) fn watch_plugin(&self) {
        let Some(gateway) = &self.gateway else { return };
        let Some(name) = gateway.bound.config().plugin.clone() else { return };
        let mut children = self.coprocesses.iter();
        let Some(child) = children.find(|child| child.config.name.as_str() == name) else { return };
        let (standing, presence) = (child.standing.clone(), gateway.presence.clone());
        let mut changes = standing.borrow().watch();
        actix_rt::spawn(async move {
            while changes.changed().await.is_ok() {
                let now = presence_of(&standing.borrow());
                presence.send_if_modified(|known| std::mem::replace(known, now) != now);
            }
        });
    }
}

fn presence_of(standing: &Standing) -> Presence {
    // Before its event it has not begun, which is no reason to refuse whoever came first.
    let begins = matches!(standing.machine.state, State::Waiting);
    match standing.is_ready() {
        true => Presence::Up,
        false if begins || standing.is_coming() => Presence::Coming,
        false => Presence::Gone,
    }
}
