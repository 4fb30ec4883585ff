//! What users of other supervisors have asked for, again and again, and coproc does. A test has the name of
//! the program and the number of the thread in which it was asked: `docs/conformance.md` has the list.

#[path = "../support/mod.rs"]
mod support;

mod config;
mod containers;
mod exit;
mod order;
mod output;
mod restarts;
mod stopping;

use support::{Place, Wrapper, puppet};

/// A `[coprocess.NAME]` in the background that runs a shell script, with further lines.
fn script(name: &str, script: &str, rest: &str) -> String {
    let script = serde_json::Value::from(script);
    let rest = format!("background = true\n{rest}");
    support::coprocess(name, &format!("[\"sh\", \"-c\", {script}]"), &rest)
}

/// A main process that is a shell script, with further lines of `[main]`.
fn main_script(script: &str, rest: &str) -> String {
    let script = serde_json::Value::from(script);
    format!("[main]\nexec = [\"sh\", \"-c\", {script}]\n{rest}\n")
}

/// A `[coprocess.NAME]` in the background that ignores signals.
fn ignores(name: &str, signals: &[&str], rest: &str) -> String {
    let words: Vec<_> =
        [puppet().as_str(), "ignore"].iter().chain(signals).map(|w| format!("{w:?}")).collect();
    let rest = format!("background = true\n{rest}");
    support::coprocess(name, &format!("[{}]", words.join(", ")), &rest)
}

/// Runs a config whose main process ends by itself; gives the exit code and what was said.
fn run_to_its_end(config: &str) -> (i32, Wrapper) {
    let place = Place::new();
    place.config(config);
    let mut wrapper = place.run();
    let code = wrapper.wait();
    (code, wrapper)
}

/// What a command of coproc says and how it ends.
fn ask(place: &Place, words: &[&str]) -> (i32, String) {
    let output = place.coproc(words);
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}
