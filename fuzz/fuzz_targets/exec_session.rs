//! The life of a connection: one program at most, one answer at most, and an end.
#![no_main]

use arbitrary::Arbitrary;
use coproc_core::exit::ExitStatus;
use coproc_exec::protocol::Stream;
use coproc_exec::session::{Effect, ExecFailure, HalfClose, Input, Rules, Session, Timer};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Life {
    stdin_eof: bool,
    report: bool,
    drains: bool,
    inputs: Vec<u8>,
}

fn input(byte: u8) -> Input {
    const PLAIN: [Input; 14] = [
        Input::Arguments,
        Input::Started,
        Input::NotStarted,
        Input::ExecFailed,
        Input::EndMark,
        Input::HalfClosed,
        Input::FullClosed,
        Input::Violation,
        Input::LeaderEnded(ExitStatus::Code(3)),
        Input::OutputEnded(Stream::Stdout),
        Input::OutputEnded(Stream::Stderr),
        Input::Delivered,
        Input::Stop,
        Input::Kill,
    ];
    let byte = usize::from(byte);
    match byte % 2 {
        0 => PLAIN[byte / 2 % PLAIN.len()],
        _ => Input::Passed(Timer::ALL[byte / 2 % Timer::ALL.len()]),
    }
}

fuzz_target!(|life: Life| {
    let mut session = Session::new(Rules {
        half_close: if life.stdin_eof { HalfClose::StdinEof } else { HalfClose::Disconnect },
        exec_failure: if life.report { ExecFailure::Report } else { ExecFailure::Close },
        drains: life.drains,
    });
    let mut all = Vec::new();
    for byte in life.inputs {
        let closed = session.is_closed();
        let before = all.len();
        session.step(input(byte), &mut all);
        assert!(!closed || all.len() == before);
        if all.last() == Some(&Effect::Start) {
            session.step(Input::Started, &mut all);
        }
    }
    for timer in [Timer::Deadline, Timer::Kill, Timer::Patience, Timer::Delivery] {
        session.step(Input::Passed(timer), &mut all);
    }
    assert!(session.is_closed());
    let count = |of: fn(&Effect) -> bool| all.iter().filter(|effect| of(effect)).count();
    assert!(count(|effect| matches!(effect, Effect::Start)) <= 1);
    assert!(count(|effect| matches!(effect, Effect::Answer(_))) <= 1);
    assert!(count(|effect| matches!(effect, Effect::Release(_))) <= 1);
    assert_eq!(count(|effect| matches!(effect, Effect::Close)), 1);
});
