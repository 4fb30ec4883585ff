//! What children write: no byte is lost or made up however it is cut, no piece is too long, and every form of it
//! is whole lines, those of JSON one object each.
#![no_main]

use std::time::SystemTime;

use arbitrary::Arbitrary;
use coproc::log::{Format, Options, Surroundings};
use coproc_core::name::Name;
use coproc_core::output::{Form, Level, Line, Part, Splitter, Stream, head, recognise};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    cuts: Vec<u8>,
    max: u8,
    name: String,
}

/// The pieces of what is fed in chunks of these lengths.
fn pieces(bytes: &[u8], cuts: &[u8], max: usize) -> Vec<(Vec<u8>, bool, bool)> {
    let (mut splitter, mut rest, mut found) = (Splitter::new(max), bytes, Vec::new());
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let length = cuts.next().map_or(rest.len(), |cut| usize::from(*cut) + 1).min(rest.len());
        let (chunk, behind) = rest.split_at(length);
        splitter.feed(chunk, |piece| found.push((piece.bytes.to_vec(), piece.first, piece.last)));
        rest = behind;
    }
    splitter.finish(|piece| found.push((piece.bytes.to_vec(), piece.first, piece.last)));
    found
}

/// Lines again: those that are joined from their pieces.
fn lines(pieces: &[(Vec<u8>, bool, bool)]) -> Vec<Vec<u8>> {
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    for (bytes, _, last) in pieces {
        line.extend_from_slice(bytes);
        if *last {
            lines.push(std::mem::take(&mut line));
        }
    }
    lines
}

fuzz_target!(|input: Input| {
    let Input { bytes, cuts, max, name } = input;
    let max = usize::from(max) + 1;
    // No other is let into a config.
    let name = name.parse::<Name>().map_or_else(|_| "a".to_owned(), |name| name.to_string());
    let cut = pieces(&bytes, &cuts, max);
    assert!(cut.iter().all(|(piece, ..)| piece.len() <= max));
    let mut expected: Vec<_> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    // What ends with the end of a line has no other behind it.
    if expected.last().is_some_and(Vec::is_empty) {
        expected.pop();
    }
    assert_eq!(lines(&cut), expected);

    let around = Surroundings {
        terminal: false,
        zone: jiff::tz::TimeZone::UTC,
        start: SystemTime::UNIX_EPOCH,
        clicolor: None,
        clicolor_force: None,
    };
    let mut format = Format::new(Form::Text, &Options::default(), &around);
    for (text, first, last) in &cut {
        let level = recognise(text).unwrap_or(Level::Info);
        let _ = head(text);
        for form in [Form::Text, Form::Json, Form::Prefix, Form::Merged] {
            let mut out = Vec::new();
            format.line(
                &Line {
                    time: SystemTime::UNIX_EPOCH,
                    logger: &name,
                    stream: Some(Stream::Stdout),
                    level,
                    text,
                    part: Part::new(*first, *last),
                    form: Some(form),
                },
                &mut out,
            );
            assert_eq!(out.last(), Some(&b'\n'));
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "{form:?}");
            if matches!(form, Form::Json | Form::Merged) {
                let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
                assert!(value.is_object());
            }
        }
    }
});
