//! The life of the wrapper as a machine: from `pre-start` to the exit code. Pure.
//!
//! ```text
//!  Booting ─► Awaiting ─► Running ─► StoppingMain ─► Exiting ─► Sweeping ─► Gone
//!  pre-start  main.exec_  main is    main was        `exit` is  all are
//!             event       up         signalled       worked off told to stop
//! ```
//! From every stage a second request to stop, or the end of the time for stopping, leads to
//! `Killing` and out.

use coproc_core::exit::FAILURE;
use coproc_core::signal::Signal;

/// Where the wrapper is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `pre-start` is being worked off.
    Booting,
    /// The main process waits for an event of its own.
    Awaiting,
    /// The main process was started.
    Running,
    /// The main process was told to end.
    StoppingMain,
    /// The main process is gone, and `exit` is being worked off.
    Exiting,
    /// Every coprocess that is left was told to stop.
    Sweeping,
    /// Everything was killed and has a moment to die.
    Killing,
    /// The wrapper leaves.
    Gone,
}

/// What can happen to the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `pre-start` was worked off; with a code, a program in the foreground could not be started.
    PreStartDone(Option<u8>),
    /// The event came that the main process waits for.
    MainEvent,
    /// The main process could not be started, or ended; with the code to leave with.
    MainGone(u8),
    /// Somebody wants the wrapper to stop, with this signal.
    Stop(Signal),
    /// A coprocess has failed whose failure ends all, with this code.
    GaveUp(u8),
    /// `exit` was worked off.
    ExitDone,
    /// No coprocess is left.
    AllEnded,
    /// The time for stopping is over.
    Deadline,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the main process.
    StartMain,
    /// The time for stopping begins.
    StartDeadline,
    /// Nobody holds events any more.
    CancelEvents,
    /// End the main process with this signal, and with KILL when its time is over.
    StopMain(Signal),
    /// Publish `exit`, and say when it is worked off.
    PublishExit,
    /// Tell every coprocess to stop, and say when none is left.
    StopAll,
    /// Kill everything.
    KillAll,
    /// Leave with this code.
    Leave(u8),
}

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapper {
    stage: Stage,
    /// Whether the main process waits for an event of its own.
    awaits_event: bool,
    /// Whether there is no main process: then the wrapper runs until it is told to stop.
    alone: bool,
    /// The code to leave with, as soon as one is known.
    code: Option<u8>,
    /// A code that goes before the main process's own.
    culprit: Option<u8>,
    stopping: bool,
}

impl Wrapper {
    /// A wrapper whose `pre-start` is being worked off.
    pub fn new(awaits_event: bool) -> Self {
        Self {
            stage: Stage::Booting,
            awaits_event,
            alone: false,
            code: None,
            culprit: None,
            stopping: false,
        }
    }

    /// The same without a main process.
    pub fn alone() -> Self {
        Self { alone: true, ..Self::new(false) }
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    fn code(&self) -> u8 {
        // Who has to be killed has no code of its own.
        self.culprit.or(self.code).unwrap_or(128 + Signal::KILL.number() as u8)
    }

    /// The transition function. `stop_main` is what the main process is stopped with where the
    /// signal that came does not say it.
    #[must_use]
    pub fn step(mut self, input: Input, stop_main: Signal) -> (Self, Vec<Effect>) {
        use Stage::{Awaiting, Booting, Exiting, Gone, Killing, Running, StoppingMain, Sweeping};
        let effects = match (self.stage, input) {
            (Booting, Input::PreStartDone(None)) if self.alone => {
                self.stage = Running;
                vec![]
            }
            (Booting | Running, Input::Stop(_)) if self.alone => {
                self.stopping = true;
                self.exit(0)
            }
            (Running, Input::GaveUp(code)) if self.alone => self.exit(code),
            (Booting, Input::PreStartDone(None)) if self.awaits_event => {
                self.stage = Awaiting;
                vec![]
            }
            // It came early: nothing is left to wait for but the boot.
            (Booting, Input::MainEvent) => {
                self.awaits_event = false;
                vec![]
            }
            (Booting, Input::PreStartDone(None)) | (Awaiting, Input::MainEvent) => {
                self.stage = Running;
                vec![Effect::StartMain]
            }
            (Booting, Input::PreStartDone(Some(code))) => self.exit(code),
            (Booting | Awaiting, Input::Stop(signal)) => {
                self.stopping = true;
                self.exit(128 + signal.number() as u8)
            }
            (Booting | Awaiting, Input::GaveUp(code)) => self.exit(code),

            (Running, Input::Stop(signal)) => {
                self.stopping = true;
                self.stage = StoppingMain;
                let signal = if signal == Signal::QUIT { signal } else { stop_main };
                vec![Effect::StartDeadline, Effect::CancelEvents, Effect::StopMain(signal)]
            }
            (Running, Input::GaveUp(code)) => {
                self.culprit = Some(code);
                self.stage = StoppingMain;
                vec![Effect::StartDeadline, Effect::CancelEvents, Effect::StopMain(stop_main)]
            }
            (Running | StoppingMain, Input::MainGone(code)) => self.exit(code),

            (Exiting, Input::ExitDone) => {
                self.stage = Sweeping;
                vec![Effect::StopAll]
            }
            (Sweeping, Input::AllEnded) => self.leave(),

            // The first signal after another cause has begun to stop it does not hurry.
            (StoppingMain | Exiting | Sweeping, Input::Stop(_)) if !self.stopping => {
                self.stopping = true;
                vec![]
            }
            (StoppingMain | Exiting | Sweeping, Input::Stop(Signal::TERM | Signal::INT)) => {
                self.culprit = Some(FAILURE);
                self.stage = Killing;
                vec![Effect::KillAll]
            }
            (StoppingMain | Exiting | Sweeping, Input::Deadline) => {
                self.stage = Killing;
                vec![Effect::KillAll]
            }
            (Killing, Input::MainGone(code)) => {
                self.code.get_or_insert(code);
                vec![]
            }
            (Killing, Input::AllEnded | Input::Deadline) => self.leave(),
            (Gone, _) | (_, _) => vec![],
        };
        (self, effects)
    }

    fn exit(&mut self, code: u8) -> Vec<Effect> {
        self.code = Some(code);
        self.stage = Stage::Exiting;
        vec![Effect::StartDeadline, Effect::CancelEvents, Effect::PublishExit]
    }

    fn leave(&mut self) -> Vec<Effect> {
        self.stage = Stage::Gone;
        vec![Effect::Leave(self.code())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Effect::{
        CancelEvents, KillAll, Leave, PublishExit, StartDeadline, StartMain, StopAll, StopMain,
    };
    use Input::{AllEnded, Deadline, ExitDone, GaveUp, MainEvent, MainGone, PreStartDone, Stop};

    fn play(awaits_event: bool, inputs: &[Input]) -> Vec<Effect> {
        let mut wrapper = Wrapper::new(awaits_event);
        let mut all = Vec::new();
        for input in inputs {
            let (next, effects) = wrapper.step(*input, Signal::TERM);
            wrapper = next;
            // The first time is noted by an effect of its own, which is not of interest here.
            all.extend(effects.into_iter().filter(|e| !matches!(e, StartDeadline | CancelEvents)));
        }
        all
    }

    #[test]
    fn a_life_that_main_ends() {
        let effects = play(false, &[PreStartDone(None), MainGone(9), ExitDone, AllEnded]);
        assert_eq!(effects, [StartMain, PublishExit, StopAll, Leave(9)]);
    }

    #[test]
    fn term_gives_main_its_stop_signal_and_quit_gives_it_quit() {
        for (signal, passed) in [
            (Signal::TERM, Signal::TERM),
            (Signal::INT, Signal::TERM),
            (Signal::QUIT, Signal::QUIT),
        ] {
            let effects =
                play(false, &[PreStartDone(None), Stop(signal), MainGone(0), ExitDone, AllEnded]);
            assert_eq!(effects, [StartMain, StopMain(passed), PublishExit, StopAll, Leave(0)]);
        }
    }

    #[test]
    fn a_second_term_kills_and_leaves_with_1() {
        let term = Stop(Signal::TERM);
        let effects = play(false, &[PreStartDone(None), term, term, MainGone(0), AllEnded]);
        assert_eq!(effects, [StartMain, StopMain(Signal::TERM), KillAll, Leave(1)]);
        let quits = [PreStartDone(None), Stop(Signal::QUIT), Stop(Signal::QUIT)];
        assert_eq!(play(false, &quits), [StartMain, StopMain(Signal::QUIT)]);
    }

    #[test]
    fn a_signal_during_the_boot_cancels_it() {
        let effects = play(false, &[Stop(Signal::TERM), PreStartDone(None), ExitDone, AllEnded]);
        assert_eq!(effects, [PublishExit, StopAll, Leave(143)]);
    }

    #[test]
    fn a_boot_that_fails_never_starts_main() {
        let effects = play(false, &[PreStartDone(Some(127)), ExitDone, AllEnded]);
        assert_eq!(effects, [PublishExit, StopAll, Leave(127)]);
    }

    #[test]
    fn main_may_wait_for_its_event() {
        let effects = play(true, &[PreStartDone(None), MainEvent, MainEvent, MainGone(0)]);
        assert_eq!(effects, [StartMain, PublishExit]);
        let early = play(true, &[MainEvent, PreStartDone(None), MainGone(0)]);
        assert_eq!(early, [StartMain, PublishExit]);
        let gave_up = play(true, &[PreStartDone(None), GaveUp(3), ExitDone, AllEnded]);
        assert_eq!(gave_up, [PublishExit, StopAll, Leave(3)]);
    }

    #[test]
    fn without_a_main_process_it_runs_until_it_is_told_to_stop() {
        let play = |inputs: &[Input]| {
            let mut wrapper = Wrapper::alone();
            let mut all = Vec::new();
            for input in inputs {
                let (next, effects) = wrapper.step(*input, Signal::TERM);
                wrapper = next;
                all.extend(effects);
            }
            all
        };
        let out = [StartDeadline, CancelEvents, PublishExit, StopAll];
        let term = Stop(Signal::TERM);
        let effects = play(&[PreStartDone(None), term, ExitDone, AllEnded]);
        assert_eq!(effects, [&out[..], &[Leave(0)]].concat());
        let effects = play(&[term, ExitDone, AllEnded]);
        assert_eq!(effects, [&out[..], &[Leave(0)]].concat());
        let effects = play(&[PreStartDone(None), GaveUp(3), ExitDone, AllEnded]);
        assert_eq!(effects, [&out[..], &[Leave(3)]].concat());
        let effects = play(&[PreStartDone(None), term, term, Deadline]);
        assert_eq!(effects, [&out[..3], &[KillAll, Leave(1)]].concat());
    }

    #[test]
    fn the_culprits_code_goes_before_mains() {
        let effects =
            play(false, &[PreStartDone(None), GaveUp(7), MainGone(0), ExitDone, AllEnded]);
        assert_eq!(effects.last(), Some(&Leave(7)));
    }

    #[test]
    fn the_deadline_kills_what_is_left_and_keeps_mains_code() {
        let effects = play(false, &[PreStartDone(None), MainGone(0), Deadline, AllEnded]);
        assert_eq!(effects, [StartMain, PublishExit, KillAll, Leave(0)]);
        let stuck = play(false, &[PreStartDone(None), Stop(Signal::TERM), Deadline, Deadline]);
        assert_eq!(stuck, [StartMain, StopMain(Signal::TERM), KillAll, Leave(137)]);
    }
}
