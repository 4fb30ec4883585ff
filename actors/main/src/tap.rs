//! The tap on the main process's output: it picks the facts out of the lines, on the output thread.

use actix::{Message, Recipient};
use coproc_core::output::Tap;

use crate::nginx::{Fact, fact};

/// What the output tells the main process's actor.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) enum Heard {
    /// The first line of a stream.
    Begun,
    /// An nginx line with a meaning.
    Fact(Fact),
    /// A stream was read to its end.
    Closed,
}

pub(crate) struct MainTap {
    pub(crate) reads_nginx: bool,
    pub(crate) begun: bool,
    pub(crate) to: Recipient<Heard>,
}

impl Tap for MainTap {
    fn line(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            self.to.do_send(Heard::Begun);
        }
        if self.reads_nginx
            && let Some(fact) = fact(line)
        {
            self.to.do_send(Heard::Fact(fact));
        }
    }

    fn closed(&mut self) {
        self.to.do_send(Heard::Closed);
    }
}
