//! What the gateway is told of the coprocess that is its plugin server.

use std::rc::Rc;

use coproc_coprocess::lifecycle::State;
use coproc_coprocess::standing::{SharedStanding, Standing};
use coproc_gateway::driver::grpc::Presence;

use super::children::Supervised;
use super::root::Root;

impl Root {
    /// Has the gateway know at all times how its plugin server is.
    pub(super) fn watch_plugin(&self) {
        let (Some(gateway), Some(presence)) = (&self.gateway, &self.presence) else { return };
        let Some(name) = gateway.bound.config().plugin.clone() else { return };
        let names = self.meant_by(&name);
        let meant =
            |child: &&Supervised| names.iter().any(|name| child.config.name.as_str() == name);
        let servers = self.coprocesses.iter().filter(meant).map(|child| child.standing.clone());
        let servers: Rc<[SharedStanding]> = servers.collect();
        for server in servers.iter() {
            let mut changes = server.borrow().watch();
            let (servers, presence) = (servers.clone(), presence.clone());
            actix_rt::spawn(async move {
                while changes.changed().await.is_ok() {
                    let now = presence_of_any(&servers);
                    presence.send_if_modified(|known| std::mem::replace(known, now) != now);
                }
            });
        }
    }
}

/// Of replicas the one that can be called, or can be soonest, counts.
fn presence_of_any(servers: &[SharedStanding]) -> Presence {
    let all: Vec<_> = servers.iter().map(|one| presence_of(&one.borrow())).collect();
    let best = [Presence::Up, Presence::Coming].into_iter().find(|best| all.contains(best));
    best.unwrap_or(Presence::Gone)
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
