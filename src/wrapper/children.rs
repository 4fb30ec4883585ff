//! The actors below the root, by the number that their lifelines bear.

use std::rc::Rc;

use actix::{Actor, Addr};
use coproc_coordinator::actor::CoordinatorActor;
use coproc_coprocess::actor::CoprocessActor;
use coproc_coprocess::config::Coprocess;
use coproc_coprocess::standing::{SharedStanding, Standing};
use coproc_core::supervision::{ChildId, Rebuilds, Verdict};
use coproc_exec::ExecActor;
use coproc_gateway::actor::GatewayActor;
use tokio::time::Instant;

use crate::builtin::{BuiltIn, Offers};

/// One of the root's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Child {
    /// The EventBroker.
    Broker,
    /// The main process's actor.
    Main,
    /// The control socket.
    Control,
    /// The coordinator.
    Coordinator,
    /// Who offers coproc's own tasks.
    BuiltIn,
    /// The gateway.
    Gateway,
    /// The coprocess of this place.
    Coprocess(usize),
    /// The exec socket in this place of the config.
    ExecSocket(usize),
}

const FIRST_COPROCESS: ChildId = 6;
/// Counted down from here.
const FIRST_EXEC_SOCKET: ChildId = ChildId::MAX;

impl Child {
    pub(super) fn id(self) -> ChildId {
        match self {
            Self::Broker => 0,
            Self::Main => 1,
            Self::Control => 2,
            Self::Coordinator => 3,
            Self::BuiltIn => 4,
            Self::Gateway => 5,
            Self::Coprocess(place) => FIRST_COPROCESS + place,
            Self::ExecSocket(place) => FIRST_EXEC_SOCKET - place,
        }
    }

    pub(super) fn from_id(id: ChildId) -> Self {
        match id {
            0 => Self::Broker,
            1 => Self::Main,
            2 => Self::Control,
            3 => Self::Coordinator,
            4 => Self::BuiltIn,
            5 => Self::Gateway,
            id if id > ChildId::MAX / 2 => Self::ExecSocket(FIRST_EXEC_SOCKET - id),
            id => Self::Coprocess(id - FIRST_COPROCESS),
        }
    }
}

/// A coprocess with what its supervisor keeps for it from one actor to the next.
pub(super) struct Supervised {
    /// By which its actor and the broker know it; no other ever has it.
    pub(super) place: usize,
    /// Whether the config has it no more, and its end is waited for.
    pub(super) removed: bool,
    pub(super) config: Rc<Coprocess>,
    pub(super) standing: SharedStanding,
    /// Strong: without it the actor would end. `None` while it is being rebuilt.
    pub(super) actor: Option<Addr<CoprocessActor>>,
    pub(super) rebuilds: Rebuilds,
}

impl Supervised {
    pub(super) fn of((place, config): (usize, &Coprocess)) -> Self {
        Self {
            place,
            removed: false,
            standing: Standing::new(config),
            config: Rc::new(config.clone()),
            actor: None,
            rebuilds: Rebuilds::default(),
        }
    }
}

/// A service with what its supervisor keeps for it from one actor to the next.
pub(super) struct Kept<T, A: Actor> {
    /// What each of its actors is given.
    pub(super) bound: T,
    /// Strong: without it the actor would end. `None` while it is being rebuilt.
    pub(super) actor: Option<Addr<A>>,
    rebuilds: Rebuilds,
}

pub(super) type Served = Kept<coproc_exec::Bound, ExecActor>;
pub(super) type Coordinating = Kept<coproc_coordinator::Bound, CoordinatorActor>;
pub(super) type Gatekeeping = Kept<coproc_gateway::server::Bound, GatewayActor>;
/// Coproc's own tasks.
pub(super) type Offering = Kept<Offers, BuiltIn>;

impl<T, A: Actor> Kept<T, A> {
    pub(super) fn new(bound: T) -> Self {
        Self { bound, actor: None, rebuilds: Rebuilds::default() }
    }

    /// The actor died.
    pub(super) fn died(&mut self, now: Instant) -> Verdict {
        self.actor = None;
        self.rebuilds.died(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_children_apart() {
        let single = [
            Child::Broker,
            Child::Main,
            Child::Control,
            Child::Coordinator,
            Child::BuiltIn,
            Child::Gateway,
        ];
        let places = |child: fn(usize) -> Child| (0..100).map(child);
        let all = single
            .into_iter()
            .chain(places(Child::Coprocess))
            .chain(places(Child::ExecSocket))
            .collect::<Vec<_>>();
        for child in &all {
            assert_eq!(Child::from_id(child.id()), *child);
        }
    }
}
