//! Orders that are meant for all replicas of a coprocess.

use actix::Addr;
use coproc_control::request::{Order, Refused};
use coproc_coprocess::actor::CoprocessActor;
use coproc_coprocess::messages::Command;
use coproc_coprocess::standing::SharedStanding;
use coproc_core::broker::Group;
use coproc_core::name::Name;
use indexmap::IndexMap;
use serde_json::json;

use super::children::Supervised;
use super::control::{Reply, being_rebuilt, command_of, settle};
use super::root::Root;
use crate::config::Config;

/// The replicas of each coprocess that has some, for the broker.
pub(super) fn groups(config: &Config) -> Vec<Group> {
    let mut groups: IndexMap<&Name, Vec<Name>> = IndexMap::new();
    for one in &config.coprocesses {
        if let Some(replica) = &one.replica {
            groups.entry(&replica.of).or_default().push(one.name.clone());
        }
    }
    groups.into_iter().map(|(name, replicas)| Group::new(name.clone(), replicas)).collect()
}

/// A replica that is given an order.
struct Ordered {
    name: String,
    standing: SharedStanding,
    actor: Addr<CoprocessActor>,
}

impl Root {
    /// The replicas that go by this name, in their order; none where it is no name of replicas.
    pub(super) fn replicas(&self, name: &str) -> Vec<&Supervised> {
        let of = |child: &&Supervised| {
            child.config.replica.as_ref().is_some_and(|replica| replica.of.as_str() == name)
        };
        self.coprocesses.iter().filter(of).collect()
    }

    /// The coprocess of this name, or all replicas that share it.
    pub(super) fn all_of(&self, name: &str) -> Result<Vec<&Supervised>, Refused> {
        let replicas = self.replicas(name);
        if replicas.is_empty() { self.find(name).map(|one| vec![one]) } else { Ok(replicas) }
    }

    /// Gives an order to all replicas, to one after another where it is a restart: the next is not
    /// restarted before the one before runs and is ready.
    pub(super) fn order_all(&self, name: String, order: Order, reply: Reply) {
        let mut all = Vec::new();
        for child in self.replicas(&name) {
            let name = child.config.name.to_string();
            let Some(actor) = child.actor.clone() else {
                let _ = reply.send(Err(being_rebuilt(&name)));
                return;
            };
            all.push(Ordered { name, standing: child.standing.clone(), actor });
        }
        actix_rt::spawn(async move {
            let states = match order {
                Order::Restart => one_by_one(all).await,
                _ => side_by_side(all, order).await,
            };
            // A client that hung up does not want to know.
            let _ = reply.send(states.map(|states| json!({ "name": name, "replicas": states })));
        });
    }
}

type States = Result<serde_json::Map<String, serde_json::Value>, Refused>;

async fn side_by_side(all: Vec<Ordered>, order: Order) -> States {
    let taken: Vec<_> = all.iter().map(|one| one.actor.send(command_of(order))).collect();
    let mut states = serde_json::Map::new();
    let mut failed = Vec::new();
    for (one, taken) in all.into_iter().zip(taken) {
        let state = settle(&one.standing, taken, order).await;
        if order == Order::Start && is_down(&state) {
            failed.push(format!("`{}` does not run: it is in state {state}", one.name));
        }
        states.insert(one.name, state.into());
    }
    match failed.is_empty() {
        true => Ok(states),
        false => Err(Refused::new(409, failed.join("; "))),
    }
}

async fn one_by_one(all: Vec<Ordered>) -> States {
    let mut states = serde_json::Map::new();
    let mut left = all.into_iter();
    while let Some(one) = left.next() {
        let taken = one.actor.send(Command::Restart);
        let state = settle(&one.standing, taken, Order::Restart).await;
        if is_down(&state) {
            let kept: Vec<_> = left.map(|one| format!("`{}`", one.name)).collect();
            let mut why = format!("`{}` does not run: it is in state {state}", one.name);
            if !kept.is_empty() {
                why += &format!("; {} not restarted", were(&kept));
            }
            return Err(Refused::new(409, why));
        }
        states.insert(one.name, state.into());
    }
    Ok(states)
}

fn were(names: &[String]) -> String {
    let verb = if names.len() == 1 { "was" } else { "were" };
    format!("{} {verb}", names.join(", "))
}

fn is_down(state: &str) -> bool {
    state == "failed" || state == "backoff"
}
