//! The actors below the root, by the number that their lifelines bear.

use std::rc::Rc;

use actix::Addr;
use coproc_coordinator::Bound;
use coproc_coordinator::actor::CoordinatorActor;
use coproc_coprocess::actor::CoprocessActor;
use coproc_coprocess::config::Coprocess;
use coproc_coprocess::standing::{SharedStanding, Standing};
use coproc_core::supervision::{ChildId, Rebuilds};

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
    /// The coprocess in this place of the config.
    Coprocess(usize),
    /// The coordinator.
    Coordinator,
    /// Who offers coproc's own tasks.
    BuiltIn,
}

const FIRST_COPROCESS: ChildId = 3;
/// Far from the coprocesses, whose number nobody knows here.
const COORDINATOR: ChildId = ChildId::MAX / 2;
const BUILT_IN: ChildId = COORDINATOR + 1;

impl Child {
    pub(super) fn id(self) -> ChildId {
        match self {
            Self::Broker => 0,
            Self::Main => 1,
            Self::Control => 2,
            Self::Coprocess(place) => FIRST_COPROCESS + place,
            Self::Coordinator => COORDINATOR,
            Self::BuiltIn => BUILT_IN,
        }
    }

    pub(super) fn from_id(id: ChildId) -> Self {
        match id {
            0 => Self::Broker,
            1 => Self::Main,
            2 => Self::Control,
            COORDINATOR => Self::Coordinator,
            BUILT_IN => Self::BuiltIn,
            id => Self::Coprocess(id - FIRST_COPROCESS),
        }
    }
}

/// A coprocess with what its supervisor keeps for it from one actor to the next.
pub(super) struct Supervised {
    pub(super) config: Rc<Coprocess>,
    pub(super) standing: SharedStanding,
    /// Strong: without it the actor would end. `None` while it is being rebuilt.
    pub(super) actor: Option<Addr<CoprocessActor>>,
    pub(super) rebuilds: Rebuilds,
}

impl Supervised {
    pub(super) fn new(config: &Coprocess) -> Self {
        Self {
            standing: Standing::new(config),
            config: Rc::new(config.clone()),
            actor: None,
            rebuilds: Rebuilds::default(),
        }
    }
}

/// The coordinator with what its supervisor keeps for it from one actor to the next.
pub(super) struct Coordinating {
    pub(super) bound: Bound,
    /// Strong: without it the actor would end. `None` while it is being rebuilt.
    pub(super) actor: Option<Addr<CoordinatorActor>>,
    pub(super) rebuilds: Rebuilds,
}

impl Coordinating {
    pub(super) fn new(bound: Bound) -> Self {
        Self { bound, actor: None, rebuilds: Rebuilds::default() }
    }
}

/// Coproc's own tasks with what their supervisor keeps for them from one actor to the next.
pub(super) struct Offering {
    pub(super) offers: Offers,
    /// Strong: without it the actor would end. `None` while it is being rebuilt.
    pub(super) actor: Option<Addr<BuiltIn>>,
    pub(super) rebuilds: Rebuilds,
}

impl Offering {
    pub(super) fn new(offers: Offers) -> Self {
        Self { offers, actor: None, rebuilds: Rebuilds::default() }
    }
}
