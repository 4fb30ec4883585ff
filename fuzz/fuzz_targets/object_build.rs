//! Whatever is asked or answered, a hook that returns what it got changes nothing.
#![no_main]

#[path = "../../actors/gateway/tests/laws/mod.rs"]
mod laws;

use laws::{Parts, an_echo_changes_nothing};
use libfuzzer_sys::fuzz_target;

type Input = (String, Vec<(String, Vec<u8>)>, Option<Vec<u8>>, u8, bool);

fuzz_target!(|input: Input| {
    let (url, headers, body, wanted, strict) = input;
    an_echo_changes_nothing(&Parts { url, headers, body, wanted, strict });
});
