//! The machine of a connection, played through without a clock: its table, and what holds always.

use coproc_core::exit::ExitStatus;
use coproc_core::signal::Signal;
use coproc_exec::protocol::Stream;
use coproc_exec::session::{
    Answer, Effect, ExecFailure, HalfClose, Input, Rules, Session, Sweep, Timer,
};
use proptest::prelude::*;

const RULES: Rules =
    Rules { half_close: HalfClose::StdinEof, exec_failure: ExecFailure::Report, drains: false };

const EXITED: Input = Input::LeaderEnded(ExitStatus::Code(3));
const STDOUT: Input = Input::OutputEnded(Stream::Stdout);
const STDERR: Input = Input::OutputEnded(Stream::Stderr);

fn play_by(rules: Rules, inputs: &[Input]) -> Vec<Effect> {
    let mut session = Session::new(rules);
    let mut effects = Vec::new();
    inputs.iter().for_each(|input| session.step(*input, &mut effects));
    effects
}

fn play(inputs: &[Input]) -> Vec<Effect> {
    play_by(RULES, inputs)
}

/// What follows once the program runs.
fn running(inputs: &[Input]) -> Vec<Effect> {
    let effects = play(&[&[Input::Arguments, Input::Started], inputs].concat());
    assert_eq!(effects[..2], [Effect::Disarm(Timer::Header), Effect::Start]);
    effects[2..].to_vec()
}

fn status(code: i32) -> Effect {
    Effect::Answer(Answer::Status(ExitStatus::Code(code)))
}

#[test]
fn d4_the_status_waits_for_both_streams() {
    for inputs in [[EXITED, STDOUT, STDERR], [STDERR, EXITED, STDOUT], [STDOUT, STDERR, EXITED]] {
        assert!(running(&inputs[..2]).is_empty());
        assert_eq!(running(&inputs), [Effect::Release(Sweep::Soon), status(3)]);
    }
}

#[test]
fn d2_nothing_starts_a_second_program() {
    let effects = running(&[EXITED, Input::Arguments, Input::EndMark, Input::Arguments]);
    assert!(!effects.contains(&Effect::Start));
}

#[test]
fn before_the_program_every_end_is_a_close_without_a_byte() {
    for input in [
        Input::Violation,
        Input::HalfClosed,
        Input::FullClosed,
        Input::Stop,
        Input::Kill,
        Input::Passed(Timer::Header),
        Input::Passed(Timer::Deadline),
    ] {
        assert_eq!(play(&[input]), [Effect::Close], "{input:?}");
    }
}

#[test]
fn d23_a_program_that_cannot_be_started_is_told_of_or_not() {
    let inputs = [Input::Arguments, Input::NotStarted, Input::Delivered];
    let effects = play(&inputs);
    assert_eq!(effects[2..], [Effect::Answer(Answer::Failure), Effect::Close]);
    let close = Rules { exec_failure: ExecFailure::Close, ..RULES };
    assert_eq!(play_by(close, &inputs)[2..], [Effect::Close]);
}

#[test]
fn a_stage_that_fails_is_told_of_in_place_of_its_own_status() {
    let effects = running(&[Input::ExecFailed, EXITED, STDOUT, STDERR]);
    assert_eq!(effects.last(), Some(&Effect::Answer(Answer::Failure)));
}

#[test]
fn the_deadline_is_term_then_kill_then_no_more_waiting() {
    let effects = running(&[
        Input::Passed(Timer::Deadline),
        EXITED,
        Input::Passed(Timer::Kill),
        Input::Passed(Timer::Patience),
    ]);
    assert_eq!(
        effects,
        [
            Effect::Signal(Signal::TERM),
            Effect::Arm(Timer::Kill),
            Effect::Disarm(Timer::Kill),
            Effect::Signal(Signal::KILL),
            Effect::Arm(Timer::Patience),
            Effect::Release(Sweep::Now),
            Effect::Arm(Timer::Delivery),
            status(3),
        ]
    );
}

#[test]
fn d12_the_deadline_counts_until_the_output_ends() {
    let effects = running(&[EXITED, Input::Passed(Timer::Deadline), STDOUT, STDERR]);
    assert_eq!(effects[0], Effect::Signal(Signal::TERM));
    assert_eq!(effects.last(), Some(&status(3)));
}

#[test]
fn d7_a_client_that_goes_leaves_the_program_its_time() {
    let effects = running(&[Input::FullClosed, Input::FullClosed, EXITED, STDOUT, STDERR]);
    assert_eq!(
        effects,
        [
            Effect::Signal(Signal::TERM),
            Effect::Arm(Timer::Kill),
            Effect::DropStdin,
            Effect::DiscardOutput,
            Effect::Release(Sweep::Now),
            Effect::Close,
        ]
    );
}

#[test]
fn d8_a_half_close_is_the_end_of_stdin_or_a_disconnect() {
    assert_eq!(running(&[Input::HalfClosed]), [Effect::EndStdin]);
    let broken = running(&[Input::Violation, Input::HalfClosed]);
    assert!(!broken.contains(&Effect::EndStdin), "{broken:?}");
    let disconnect = Rules { half_close: HalfClose::Disconnect, ..RULES };
    let effects = play_by(disconnect, &[Input::Arguments, Input::Started, Input::HalfClosed]);
    assert!(effects.contains(&Effect::Signal(Signal::TERM)));
}

#[test]
fn a_violation_is_answered_for_what_came_before_it() {
    let effects = running(&[Input::Violation, Input::Passed(Timer::Courtesy), EXITED]);
    assert_eq!(
        effects,
        [
            Effect::IgnoreInput,
            Effect::Arm(Timer::Courtesy),
            Effect::Signal(Signal::TERM),
            Effect::Arm(Timer::Kill),
        ]
    );
}

#[test]
fn output_may_be_waited_for_only_so_long() {
    let drains = Rules { drains: true, ..RULES };
    let start = [Input::Arguments, Input::Started];
    let effects = play_by(drains, &[&start[..], &[EXITED, Input::Passed(Timer::Drain)]].concat());
    assert_eq!(effects[2..], [Effect::Arm(Timer::Drain), Effect::Release(Sweep::Now), status(3)]);
}

#[test]
fn d24_a_stop_is_term_and_a_status() {
    let effects = running(&[Input::Stop, EXITED, STDOUT, STDERR, Input::Delivered]);
    assert_eq!(effects[0], Effect::Signal(Signal::TERM));
    assert_eq!(effects[effects.len() - 2..], [status(3), Effect::Close]);
    let killed = running(&[Input::Stop, Input::Kill]);
    assert!(killed.contains(&Effect::Signal(Signal::KILL)));
}

fn input() -> impl Strategy<Value = Input> {
    let timer = prop::sample::select(&Timer::ALL[..]);
    let plain = [
        Input::Arguments,
        Input::Started,
        Input::NotStarted,
        Input::ExecFailed,
        Input::EndMark,
        Input::HalfClosed,
        Input::FullClosed,
        Input::Violation,
        EXITED,
        STDOUT,
        STDERR,
        Input::Delivered,
        Input::Stop,
        Input::Kill,
    ];
    prop_oneof![prop::sample::select(plain.to_vec()), timer.prop_map(Input::Passed)]
}

fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(half, fail, drains)| Rules {
        half_close: if half { HalfClose::StdinEof } else { HalfClose::Disconnect },
        exec_failure: if fail { ExecFailure::Report } else { ExecFailure::Close },
        drains,
    })
}

proptest! {
    #[test]
    fn what_always_holds(rules in rules(), inputs in prop::collection::vec(input(), 0..40)) {
        let mut session = Session::new(rules);
        let mut all = Vec::new();
        for input in &inputs {
            let closed = session.is_closed();
            let mut effects = Vec::new();
            session.step(*input, &mut effects);
            prop_assert!(!closed || effects.is_empty(), "{input:?} after the close: {effects:?}");
            all.extend(effects);
        }
        let count = |of: &dyn Fn(&Effect) -> bool| all.iter().filter(|effect| of(effect)).count();
        let place = |of: &dyn Fn(&Effect) -> bool| all.iter().position(of);
        prop_assert!(count(&|e| *e == Effect::Start) <= 1);
        prop_assert!(count(&|e| matches!(e, Effect::Answer(_))) <= 1);
        prop_assert!(count(&|e| matches!(e, Effect::Release(_))) <= 1);
        prop_assert!(count(&|e| *e == Effect::Signal(Signal::TERM)) <= 1);
        prop_assert!(count(&|e| *e == Effect::Signal(Signal::KILL)) <= 1);
        prop_assert_eq!(count(&|e| *e == Effect::Close), usize::from(session.is_closed()));
        // TERM is followed by a timer for KILL, and KILL by one for the end.
        for (signal, timer) in [(Signal::TERM, Timer::Kill), (Signal::KILL, Timer::Patience)] {
            if let Some(at) = place(&|e| *e == Effect::Signal(signal)) {
                prop_assert_eq!(all[at + 1], Effect::Arm(timer));
            }
        }
        // No signal after the process was parted with.
        if let Some(at) = place(&|e| matches!(e, Effect::Release(_))) {
            prop_assert!(!all[at..].iter().any(|e| matches!(e, Effect::Signal(_))));
        }
    }

    #[test]
    fn every_connection_ends(rules in rules(), inputs in prop::collection::vec(input(), 0..20)) {
        // Whatever came before: the timers pass, and the last of them closes it.
        let mut session = Session::new(rules);
        let mut effects = Vec::new();
        for input in inputs {
            session.step(input, &mut effects);
            // The edge answers a start at once.
            if effects.last() == Some(&Effect::Start) {
                session.step(Input::Started, &mut effects);
            }
        }
        for timer in [Timer::Deadline, Timer::Kill, Timer::Patience, Timer::Delivery] {
            session.step(Input::Passed(timer), &mut effects);
        }
        prop_assert!(session.is_closed(), "{session:?}");
    }
}
