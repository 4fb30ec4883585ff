//! Netstrings: what is decoded in pieces is what is decoded at once.
#![no_main]

use coproc_exec::netstring::{Decoder, Piece, encode};
use libfuzzer_sys::fuzz_target;

/// All strings up to the first error, and whether there was one.
fn decode(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::default();
    let (mut strings, mut current) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Piece::Begin(_))) => assert!(current.is_empty()),
                Ok(Some(Piece::Payload(payload))) => {
                    assert!(!payload.is_empty());
                    current.extend_from_slice(payload);
                }
                Ok(Some(Piece::End)) => strings.push(std::mem::take(&mut current)),
                Ok(None) => break,
                Err(_) => return (strings, true),
            }
        }
        assert!(input.is_empty());
    }
    (strings, false)
}

fuzz_target!(|input: (&[u8], u16)| {
    let (bytes, cut) = input;
    let (left, right) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    let whole = decode(&[bytes]);
    assert_eq!(whole, decode(&[left, right]));
    let mut again = Vec::new();
    whole.0.iter().for_each(|string| encode(string, &mut again));
    assert_eq!(decode(&[&again]), (whole.0, false));
});
