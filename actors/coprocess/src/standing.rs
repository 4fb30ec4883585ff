//! What is known of a coprocess, and outlives its actor: the supervisor keeps it, the actor that
//! lives just now writes it, and an actor that takes over goes on with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use coproc_core::broker::Hold;
use coproc_core::event::EventName;
use coproc_core::probe::{Notes, Role};
use coproc_core::process::Gone;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Coprocess, Policy, Restarts};
use crate::lifecycle::{Machine, RunEnd, State, Wanted};
use crate::orders::Orders;
use crate::schedule::Agenda;
use crate::tally::Tally;
use crate::why::{Reason, View};

/// The standing of one coprocess. It never crosses threads.
#[derive(Debug)]
pub struct Standing {
    /// Its life so far and what is wanted.
    pub machine: Machine,
    /// The policy, with all that was changed while running.
    pub policy: Policy,
    /// The process that runs now.
    pub pid: Option<i32>,
    /// When that one was launched.
    pub started: Option<SystemTime>,
    /// Orders to stop or restart whose stop command is not over yet.
    pub pending: u32,
    /// How the last run ended, and when.
    pub last_exit: Option<(RunEnd, SystemTime)>,
    /// When the last run ended, by the clock that measures.
    pub ended: Option<Instant>,
    /// Who wanted it up, and who wanted it down.
    pub orders: Orders,
    /// The times that it has at the end of all, once that has come.
    pub leave: Option<Leave>,
    /// Whether nothing starts it any more, since all that is left is being stopped.
    pub closed: bool,
    /// Where its schedule stands.
    pub agenda: Agenda,
    /// What its runs add up to.
    pub tally: Tally,
    /// What its probes heard last.
    pub notes: Notes,
    /// It was ready, and its probe says that it no longer is.
    pub(crate) unready: bool,
    /// Who waits for the start that is going on to be over.
    pub(crate) starts: Vec<(EventName, Hold)>,
    /// Who waits for it to have ended.
    pub(crate) stops: Vec<Hold>,
    /// The end of the last process.
    pub(crate) gone: Option<Gone>,
    changed: watch::Sender<u64>,
}

/// By when a coprocess has to be through with the steps of its end, when the wrapper itself leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// From then on it holds no start any more.
    pub started_by: Instant,
    /// Its stop command.
    pub stop_command_by: Instant,
    /// The time after TERM and INT.
    pub killed_by: Instant,
}

/// A standing as the supervisor and the actor share it.
pub type SharedStanding = Rc<RefCell<Standing>>;

impl Standing {
    /// Of a coprocess that has not been asked for anything yet.
    pub fn new(config: &Coprocess) -> SharedStanding {
        Rc::new(RefCell::new(Self {
            machine: Machine::new(config.stop_timeout.time).with_readiness(config.readiness()),
            policy: config.policy.clone(),
            pid: None,
            started: None,
            pending: 0,
            last_exit: None,
            ended: None,
            orders: Orders::default(),
            leave: None,
            closed: false,
            agenda: Agenda::default(),
            tally: Tally::default(),
            notes: Notes::default(),
            unready: false,
            starts: Vec::new(),
            stops: Vec::new(),
            gone: None,
            changed: watch::channel(0).0,
        }))
    }

    /// Whether it serves.
    pub fn is_ready(&self) -> bool {
        matches!(self.machine.state, State::Running { .. }) && !self.unready
    }

    /// Whether it runs, or comes back without anybody asking for it.
    pub fn is_coming(&self) -> bool {
        let over = matches!(self.machine.state, State::Waiting | State::Stopped | State::Failed(_));
        self.machine.wanted == Wanted::Up && !over
    }

    /// Whether it was given up though its policy is to start it again: nothing within the wrapper
    /// will heal it. One with a schedule is started again by that.
    pub fn is_lost(&self) -> bool {
        matches!(self.machine.state, State::Failed(_))
            && self.policy.restarts != Restarts::Never
            && self.agenda.begun.is_none()
    }

    /// Whether it is not what it is meant to be. A pause after a run that ended well is as it
    /// should be.
    pub fn is_amiss(&self) -> bool {
        match self.machine.state {
            State::Backoff { .. } => {
                !self.machine.last.is_some_and(|end| self.policy.is_success(end))
            }
            State::Failed(_) => self.is_lost(),
            _ => self.machine.wanted == Wanted::Up && !self.is_ready(),
        }
    }

    /// Why it is in the state that it is in.
    pub fn why(&self, config: &Coprocess, now: Instant) -> Reason {
        Reason::of(View {
            machine: &self.machine,
            policy: &self.policy,
            orders: &self.orders,
            exec_event: &config.exec_event,
            ready: self.notes.note(Role::Ready),
            unready: self.unready,
            next: self.next_run(),
            now,
        })
    }

    /// How soon its schedule starts it.
    fn next_run(&self) -> Option<Duration> {
        let next = self.agenda.next?;
        Some(next.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// The events that wait until it has ended.
    pub fn holds(&self) -> impl Iterator<Item = &EventName> {
        self.starts.iter().map(|(event, _)| event)
    }

    /// Counts up with each transition.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn mark_changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}
