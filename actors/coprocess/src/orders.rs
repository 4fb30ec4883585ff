//! Who wanted a coprocess up, and who wanted it down. Pure.

use std::fmt;

use coproc_core::event::EventName;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::lifecycle::{Event, Machine, State, Wanted};

/// Who can ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Its exec_event or stop_event.
    Event(EventName),
    /// Its schedule.
    Schedule,
    /// This command of a client.
    Command(&'static str),
    /// The wrapper, whose time for stopping is over, or which was told to stop at once.
    Wrapper,
}

impl By {
    /// The same for programs.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Event(event) => json!({ "event": event.to_string() }),
            Self::Schedule => json!({ "schedule": true }),
            Self::Command(command) => json!({ "command": command }),
            Self::Wrapper => json!({ "wrapper": "kill" }),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "the event {event}"),
            Self::Schedule => f.write_str("its schedule"),
            Self::Command(command) => write!(f, "`coproc {command}`"),
            Self::Wrapper => f.write_str("the wrapper, which kills what is left"),
        }
    }
}

/// An order and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked.
    pub by: By,
    /// When.
    pub at: Instant,
}

/// The orders that count now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Whose wish its present or last life is.
    pub up: Option<Asked>,
    /// Whose wish its end is; none while it is to run, and where it ended by itself.
    pub down: Option<Asked>,
}

impl Orders {
    /// Takes an order in that the machine is about to get.
    pub(crate) fn take(&mut self, machine: &Machine, event: Event, asked: Asked) {
        let runs_on = machine.wanted == Wanted::Up && !machine.is_ended();
        match event {
            // It changes nothing.
            Event::Start | Event::Triggered if runs_on && self.down.is_none() => {}
            Event::Start | Event::Triggered => {
                self.up = Some(asked);
                self.down = None;
            }
            // Its stop command comes first.
            Event::Restart => {
                self.up = Some(asked.clone());
                self.down = machine.is_live().then_some(asked);
            }
            // The first who stopped it is the one who did.
            Event::Stop | Event::Retire | Event::Kill if self.down.is_some() && !runs_on => {}
            Event::Stop | Event::Retire | Event::Kill if machine.state == State::Stopped => {}
            Event::Stop | Event::Retire | Event::Kill => self.down = Some(asked),
            _ => {}
        }
    }

    /// A run begins.
    pub(crate) fn launched(&mut self) {
        self.down = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coproc_core::event::Phase;
    use std::time::Duration;

    fn asked(by: By) -> Asked {
        Asked { by, at: Instant::now() }
    }

    fn machine(state: State, wanted: Wanted) -> Machine {
        Machine { state, wanted, ..Machine::new(Duration::from_secs(5)) }
    }

    #[test]
    fn the_first_who_stops_it_is_named_until_it_runs_again() {
        let now = Instant::now();
        let exit = By::Event(Phase::Exit.into());
        let mut orders = Orders::default();
        let runs = machine(State::Running { since: now }, Wanted::Up);
        orders.take(&runs, Event::Retire, asked(By::Command("stop")));
        let retired = machine(State::Running { since: now }, Wanted::Down);
        orders.take(&retired, Event::Stop, asked(exit.clone()));
        assert_eq!(orders.down.as_ref().unwrap().by, By::Command("stop"));
        orders.take(&retired, Event::Kill, asked(By::Wrapper));
        assert_eq!(orders.down.as_ref().unwrap().by, By::Command("stop"));
        let stopped = machine(State::Stopped, Wanted::Down);
        orders.take(&stopped, Event::Stop, asked(exit));
        assert_eq!(orders.down.as_ref().unwrap().by, By::Command("stop"));
        orders.take(&stopped, Event::Start, asked(By::Command("start")));
        assert_eq!((orders.up.unwrap().by, orders.down), (By::Command("start"), None));
    }

    #[test]
    fn one_that_ended_by_itself_was_stopped_by_nobody() {
        let mut orders = Orders::default();
        let stopped = machine(State::Stopped, Wanted::Down);
        orders.take(&stopped, Event::Stop, asked(By::Event(Phase::Exit.into())));
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn a_start_of_what_runs_changes_nothing() {
        let mut orders = Orders::default();
        let runs = machine(State::Running { since: Instant::now() }, Wanted::Up);
        orders.up = Some(asked(By::Event(Phase::PreStart.into())));
        let before = orders.clone();
        orders.take(&runs, Event::Start, asked(By::Command("start")));
        assert_eq!(orders, before);
    }
}
