//! Whether an nginx that ended with success has gone into the background. Pure.
//!
//! Such an nginx leaves a successor behind, but nobody can count on hearing of it: it may be
//! killed as a remnant of its group before it has left that group, or may log where we do not read.
//! What the first process did not say tells more: one that stays says that it starts workers, and
//! that it exits.

use std::time::Duration;

use crate::nginx::{Fact, News};

/// How soon an nginx ends that goes into the background.
const MOMENT: Duration = Duration::from_secs(5);

/// What was heard so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreground {
    spoke: bool,
    began: bool,
    stayed: bool,
    replaced: bool,
}

impl Foreground {
    /// A line came, of whatever kind.
    pub fn spoke(&mut self) {
        self.spoke = true;
    }

    /// Takes in a fact of the process that was started.
    pub fn take(&mut self, fact: &Fact) {
        match fact.news {
            News::Began => self.began = true,
            News::Announced | News::Exits => self.stayed = true,
            News::WorkerStarted(_) | News::WorkerExited(_) | News::Emergency(_) => {}
        }
    }

    /// Takes in a fact of another process.
    pub fn take_strange(&mut self, fact: &Fact) {
        self.replaced |= fact.news == News::Announced;
    }

    /// Whether the process, which ended with success after `lived` though nobody asked it to, has
    /// left the foreground. `held` says that somebody still holds its output.
    pub fn was_left(&self, held: bool, lived: Duration) -> bool {
        let vanished = !self.spoke && lived < MOMENT;
        !self.stayed && (self.replaced || held || self.began || vanished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    fn heard(own: &[News], strange: &[News]) -> Foreground {
        let mut foreground = Foreground::default();
        let fact = |news: &News| Fact { pid: 7, tid: 7, news: news.clone() };
        for news in own {
            foreground.spoke();
            foreground.take(&fact(news));
        }
        for news in strange {
            foreground.spoke();
            foreground.take_strange(&fact(news));
        }
        foreground
    }

    #[test]
    fn gone_into_the_background() {
        assert!(heard(&[News::Began], &[News::Announced]).was_left(true, SHORT));
        assert!(heard(&[News::Began], &[]).was_left(false, SHORT), "the successor was killed");
        assert!(heard(&[], &[]).was_left(false, SHORT), "it logs to a file");
        assert!(heard(&[], &[]).was_left(true, LONG), "the successor holds the output");
    }

    #[test]
    fn ended_in_the_foreground() {
        let served = [News::Began, News::Announced, News::Exits];
        assert!(!heard(&served, &[]).was_left(true, SHORT));
        let without_workers = [News::Began, News::Exits];
        assert!(!heard(&without_workers, &[]).was_left(false, SHORT));
        assert!(!heard(&[], &[]).was_left(false, LONG), "it logged to a file and was stopped");
        let mut tested = Foreground::default();
        tested.spoke();
        assert!(!tested.was_left(false, SHORT), "`nginx -t`");
    }
}
