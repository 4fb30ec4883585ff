//! The check of a configuration that is about to be taken: a program that is run as the main process
//! is, says what it thinks, and ends with 0 where all is well.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coproc_core::exit::ExitStatus;
use coproc_core::output::{Level, Output, Tap, head, prefix};
use coproc_core::process::{Command, Ended, Taps, run};
use coproc_core::scalar::printable;
use tokio::sync::mpsc;

/// So many of its last lines are told on.
const LINES: usize = 16;
/// So much of each line, in bytes.
const LINE: usize = 512;

/// How long a check may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until it is killed.
    pub(crate) run: Duration,
    /// From its end to the end of its output, which a stranger may hold open.
    pub(crate) drain: Duration,
}

/// The last lines of a check, which both its streams fill.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Heard {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Ear {
    heard: Heard,
    /// The last one that is dropped says that all was heard.
    _open: mpsc::Sender<()>,
}

impl Tap for Ear {
    fn line(&mut self, line: &[u8]) {
        let mut lines = self.heard.lines();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line[..line.len().min(LINE)].to_vec());
    }

    fn closed(&mut self) {}
}

/// Runs the check that `command` makes for two taps. The error is a sentence with the check's own
/// words; `shown` is how it names the check. Dropping the future ends the program.
pub(crate) async fn check(
    command: impl FnOnce(Taps) -> Command,
    shown: &str,
    output: &Output,
    limits: Limits,
) -> Result<(), String> {
    let heard = Heard::default();
    let (open, mut closed) = mpsc::channel(1);
    let ear = |open| -> Option<Box<dyn Tap>> {
        Some(Box::new(Ear { heard: heard.clone(), _open: open }))
    };
    let taps = Taps { stdout: ear(open.clone()), stderr: ear(open) };
    let ended = run(command(taps), output, limits.run).await.map_err(|error| error.to_string())?;
    let what = match ended {
        Ended::InTime(ExitStatus::Code(0)) => return Ok(()),
        Ended::InTime(status) => format!("`{shown}` ended with {status}"),
        Ended::TooLate => {
            let limit = humantime::format_duration(limits.run);
            format!("`{shown}` did not end within {limit} and was killed")
        }
    };
    // What it said may still be on its way; if it never ends, what came so far is told.
    let _ = tokio::time::timeout(limits.drain, closed.recv()).await;
    let words = words(heard.lines().make_contiguous());
    Err(if words.is_empty() { what } else { format!("{what}: {words}") })
}

/// What the lines say, each thing once. nginx tells an error in its log, on its error stream or on
/// both, and much that is none in its log.
fn words(lines: &[Vec<u8>]) -> String {
    let logged = |line: &&Vec<u8>| head(line).is_some_and(|head| !head.early);
    let streamed: Vec<&[u8]> = lines.iter().filter(|l| !logged(l)).map(Vec::as_slice).collect();
    let mut known: Vec<_> = streamed.iter().filter_map(|line| Some(head(line)?.message)).collect();
    let mut words = Vec::new();
    for head in lines.iter().filter(logged).filter_map(|line| head(line)) {
        let text = prefix(head.message).map_or(head.message, |prefix| prefix.text);
        if head.level >= Level::Warn && !known.contains(&text) {
            known.push(text);
            words.push(text);
        }
    }
    // The error stream ends with what follows from the rest: that the test failed.
    words.extend(streamed);
    let words = words.iter().filter(|words| !words.is_empty());
    words.map(|words| printable(&String::from_utf8_lossy(words))).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        words(&lines)
    }

    #[test]
    fn nginx_says_a_thing_twice_and_is_heard_once() {
        let emergency = "2026/11/21 08:34:03 [emerg] 30386#30386: unknown directive \"x\" in /c:2";
        let notice = "2026/11/21 08:34:03 [notice] 30386#30386: using the \"epoll\" event method";
        let early = "nginx: [emerg] unknown directive \"x\" in /c:2";
        let failed = "nginx: configuration file /c test failed";
        let expected = format!("{early}; {failed}");
        assert_eq!(words_of(&[notice, emergency, early, failed]), expected);
        assert_eq!(words_of(&[early, failed, emergency]), expected);
        let logged = format!("unknown directive \"x\" in /c:2; {failed}");
        assert_eq!(words_of(&[failed, emergency]), logged, "where only its log has it");
    }

    #[test]
    fn others_are_told_word_for_word() {
        assert_eq!(words_of(&["one", "", "two", "two"]), "one; two; two");
        assert_eq!(words_of(&[]), "");
    }

    #[test]
    fn an_ear_keeps_the_end() {
        let heard = Heard::default();
        let mut ear = Ear { heard: heard.clone(), _open: mpsc::channel(1).0 };
        for n in 0..LINES + 3 {
            ear.line(format!("{n} {}", "x".repeat(LINE)).as_bytes());
        }
        let lines = heard.lines();
        assert_eq!((lines.len(), lines[0].len()), (LINES, LINE));
        assert!(lines[0].starts_with(b"3 "));
    }
}
