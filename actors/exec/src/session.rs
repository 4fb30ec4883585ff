//! One connection's life as a machine: from the first byte of a request to the close. Pure.
//!
//! ```text
//!  Gathering ─► Starting ─► Running ─────────────► Answering ─► Closed
//!  arguments    the program  TERM, KILL at the      the status
//!  come         is spawned   deadline, when the     is sent
//!                            client goes, at a stop
//! ```
//! Time and bytes stay outside: what is armed passes as an input, and of the streams only their ends
//! are told.

use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;

use crate::protocol::Stream;

/// What a client's half-close means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// The end of stdin, as an end mark.
    StdinEof,
    /// The client is gone, as sockexec saw it.
    Disconnect,
}

/// What follows where a program cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecFailure {
    /// The reason on stderr and a shell's exit code.
    Report,
    /// The connection is closed without a byte, as sockexec did.
    Close,
}

/// The settings that decide between transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What a half-close means.
    pub half_close: HalfClose,
    /// What follows where a program cannot be started.
    pub exec_failure: ExecFailure,
    /// Whether output is waited for only for some time after the program itself has ended.
    pub drains: bool,
}

/// What the machine has armed to hear of later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The arguments are late. Armed from the start.
    Header,
    /// The whole connection has had its time. Armed from the start.
    Deadline,
    /// What came before a protocol error had its moment.
    Courtesy,
    /// TERM had its time.
    Kill,
    /// KILL had its time: what still holds the output is not ours to wait for.
    Patience,
    /// The output had its time after the program ended.
    Drain,
    /// Nobody reads the answer.
    Delivery,
}

impl Timer {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Header,
        Self::Deadline,
        Self::Courtesy,
        Self::Kill,
        Self::Patience,
        Self::Drain,
        Self::Delivery,
    ];
}

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// All arguments are there.
    Arguments,
    /// The program, or the stage in front of it, was started.
    Started,
    /// It could not be.
    NotStarted,
    /// The stage could not become the program; it has left or is about to.
    ExecFailed,
    /// The client said that stdin ends.
    EndMark,
    /// The client sends no more, and still reads.
    HalfClosed,
    /// The client is gone.
    FullClosed,
    /// The client broke the protocol.
    Violation,
    /// The program itself ended; its group may live on.
    LeaderEnded(ExitStatus),
    /// Nobody holds this stream any more, and all of it was read.
    OutputEnded(Stream),
    /// A timer passed.
    Passed(Timer),
    /// The whole answer was sent.
    Delivered,
    /// The server leaves and lets programs end in order.
    Stop,
    /// The server leaves now.
    Kill,
}

/// The last of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How the program ended.
    Status(ExitStatus),
    /// Why it could not be started.
    Failure,
}

/// When the rest of the group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// At once: it had its TERM.
    Now,
    /// In a moment, so that a program that is just leaving the group to stay, as daemons do, can.
    Soon,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the program.
    Start,
    /// Close stdin behind what is still to be written.
    EndStdin,
    /// Close stdin and drop what was not written.
    DropStdin,
    /// Go on reading what the client sends, and heed none of it.
    IgnoreInput,
    /// Go on reading output, and send none of it.
    DiscardOutput,
    /// Signal the group.
    Signal(Signal),
    /// Begin to measure.
    Arm(Timer),
    /// Stop measuring.
    Disarm(Timer),
    /// Part with the process.
    Release(Sweep),
    /// Send this after all output, and close straight after it.
    Answer(Answer),
    /// Close without another byte.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Gathering,
    Starting,
    Running,
    Answering,
    Closed,
}

/// How far the ending of a group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Not,
    Courtesy,
    Term,
    Kill,
}

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    rules: Rules,
    stage: Stage,
    ending: Ending,
    status: Option<ExitStatus>,
    failed: bool,
    /// The streams that somebody holds.
    stdout: bool,
    stderr: bool,
    /// Nobody reads the answer.
    gone: bool,
    /// The request broke the protocol.
    broken: bool,
    timed_out: bool,
}

impl Session {
    /// A connection that was just accepted; `Header` and `Deadline` are armed.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            stage: Stage::Gathering,
            ending: Ending::Not,
            status: None,
            failed: false,
            stdout: true,
            stderr: true,
            gone: false,
            broken: false,
            timed_out: false,
        }
    }

    /// Nothing follows any more.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Its time was over before the program was.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// It had to be killed.
    pub fn was_killed(&self) -> bool {
        self.ending == Ending::Kill
    }

    /// How the program ended, once it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// The transition function. What is to be done is appended to `effects`.
    pub fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        use Stage::{Answering, Closed, Gathering, Running, Starting};
        match (self.stage, input) {
            (Gathering, Input::Arguments) => {
                self.stage = Starting;
                effects.extend([Effect::Disarm(Timer::Header), Effect::Start]);
            }
            (Gathering, Input::Passed(Timer::Header | Timer::Deadline)) => {
                self.timed_out = true;
                self.close(effects);
            }
            (Gathering, Input::Violation | Input::HalfClosed | Input::FullClosed)
            | (Gathering, Input::Stop | Input::Kill) => self.close(effects),

            (Starting, Input::Started) => self.stage = Running,
            (Starting, Input::NotStarted) => match self.rules.exec_failure {
                ExecFailure::Report => {
                    self.failed = true;
                    self.answer(effects);
                }
                ExecFailure::Close => self.close(effects),
            },

            (Running, Input::EndMark) => effects.push(Effect::EndStdin),
            (Running, Input::HalfClosed) if self.rules.half_close == HalfClose::StdinEof => {
                // What was cut short is not to look complete to the program.
                if !self.broken {
                    effects.push(Effect::EndStdin);
                }
            }
            (Running, Input::HalfClosed | Input::FullClosed) => {
                if !self.gone {
                    self.gone = true;
                    // TERM comes before the end of a stdin that may be incomplete.
                    self.terminate(effects);
                    effects.extend([Effect::DropStdin, Effect::DiscardOutput]);
                }
            }
            (Running, Input::Violation) => {
                self.broken = true;
                effects.push(Effect::IgnoreInput);
                if self.ending == Ending::Not {
                    self.ending = Ending::Courtesy;
                    effects.push(Effect::Arm(Timer::Courtesy));
                }
            }
            (Running, Input::ExecFailed) => self.failed = true,
            (Running, Input::LeaderEnded(status)) => {
                self.status = Some(status);
                if self.rules.drains {
                    effects.push(Effect::Arm(Timer::Drain));
                }
                self.finish_if_over(effects);
            }
            (Running, Input::OutputEnded(stream)) => {
                match stream {
                    Stream::Stdout => self.stdout = false,
                    Stream::Stderr => self.stderr = false,
                }
                self.finish_if_over(effects);
            }
            (Running, Input::Passed(Timer::Deadline)) => {
                self.timed_out = true;
                self.terminate(effects);
            }
            (Running, Input::Passed(Timer::Courtesy) | Input::Stop) => self.terminate(effects),
            (Running, Input::Passed(Timer::Kill) | Input::Kill) => {
                if self.ending != Ending::Kill {
                    self.ending = Ending::Kill;
                    effects.extend([
                        Effect::Disarm(Timer::Kill),
                        Effect::Signal(Signal::KILL),
                        Effect::Arm(Timer::Patience),
                    ]);
                }
            }
            (Running, Input::Passed(Timer::Patience | Timer::Drain)) => self.finish(effects),

            (Answering, Input::Delivered) => self.close(effects),
            (Answering, Input::FullClosed | Input::Kill) => self.close(effects),
            (Answering, Input::Passed(Timer::Deadline | Timer::Delivery)) => self.close(effects),
            (Answering, Input::Stop) => effects.push(Effect::Arm(Timer::Delivery)),

            (Closed, _) | (_, _) => {}
        }
    }

    fn terminate(&mut self, effects: &mut Vec<Effect>) {
        if self.ending < Ending::Term {
            self.ending = Ending::Term;
            effects.extend([Effect::Signal(Signal::TERM), Effect::Arm(Timer::Kill)]);
        }
    }

    fn finish_if_over(&mut self, effects: &mut Vec<Effect>) {
        if self.status.is_some() && !self.stdout && !self.stderr {
            self.finish(effects);
        }
    }

    fn finish(&mut self, effects: &mut Vec<Effect>) {
        let over = !self.stdout && !self.stderr;
        let sweep = match over && self.ending < Ending::Term {
            true => Sweep::Soon,
            false => Sweep::Now,
        };
        effects.push(Effect::Release(sweep));
        match self.failed && self.rules.exec_failure == ExecFailure::Close {
            true => self.close(effects),
            false => self.answer(effects),
        }
    }

    fn answer(&mut self, effects: &mut Vec<Effect>) {
        let answer = match (self.failed, self.status) {
            (true, _) => Some(Answer::Failure),
            (false, status) => status.map(Answer::Status),
        };
        let Some(answer) = answer.filter(|_| !self.gone) else { return self.close(effects) };
        self.stage = Stage::Answering;
        // Whoever was waited for too long already is not waited for as long again.
        if self.ending >= Ending::Term {
            effects.push(Effect::Arm(Timer::Delivery));
        }
        effects.push(Effect::Answer(answer));
    }

    fn close(&mut self, effects: &mut Vec<Effect>) {
        self.stage = Stage::Closed;
        effects.push(Effect::Close);
    }
}
