//! The forms of lines that are not nginx-wrapper's, for all processes and for one.

mod support;

use support::{Place, coprocess, eventually};

/// What a process writes, odd bytes included.
const BYTES: &[u8] =
    b"2026/11/21 08:28:12 [warn] 7#7: x\n\n{\"msg\":\"hi\",\"level\":\"error\"}\n\xFF\0\r\x1b[1m\nno newline";

#[test]
fn raw_lines_are_what_was_written_byte_for_byte() {
    let place = Place::new();
    std::fs::write(place.path().join("bytes"), BYTES).unwrap();
    place.config(&format!(
        "destination = {:?}\nformatter_name = \"raw\"\n[main]\nexec = [\"cat\", {:?}]\n",
        place.at("log"),
        place.at("bytes")
    ));
    let mut wrapper = place.run_with(&["--set", "log.level=info"], &[]);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    let log = std::fs::read(place.path().join("log")).unwrap();
    let found = log.windows(BYTES.len()).any(|part| part == BYTES);
    assert!(found, "{}", log.escape_ascii());
    assert!(log.ends_with(b"\n"));
}

#[test]
fn each_process_in_its_own_form() {
    let place = Place::new();
    let object = "echo '{\\\"msg\\\":\\\"hi\\\",\\\"level\\\":\\\"error\\\"}'";
    let exec = format!("[\"sh\", \"-c\", \"{object}\"]");
    let text = [
        coprocess("one", &exec, "log = { formatter_name = \"merged\" }"),
        coprocess("two", &exec, "log = { formatter_name = \"prefix\" }"),
        coprocess("three", &exec, "log = { formatter_name = \"raw\", on_full = \"drop\" }"),
        coprocess("four", &exec, ""),
    ];
    place.config(&text.concat());
    let mut wrapper = place.run();
    eventually("all have written", || wrapper.count("msg=\"four: {") == 1);
    wrapper.wait_for(": up\"");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    let line = |with: &str| -> Vec<String> {
        let lines = wrapper.lines();
        lines.into_iter().filter(|line| line.contains(with) && line.contains("hi")).collect()
    };
    let merged = line("\"logger\":\"one\"");
    let merged: serde_json::Value = serde_json::from_str(&merged[0]).unwrap();
    assert_eq!((&merged["msg"], &merged["level"]), (&"hi".into(), &"error".into()), "{merged}");
    assert!(merged["time"].is_string() && merged["stream"] == "stdout", "{merged}");
    let prefixed = line(" two | ");
    let (time, text) = prefixed[0].split_once(" two | ").unwrap();
    assert_eq!(text, "{\"msg\":\"hi\",\"level\":\"error\"}");
    assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"), "{time}");
    assert!(wrapper.lines().iter().any(|line| line == "{\"msg\":\"hi\",\"level\":\"error\"}"));
    assert_eq!(line("level=error msg=\"four: ").len(), 1);
}
