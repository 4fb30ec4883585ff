//! Frames are the same however they are cut and never larger than allowed; what is a message comes
//! out of it as it went in.
#![no_main]

use coproc_acomm::frame::{Decoder, Progress, encode};
use coproc_acomm::{Request, Response};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 4096;

/// All messages, and whether one was too large.
fn read(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(MAX);
    let mut messages = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        while !piece.is_empty() {
            match decoder.push(piece) {
                Ok(Progress::Partial) => break,
                Ok(Progress::Complete { message, used }) => {
                    assert!(message.len() <= MAX);
                    messages.push(message);
                    piece = &piece[used..];
                }
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}

fuzz_target!(|input: (&[u8], u16)| {
    let (bytes, cut) = input;
    let (left, right) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    assert_eq!(read(&[bytes]), read(&[left, right]));
    let frame = encode(bytes).unwrap();
    if bytes.len() <= MAX {
        assert_eq!(read(&[&frame]), (vec![bytes.to_vec()], false));
    }
    if let Ok(request) = Request::decode(bytes) {
        let text = request.encode();
        assert_eq!(Request::decode(&text).unwrap().encode(), text);
    }
    if let Ok(response) = Response::decode(bytes) {
        let text = response.encode();
        assert_eq!(Response::decode(&text).unwrap().encode(), text);
    }
});
