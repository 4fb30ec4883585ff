//! What nginx's own log lines say about its life. Pure.
//!
//! Only lines with nginx's own head count, and only those that the master wrote: whoever can put a
//! text into a request can put it into the log, but not in front of the time. Lines of
//! nginx 1.17.9 to 1.29.

use coproc_core::output::{head, prefix};

/// A fact that a process of nginx's told in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The process that wrote the line.
    pub pid: i32,
    /// Its thread.
    pub tid: i32,
    /// What it says.
    pub news: News,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// `nginx/1.22.1`: the configuration is read and all begins.
    Began,
    /// `start worker processes`: workers follow, at the start or after a reload.
    Announced,
    /// `start worker process N`.
    WorkerStarted(i32),
    /// `worker process N exited with code C` or `exited on signal S`.
    WorkerExited(i32),
    /// `exit`: the process ends in an orderly way.
    Exits,
    /// An emerg line; after a HUP it says why the new configuration is refused.
    Emergency(String),
}

/// The fact in a line, if it has one.
pub fn fact(line: &[u8]) -> Option<Fact> {
    // Cheap tests first: all but a few lines of a busy server end here.
    let head = head(line).filter(|head| !head.early)?;
    let line_prefix = prefix(head.message)?;
    let news = news(line, line_prefix.text)?;
    let number = |number: u32| i32::try_from(number).ok();
    Some(Fact { pid: number(line_prefix.pid)?, tid: number(line_prefix.tid)?, news })
}

fn news(line: &[u8], text: &[u8]) -> Option<News> {
    /// Where the level stands in a line with a full head.
    const LEVEL_AT: usize = "2026/11/21 08:28:12 ".len();
    if line.get(LEVEL_AT..).is_some_and(|rest| rest.starts_with(b"[emerg]")) {
        return Some(News::Emergency(String::from_utf8_lossy(text).into_owned()));
    }
    let text = text.trim_ascii_end();
    if text.starts_with(b"nginx/") {
        return Some(News::Began);
    }
    if text == b"exit" {
        return Some(News::Exits);
    }
    if text == b"start worker processes" {
        return Some(News::Announced);
    }
    if let Some(pid) = text.strip_prefix(b"start worker process ") {
        return Some(News::WorkerStarted(pid_of(pid)?));
    }
    let rest = text.strip_prefix(b"worker process ")?;
    let blank = rest.iter().position(|byte| *byte == b' ')?;
    let (pid, end) = rest.split_at(blank);
    let gone = end.starts_with(b" exited with code ") || end.starts_with(b" exited on signal ");
    gone.then_some(News::WorkerExited(pid_of(pid)?))
}

fn pid_of(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news_of(text: &str) -> Option<News> {
        fact(format!("2026/11/21 08:28:12 {text}").as_bytes()).map(|fact| fact.news)
    }

    #[test]
    fn the_lines_of_nginx() {
        for (text, expected) in [
            ("[notice] 4657#4657: start worker processes", Some(News::Announced)),
            ("[notice] 4657#4657: start worker process 4660", Some(News::WorkerStarted(4660))),
            ("[notice] 23303#23303: start worker process 2 ", Some(News::WorkerStarted(2))),
            (
                "[notice] 1#1: worker process 4661 exited with code 0",
                Some(News::WorkerExited(4661)),
            ),
            ("[alert] 1#1: worker process 4660 exited on signal 9", Some(News::WorkerExited(4660))),
            (
                "[emerg] 1#1: unknown directive \"evnts\" in /x:6",
                Some(News::Emergency("unknown directive \"evnts\" in /x:6".into())),
            ),
            ("[notice] 1#1: start cache manager process 4662", None),
            ("[notice] 1#1: cache manager process 4662 exited with code 0", None),
            ("[notice] 1#1: nginx/1.22.1", Some(News::Began)),
            ("[notice] 1#1: exit", Some(News::Exits)),
            ("[notice] 1#1: exiting", None),
            ("[notice] 1#1: start worker process_5", None),
            ("[notice] 1#1: start worker process", None),
            ("[notice] 1#1: start worker process 99999999999999999999", None),
            ("[notice] 1#1: worker process  exited with code 0", None),
        ] {
            assert_eq!(news_of(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_that_nginx_did_not_head_say_nothing() {
        for line in [
            "start worker process 23325",
            "12",
            "ss 34",
            "something exit",
            "1.2.3.4 - - \"GET /\" start worker process 5",
            "nginx: [emerg] unknown directive",
            "2026/11/21 08:28:12 [notice] start worker process 5",
            "p]q[r",
        ] {
            assert_eq!(fact(line.as_bytes()), None, "{line}");
        }
    }
}
