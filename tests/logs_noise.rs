//! Processes that write too much: what is dropped, what is not, and who is told.

mod support;

use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::Signal;
use support::{Place, coprocess, eventually};

/// The number in `dropped 1,204 lines of NAME in 3 s`, all such lines together.
fn said_dropped(text: &str, name: &str) -> u64 {
    let found = text.lines().filter_map(|line| line.split_once("log: dropped ")?.1.split_once(' '));
    let of = found.filter(|(_, rest)| rest.starts_with(&format!("lines of {name} in ")));
    of.map(|(count, _)| count.replace(',', "").parse::<u64>().unwrap()).sum()
}

#[test]
fn a_flood_is_cut_to_its_rate_and_no_line_of_another_is_missing() {
    let place = Place::new();
    place.config(
        &[
            coprocess(
                "noisy",
                "[\"yes\", \"noise noise noise noise noise noise noise noise\"]",
                "background = true\nlog = { rate = \"100/s\", burst = 50, on_full = \"drop\" }\n",
            ),
            coprocess("steady", "[\"seq\", \"-f\", \"number %g\", \"50000\"]", ""),
        ]
        .concat(),
    );
    let began = Instant::now();
    let mut wrapper = place.run();
    wrapper.wait_for("steady: number 50000\"");
    eventually("status tells of it", || {
        let status = place.coproc(&["status"]);
        String::from_utf8_lossy(&status.stdout).contains(" lines of noisy dropped\n")
    });
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    let most = 50 + 100 * (began.elapsed().as_secs() as usize + 1);
    let noise = wrapper.count("noisy: noise");
    assert!(noise >= 50 && noise <= most, "{noise} lines");
    let steady: Vec<_> = wrapper
        .said("steady")
        .iter()
        .filter_map(|text| text.strip_prefix("number ")?.parse::<u32>().ok())
        .collect();
    assert_eq!(steady, (1..=50_000).collect::<Vec<_>>());
    assert!(said_dropped(&wrapper.lines().join("\n"), "noisy") > 1000, "{}", wrapper.dump());
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_stuck_destination_holds_up_nobody_who_drops() {
    let place = Place::new();
    // Both write 4 MB, of which nobody reads any.
    place.config(&coprocess(
        "writer",
        &format!(
            "[\"sh\", \"-c\", \"seq -f 'number %020g' 1 100000; touch {}\"]",
            place.at("done")
        ),
        "log = { on_full = \"drop\", buffer = \"64KiB\" }\n",
    ));
    let mut child = place.command(&["run"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("the writer is done", || place.path().join("done").exists());
    let status = place.coproc(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(status["dropped_lines"]["writer"].as_u64() > Some(50_000), "{status}");

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().code().is_some());
    let numbers: Vec<u32> = text
        .lines()
        .filter_map(|line| line.split_once("writer: number ")?.1.trim_end_matches('"').parse().ok())
        .collect();
    assert!(numbers.is_sorted(), "what came is in order");
    let dropped = said_dropped(&text, "writer");
    assert_eq!(numbers.len() as u64 + dropped, 100_000, "each line came or was counted");
}
