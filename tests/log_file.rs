//! A log in a file: rotation by size, reopening on USR1, and a reader that is slow.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use nix::sys::signal::Signal;
use support::{Place, eventually};

#[test]
fn a_file_that_grows_is_put_aside_and_no_line_is_lost() {
    let place = Place::new();
    place.config(&format!(
        "destination = {:?}\nmax_size = \"4KiB\"\nkeep = 100\n\
         [coprocess.writer]\nname = \"writer\"\n\
         exec = [\"sh\", \"-c\", \"seq -f 'number %05g' 1 1000\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n",
        place.at("log")
    ));
    let mut wrapper = place.run();
    eventually("the main process runs", || place.read("log").contains(": up\""));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.lines(), [""; 0], "stdout stays empty");

    let mut all = String::new();
    for number in (1..100).rev() {
        let part = place.read(&format!("log.{number}"));
        assert!(part.len() <= 4096, "log.{number} has {} bytes", part.len());
        all.push_str(&part);
    }
    all.push_str(&place.read("log"));
    let seen: Vec<_> = all
        .lines()
        .filter_map(|line| line.split_once("number ")?.1.get(..5)?.parse::<u32>().ok())
        .collect();
    assert_eq!(seen, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn usr1_opens_the_file_anew() {
    let place = Place::new();
    place.config(&format!("destination = {:?}\n", place.at("log")));
    let mut wrapper = place.run();
    eventually("the main process runs", || place.read("log").contains(": up\""));
    fs::rename(place.path().join("log"), place.path().join("moved")).unwrap();
    wrapper.signal(Signal::SIGUSR1);
    eventually("a new file", || place.path().join("log").exists());
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert!(place.read("log").contains("shutting down"), "{}", place.read("log"));
    assert!(!place.read("moved").contains("shutting down"));
}

#[test]
fn a_pipe_may_have_its_reader_later() {
    let place = Place::new();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.config(&format!("destination = {:?}\n", place.at("pipe")));
    let mut wrapper = place.run();
    eventually("it answers", || place.coproc(&["status"]).status.success());
    let mut lines = BufReader::new(fs::File::open(&pipe).unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(": up\"")));
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_slow_reader_holds_children_up_and_loses_nothing() {
    let place = Place::new();
    // 4 MB through a pipe of 64 KiB: the writer can only be done once somebody reads.
    place.config(&format!(
        "[coprocess.writer]\nname = \"writer\"\n\
         exec = [\"sh\", \"-c\", \"seq -f 'number %020g' 1 100000; touch {}\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n",
        place.at("done")
    ));
    let mut child = place.command(&["run"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("the writer is started", || {
        support::with_command_line(&format!("touch {}", place.at("done"))).len() == 1
    });
    // The tree answers while the log is stuck.
    let status = place.coproc(&["status"]);
    assert!(status.status.success(), "{status:?}");
    assert!(!place.path().join("done").exists());

    let mut out = child.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut piece = vec![0; 65536];
    while !String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).contains(": up\"") {
        let read = out.read(&mut piece).unwrap();
        assert!(read > 0, "it ended early");
        text.extend_from_slice(&piece[..read]);
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    out.read_to_end(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("writer: number")).count(), 100_000);
}
