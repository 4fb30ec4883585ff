//! Whether connections to an upstream can be made, as the last one went: what changes is an event.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::Uri;
use rustix::io::Errno;

use crate::event::{About, Details, Kind, Voice};

/// What is known of one upstream. It is asked when a connection is made, and not for each request.
#[derive(Debug)]
pub(super) struct Reached {
    url: String,
    is_down: AtomicBool,
    voice: Arc<Voice>,
}

impl Reached {
    /// Nothing is known yet, which is as if it could be reached. `voice` is that of the API.
    pub(super) fn new(url: &Uri, voice: Arc<Voice>) -> Self {
        Self { url: url.to_string(), is_down: AtomicBool::new(false), voice }
    }

    /// A connection was made.
    pub(super) fn up(&self) {
        if self.is_down.load(Relaxed) && self.is_down.swap(false, Relaxed) {
            self.tell(Kind::HostUp, "Host is reachable again");
        }
    }

    /// None could be made.
    pub(super) fn down(&self) {
        if !self.is_down.swap(true, Relaxed) {
            self.tell(Kind::HostDown, "Host is not reachable");
        }
    }

    fn tell(&self, kind: Kind, message: &str) {
        self.voice.tell(About { kind, message, details: Details::Host(&self.url) });
    }
}

/// Whether it is this machine's fault that a connection was not made.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let ours = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| ours.contains(&error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::event::Events;

    #[tokio::test]
    async fn only_changes_are_events() {
        let (heard, mut hears) = mpsc::channel(8);
        let events = Events::start(Duration::from_secs(1));
        let voice = Voice::of_gateway(Vec::new(), None, events, heard);
        let reached = Reached::new(&Uri::from_static("http://a/"), Arc::new(voice));
        let mut told = || hears.try_recv().ok().map(|heard| (heard.kind(), heard.take()));
        reached.up();
        assert_eq!(told(), None);
        reached.down();
        reached.down();
        assert_eq!((told(), told()), (Some((Kind::HostDown, 1)), None));
        reached.up();
        reached.up();
        assert_eq!((told(), told()), (Some((Kind::HostUp, 1)), None));
    }

    #[test]
    fn whose_fault_it_is() {
        assert!(is_ours(&io::Error::from(Errno::MFILE)));
        assert!(!is_ours(&io::Error::from(Errno::CONNREFUSED)));
        assert!(!is_ours(&io::Error::other("no such name")));
    }
}
