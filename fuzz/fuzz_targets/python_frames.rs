//! Frames of Python workers: what is decoded in pieces is what is decoded at once.
#![no_main]

use bytes::BytesMut;
use coproc_gateway::driver::python::codec::{Decoder, Frame, FrameError, put};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 1 << 16;

/// All frames up to the first error, and that.
fn decode(pieces: &[&[u8]]) -> (Vec<Frame>, Option<FrameError>) {
    let (mut decoder, mut frames) = (Decoder::new(MAX), Vec::new());
    for piece in pieces {
        decoder.room().extend_from_slice(piece);
        loop {
            match decoder.frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fuzz_target!(|input: (&[u8], u16)| {
    let (bytes, cut) = input;
    let (left, right) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    let whole = decode(&[bytes]);
    assert_eq!(whole, decode(&[left, right]));
    let mut again = BytesMut::new();
    whole.0.iter().for_each(|frame| put(&mut again, frame.id, frame.kind, &frame.payload));
    assert_eq!(decode(&[&again]), (whole.0, None));
});
