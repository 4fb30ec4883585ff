//! What a coprocess is asked, and what it tells.

use actix::Message;
use coproc_core::signal::Signal;

use crate::config::{Coprocess, Restarts};

/// What an operator, or the tree, asks of a coprocess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Command {
    /// Be up.
    Start,
    /// What starts it has come already: be up, or from now on at the times of the schedule.
    Begin,
    /// Run the stop command, then be down.
    Stop,
    /// Run the stop command, be down, then be up again.
    Restart,
    /// Be down at once.
    Kill,
    /// Pass a signal to the whole group.
    Signal(Signal),
    /// From now on start again so often.
    SetRestarts(Restarts),
    /// From now on pause so long between runs.
    SetPause(std::time::Duration),
    /// Let go of the events that wait for its end now.
    LetGo,
    /// Let go of events, or hold them from the next start on.
    SetBackground(bool),
}

/// From now on this is the config.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// All of it.
    pub config: Box<Coprocess>,
    /// Whether the program is stopped, with the stop command that it had, and started again.
    pub restart: bool,
}

/// A coprocess whose `on_give_up` is `shutdown` has failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct GaveUp {
    /// Its name.
    pub name: String,
    /// The exit status for the wrapper to leave with.
    pub code: u8,
}
