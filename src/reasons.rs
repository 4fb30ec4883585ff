//! What `coproc why` makes of the wrapper's reasons: the sentences are the wrapper's own.

use std::fmt::Write;

use serde_json::Value;

/// A line for each process of the answer.
pub(crate) fn each(answer: &Value) -> String {
    lines(answer, |_| true)
}

/// A line for each process that is not as it is wanted, and for each event of the main process that
/// others wait behind.
pub(crate) fn unwanted(answer: &Value) -> String {
    let mut out = String::new();
    if let Some(cause) = answer["leaving"]["sentence"].as_str() {
        let _ = writeln!(out, "coproc: leaving: {cause}");
    }
    out += &lines(answer, |process| process["as_wanted"] != true);
    let behind: Vec<_> =
        answer["behind"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let (Some(walk), false) = (answer["events"].get(0), behind.is_empty()) {
        let held = walk["sentence"].as_str().unwrap_or_default();
        let _ = writeln!(out, "events: {held}; behind it: {}", behind.join(", "));
    }
    if out.is_empty() { "all is as wanted\n".to_owned() } else { out }
}

fn lines(answer: &Value, shown: impl Fn(&Value) -> bool) -> String {
    let mut out = String::new();
    let processes = answer["processes"].as_array().into_iter().flatten();
    for process in processes.filter(|process| shown(process)) {
        let text = |key: &str| process[key].as_str().unwrap_or_default();
        let _ = writeln!(out, "{}: {}: {}", text("name"), text("state"), text("sentence"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn process(name: &str, as_wanted: bool) -> Value {
        json!({ "name": name, "state": "running", "as_wanted": as_wanted, "sentence": "runs" })
    }

    #[test]
    fn what_is_as_wanted_is_told_only_when_asked_for() {
        let answer = json!({ "processes": [process("a", true), process("b", false)] });
        assert_eq!(unwanted(&answer), "b: running: runs\n");
        assert_eq!(each(&answer), "a: running: runs\nb: running: runs\n");
        let well = json!({ "processes": [process("a", true)], "behind": [] });
        assert_eq!(unwanted(&well), "all is as wanted\n");
    }

    #[test]
    fn the_end_and_events_that_wait_are_told() {
        let answer = json!({
            "leaving": { "sentence": "the wrapper was sent TERM" },
            "processes": [],
            "events": [{ "sentence": "pre-reload is held by a" }],
            "behind": ["reload", "exit"],
        });
        assert_eq!(
            unwanted(&answer),
            "coproc: leaving: the wrapper was sent TERM\n\
             events: pre-reload is held by a; behind it: reload, exit\n"
        );
    }
}
