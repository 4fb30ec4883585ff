//! Requests of the control API: each is one of the table or refused with a status that says why.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    method: String,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
    openly: bool,
}

fuzz_target!(|input: Input| {
    let Input { method, path, query, body, openly } = input;
    if let Err(status) = coproc_control::judge(openly, &method, &path, query.as_deref(), &body) {
        assert!((400..500).contains(&status), "{status}");
    }
});
