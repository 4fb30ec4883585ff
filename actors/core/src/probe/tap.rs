//! The tap of a `log` probe: it looks for the line on the output thread and sends on only that it came.

use std::sync::Arc;

use regex::bytes::Regex;
use tokio::sync::watch;

use crate::output::Tap;

/// Tells the one who waits that the line came.
pub(super) type Heard = watch::Receiver<bool>;

/// Taps for the two streams of a process, in front of those that are there already.
pub(super) fn taps(
    pattern: &Regex,
    behind: [Option<Box<dyn Tap>>; 2],
) -> ([Box<dyn Tap>; 2], Heard) {
    let (tell, heard) = watch::channel(false);
    let tell = Arc::new(tell);
    let taps = behind.map(|behind| -> Box<dyn Tap> {
        Box::new(LogTap { search: Some((pattern.clone(), tell.clone())), behind })
    });
    (taps, heard)
}

struct LogTap {
    /// Gone once the line came, on either stream.
    search: Option<(Regex, Arc<watch::Sender<bool>>)>,
    behind: Option<Box<dyn Tap>>,
}

impl Tap for LogTap {
    fn line(&mut self, line: &[u8]) {
        if let Some((pattern, tell)) = &self.search {
            let heard_elsewhere = *tell.borrow();
            if heard_elsewhere || pattern.is_match(line) {
                tell.send_replace(true);
                self.search = None;
            }
        }
        if let Some(behind) = &mut self.behind {
            behind.line(line);
        }
    }

    fn closed(&mut self) {
        self.search = None;
        if let Some(behind) = &mut self.behind {
            behind.closed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_line_of_either_stream_is_told() {
        let pattern = Regex::new(r"^listening on \d+$").unwrap();
        let ([mut out, mut err], heard) = taps(&pattern, [None, None]);
        out.line(b"not listening on 80");
        assert!(!*heard.borrow());
        err.line(b"listening on 80");
        assert!(*heard.borrow());
        out.line(b"more");
        out.closed();
        err.closed();
        assert!(*heard.borrow());
    }
}
