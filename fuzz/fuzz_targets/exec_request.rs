//! Requests: bounded, in order, and the same however they are cut.
#![no_main]

use coproc_exec::protocol::{MAX_ARGUMENT, MAX_ARGUMENTS, Request, Said};
use libfuzzer_sys::fuzz_target;

/// The arguments, stdin, whether the end mark came, and whether the protocol was broken.
fn read(pieces: &[&[u8]]) -> (Option<Vec<Vec<u8>>>, Vec<u8>, bool, bool) {
    let mut request = Request::default();
    let (mut arguments, mut stdin, mut ended) = (None, Vec::new(), false);
    for piece in pieces {
        let mut input = *piece;
        loop {
            match request.next(&mut input) {
                Ok(Some(Said::Arguments(all))) => {
                    assert!(
                        arguments.is_none() && (1..=MAX_ARGUMENTS).contains(&(all.len() as u64))
                    );
                    let all: Vec<_> = all.words().map(|word| word.to_bytes().to_vec()).collect();
                    assert!(all.iter().all(|word| word.len() as u64 <= MAX_ARGUMENT));
                    arguments = Some(all);
                }
                Ok(Some(Said::Stdin(bytes))) => {
                    assert!(arguments.is_some() && !ended);
                    stdin.extend_from_slice(bytes);
                }
                Ok(Some(Said::EndMark)) => {
                    assert!(!ended);
                    ended = true;
                }
                Ok(None) => break,
                Err(_) => return (arguments, stdin, ended, true),
            }
        }
    }
    (arguments, stdin, ended, false)
}

fuzz_target!(|input: (&[u8], u16)| {
    let (bytes, cut) = input;
    let (left, right) = bytes.split_at(usize::from(cut) % (bytes.len() + 1));
    let (whole, cut) = (read(&[bytes]), read(&[left, right]));
    assert_eq!((&whole.0, whole.2, whole.3), (&cut.0, cut.2, cut.3));
    // A payload whose end is seen to be wrong is kept back, which depends on what is seen at once.
    assert!(whole.3 || whole.1 == cut.1);
});
