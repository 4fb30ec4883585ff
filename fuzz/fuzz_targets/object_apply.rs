//! Whatever a plugin returns, it is refused or comes to a message that can be sent on.
#![no_main]

#[path = "../../actors/gateway/tests/laws/mod.rs"]
mod laws;

use laws::{Parts, any_answer_is_harmless};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, Option<Vec<u8>>, &[u8])| {
    let (wanted, strict, body, answer) = input;
    let headers = vec![("a".to_owned(), b"1".to_vec()), ("a".to_owned(), b"2".to_vec())];
    let url = "/get?a=1&b=%20&a=2".to_owned();
    any_answer_is_harmless(&Parts { url, headers, body, wanted, strict }, answer);
});
